"""Keys, versions, accounts and limits of the Stripe simulator."""

from __future__ import annotations

import base64

import pytest
from dativo_sandbox.stripe.messages import Request

OLD, NEW = "2024-06-20", "2026-10-28.endive"


def basic(name):
    """Return the header that the SDKs of old send."""
    return "Basic " + base64.b64encode(f"{name}:".encode()).decode()


def test_a_key_may_come_as_bearer_or_as_user(stripe_api):
    """Both ways to send a key open the same lists."""
    by_user = stripe_api.get("/v1/customers", authorization=basic(stripe_api.keys.live))
    assert by_user == stripe_api.get("/v1/customers")


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Bearer sk_live_somebody_elses", "Invalid API Key provided: sk_live_****"),
        ("Bearer short", "Invalid API Key provided: *****"),
        (basic("rk_live_nobody_at_all"), "Invalid API Key provided: rk_live"),
        ("Basic %%%", "Invalid API Key provided"),
        ("", "You did not provide an API key"),
        ("Bearer", "You did not provide an API key"),
        ("Digest a", "You did not provide an API key"),
    ],
)
def test_a_wrong_key_is_401(stripe_api, authorization, message):
    """The key is checked, and not repeated whole."""
    status, error = stripe_api.error("/v1/customers", authorization=authorization)
    assert (status, error["type"]) == (401, "invalid_request_error")
    assert error["message"].startswith(message)
    assert "somebody" not in error["message"]


def test_a_test_key_sees_objects_of_its_mode(stripe_api):
    """`livemode` is that of the key, in objects, below them and in changed ones."""
    invoice = stripe_api.truth("invoice")[0]["id"]
    stripe_api.mutate(ops=[{"op": "void", "type": "invoice", "id": invoice}])
    for key, mode in ((stripe_api.keys.test, False), (stripe_api.keys.live, True)):
        for path in ("/v1/invoices?limit=5", "/v1/customers?limit=1"):
            page = stripe_api.get(path, key=key)
            assert {thing["livemode"] for thing in page["data"]} == {mode}
        seen = stripe_api.get(f"/v1/invoices/{invoice}", key=key)
        assert seen["livemode"] is seen["lines"]["data"][0]["livemode"] is mode


def test_a_restricted_key_is_refused_what_it_may_not_read(stripe_api):
    """A missing permission is 403 with its name, for lists and single objects."""
    api = type(stripe_api)(customers=5, denied=("charges", "refunds"))
    charge, customer = (api.truth(type_)[0]["id"] for type_ in ("charge", "customer"))
    for path, noun in (
        ("/v1/charges", "charge"),
        (f"/v1/charges/{charge}", "charge"),
        (f"/v1/charges/{charge}/refunds", "refund"),
    ):
        status, error = api.error(path, key=api.keys.restricted)
        assert status == 403
        assert f"'rak_{noun}_read'" in error["message"]
        assert api.get(path)
    path = f"/v1/customers/{customer}/subscriptions"
    assert api.get(path, key=api.keys.restricted)["object"] == "list"


def test_every_answer_says_its_version_and_has_an_id(stripe_api):
    """`Stripe-Version` is the one asked for, else the account's; ids are unique."""
    old = stripe_api.respond("/v1/customers", stripe_version=OLD)
    own = stripe_api.respond("/v1/nothing")
    assert (old.headers["Stripe-Version"], own.headers["Stripe-Version"]) == (OLD, NEW)
    assert old.headers["Request-Id"] != own.headers["Request-Id"]
    status, error = stripe_api.error("/v1/customers", stripe_version="yesterday")
    assert (status, error["message"]) == (400, "Invalid Stripe API version: yesterday")


def test_versions_before_basil_have_what_basil_moved(stripe_api):
    """Fields that users join on are where the version that was asked for has them."""

    def first(path, version):
        return stripe_api.get(f"/v1/{path}?limit=1", stripe_version=version)["data"][0]

    old, new = first("invoices", OLD), first("invoices", NEW)
    assert old["subscription"] == new["parent"]["subscription_details"]["subscription"]
    assert {"charge", "payment_intent", "paid", "quote"} <= old.keys() - new.keys()
    assert "parent" not in old
    old, new = first("subscriptions", OLD), first("subscriptions", NEW)
    old_item, new_item = old["items"]["data"][0], new["items"]["data"][0]
    assert old["current_period_end"] == new_item["current_period_end"]
    assert "current_period_end" not in new.keys() | old_item.keys()
    assert "invoice" in first("charges", OLD).keys() - first("charges", NEW).keys()
    assert "invoice" in first("payment_intents", OLD)
    old, new = first("invoices", OLD), first("invoices", NEW)
    old_line, new_line = old["lines"]["data"][0], new["lines"]["data"][0]
    price = new_line["pricing"]["price_details"]["price"]
    assert old_line["price"]["id"] == price
    assert "pricing" not in old_line


def test_changed_objects_are_shown_in_both_versions(stripe_api):
    """A change keeps the shape that each version has."""
    invoice = next(i for i in stripe_api.truth("invoice") if i["status"] == "open")
    path = f"/v1/invoices/{invoice['id']}"
    before = {v: stripe_api.get(path, stripe_version=v) for v in (OLD, NEW)}
    stripe_api.mutate(ops=[{"op": "pay", "type": "invoice", "id": invoice["id"]}])
    after = {v: stripe_api.get(path, stripe_version=v) for v in (OLD, NEW)}
    for version in (OLD, NEW):
        assert after[version].keys() == before[version].keys()
        assert after[version]["status"] == "paid"
        assert after[version]["amount_paid"] == before[version]["total"]
        assert after[version]["lines"] == before[version]["lines"]
    assert (before[OLD]["paid"], after[OLD]["paid"]) == (False, True)


def test_connected_accounts_are_other_populations(stripe_api):
    """`Stripe-Account` chooses whose objects are read; no id is in two accounts."""
    listed = stripe_api.get("/v1/accounts")["data"]
    assert len(listed) == 2
    populations = [
        {
            c["id"]
            for c in stripe_api.walk("/v1/customers", stripe_account=account["id"])
        }
        for account in listed
    ]
    populations.append({c["id"] for c in stripe_api.walk("/v1/customers?limit=100")})
    assert [len(p) for p in populations] == [25, 25, 250]
    assert len(set.union(*populations)) == 300
    own = stripe_api.get("/v1/account", stripe_account=listed[0]["id"])
    assert own["id"] == listed[0]["id"]
    platform = stripe_api.get("/v1/account")
    assert platform["id"] not in {account["id"] for account in listed}
    assert stripe_api.get(f"/v1/accounts/{platform['id']}") == platform
    status, error = stripe_api.error("/v1/customers", stripe_account="acct_1")
    assert (status, error["code"]) == (403, "account_invalid")


def test_an_endpoint_takes_25_requests_a_second(stripe_api):
    """The next one is refused with the reason, until the first is a second old."""
    api = type(stripe_api)(customers=5, rate_limits=True)
    for number in range(25):
        api.seconds = number / 100
        assert api.respond("/v1/customers").status == 200
    refused = api.respond("/v1/customers")
    assert refused.status == 429
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert "Retry-After" not in refused.headers
    assert api.respond("/v1/customers/x").status == 404
    api.seconds = 1.0
    assert api.respond("/v1/customers").status == 200
    assert api.respond("/v1/customers").status == 429
    stats = api.get("/__stats")
    assert stats["quota_violations"] == stats["too_many_requests"] == 2


@pytest.mark.parametrize(("kind", "ceiling"), [("live", 100), ("test", 25)])
def test_all_endpoints_together_have_a_ceiling(stripe_api, kind, ceiling):
    """100 requests a second for a live key, 25 for a test key."""
    api = type(stripe_api)(customers=5, rate_limits=True)
    paths = ("customers", "charges", "invoices", "events", "refunds")
    key = getattr(api.keys, kind)
    replies = [
        api.respond(f"/v1/{paths[number % 5]}", key=key)
        for number in range(ceiling + 1)
    ]
    assert [reply.status for reply in replies] == [200] * ceiling + [429]
    reason = replies[-1].headers["Stripe-Rate-Limited-Reason"]
    assert reason == "global-rate"


def test_requests_at_the_same_time_have_a_ceiling(stripe_api):
    """A request counts from its arrival until its answer has gone out."""
    api = type(stripe_api)(customers=5, rate_limits=True, concurrency=2)
    headers = {"authorization": f"Bearer {api.keys.live}"}
    asked = Request.of("GET", "/v1/customers", headers)
    (first, leave), _ = (api.simulator.respond(asked) for _ in range(2))
    refused = api.respond("/v1/customers")
    assert (first.status, refused.status) == (200, 429)
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "global-concurrency"
    leave()
    assert api.respond("/v1/customers").status == 200
    assert api.get("/__stats")["max_concurrency"] == 2


def test_limits_that_are_not_enforced_are_counted(stripe_api):
    """Without limits every request is served, and each one too many is noted."""
    for _ in range(30):
        stripe_api.get("/v1/customers?limit=1")
    stats = stripe_api.get("/__stats")
    assert stats["violations"] == {"endpoint-rate": 5}
    assert (stats["requests"], stats["too_many_requests"]) == (30, 0)
    assert stats["endpoints"] == {"GET /v1/customers": 30}
    assert len(stripe_api.get("/__requests")) == 30
    stripe_api.respond("/__stats", method="DELETE")
    assert stripe_api.get("/__stats")["requests"] == 0
