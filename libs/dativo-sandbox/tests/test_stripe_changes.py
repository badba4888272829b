"""Changes in the Stripe simulator leave the events that Stripe would send."""

from __future__ import annotations

import pytest

OLD, NEW = "2024-06-20", "2026-10-28.endive"
DAY = 86_400
ALL = {"subscription": "&status=all"}


def event(api, index=0):
    """Return the newest event, or one before it."""
    return api.get("/v1/events?limit=100")["data"][index]


def names(api, count):
    """Return what the newest events are called."""
    return [e["type"] for e in api.get(f"/v1/events?limit={count}")["data"]]


def first(api, type_, **fields):
    """Return the first object with these values."""
    return next(
        thing
        for thing in api.truth(type_)
        if all(thing[name] == value for name, value in fields.items())
    )


def test_creations_of_the_last_thirty_days_have_events(stripe_api):
    """Every young customer has its event, older ones have none."""
    found = stripe_api.walk("/v1/events?limit=100&type=customer.created")
    since = stripe_api.NOW - 30 * DAY
    young = [c for c in stripe_api.truth("customer") if c["created"] >= since]
    assert [e["data"]["object"] for e in found] == young[::-1]
    assert all(e["created"] == e["data"]["object"]["created"] for e in found)


def test_events_can_be_chosen_by_type(stripe_api):
    """`type` may be a family, `types[]` are names, and both together are refused."""

    def kinds(query):
        found = stripe_api.walk(f"/v1/events?limit=100&{query}")
        return {e["type"] for e in found}

    assert kinds("type=customer.*") == {
        "customer.created",
        "customer.subscription.created",
        "customer.tax_id.created",
    }
    assert kinds("types[]=charge.succeeded&types[1]=payout.created") == {
        "charge.succeeded",
        "payout.created",
    }
    assert kinds("types[]=customer.*") == set()
    for query in ("types[]=a&type=b", "&".join(["types[]=a"] * 21)):
        assert stripe_api.error(f"/v1/events?{query}")[0] == 400


def test_events_of_one_object(stripe_api):
    """`object_id` gives the history of an object."""
    [made] = stripe_api.mutate(ops=[{"op": "create", "type": "customer"}])
    stripe_api.mutate(ops=[{"op": "update", "type": "customer", "id": made["id"]}])
    history = stripe_api.walk(f"/v1/events?object_id={made['id']}")
    assert [e["type"] for e in history] == ["customer.updated", "customer.created"]


def test_an_update_is_seen_in_the_object_and_its_event(stripe_api):
    """The event holds the object as it became, and what was there before."""
    customer = first(stripe_api, "customer")
    change = {"op": "update", "type": "customer", "id": customer["id"]}
    stripe_api.mutate(ops=[{**change, "set": {"email": "new@example.com"}}])
    now = stripe_api.get(f"/v1/customers/{customer['id']}")
    assert now == {**customer, "email": "new@example.com"}
    told = event(stripe_api)
    assert (told["type"], told["api_version"]) == ("customer.updated", NEW)
    assert told["data"]["object"] == now
    assert told["data"]["previous_attributes"] == {"email": customer["email"]}
    assert stripe_api.get(f"/v1/events/{told['id']}") == told


def test_a_snapshot_stays_as_it_was(stripe_api):
    """Later changes do not reach into events, generated or not."""
    customer = stripe_api.truth("customer")[-1]
    change = {"op": "update", "type": "customer", "id": customer["id"]}
    stripe_api.mutate(ops=[change, change])
    history = stripe_api.walk(f"/v1/events?object_id={customer['id']}")
    revisions = [e["data"]["object"]["metadata"].get("revision") for e in history]
    assert history[-1]["data"]["object"] == customer
    assert len(set(revisions)) == len(history) == 3


def test_snapshots_are_in_the_version_of_the_account(stripe_api):
    """Whatever version is asked for, an event has the one of its moment."""
    sub = stripe_api.truth("subscription")[0]
    stripe_api.mutate(
        api_version=OLD, ops=[{"op": "cancel", "type": "subscription", "id": sub["id"]}]
    )
    stripe_api.mutate(
        api_version=NEW, ops=[{"op": "update", "type": "subscription", "id": sub["id"]}]
    )
    new, old = stripe_api.get("/v1/events?limit=2", stripe_version=OLD)["data"]
    assert (new["api_version"], old["api_version"]) == (NEW, OLD)
    assert "current_period_end" in old["data"]["object"]
    assert "current_period_end" not in new["data"]["object"]


def test_deleted_customers_leave_a_stub_and_end_their_subscriptions(stripe_api):
    """They are in no list, but can be retrieved as deleted; subscriptions are over."""
    sub = first(stripe_api, "subscription", status="active")
    customer = sub["customer"]
    made = stripe_api.mutate(ops=[{"op": "delete", "type": "customer", "id": customer}])
    assert [c["type"] for c in made] == ["customer", "subscription"]
    stub = stripe_api.get(f"/v1/customers/{customer}")
    assert stub == {"id": customer, "object": "customer", "deleted": True}
    listed = stripe_api.walk("/v1/customers?limit=100")
    assert customer not in {c["id"] for c in listed}
    assert customer not in {c["id"] for c in stripe_api.truth("customer")}
    assert names(stripe_api, 2) == ["customer.subscription.deleted", "customer.deleted"]
    ended = stripe_api.get(f"/v1/subscriptions/{sub['id']}")
    assert (ended["status"], ended["customer"]) == ("canceled", customer)
    path = f"/v1/customers?starting_after={customer}"
    status, error = stripe_api.error(path)
    assert (status, error["message"]) == (400, f"No such customer: '{customer}'")


def test_a_cancelled_subscription_is_not_deleted(stripe_api):
    """Its event is called deleted, yet it can be read, and listed with `status`."""
    sub = first(stripe_api, "subscription", status="active")["id"]
    stripe_api.mutate(ops=[{"op": "cancel", "type": "subscription", "id": sub}])
    assert names(stripe_api, 1) == ["customer.subscription.deleted"]
    assert stripe_api.get(f"/v1/subscriptions/{sub}")["status"] == "canceled"
    shown = {s["id"] for s in stripe_api.walk("/v1/subscriptions?limit=100")}
    every = {s["id"] for s in stripe_api.walk("/v1/subscriptions?limit=100&status=all")}
    assert sub in every - shown


def test_other_deleted_objects_are_gone(stripe_api):
    """A deleted product is 404."""
    product = first(stripe_api, "product")["id"]
    stripe_api.mutate(ops=[{"op": "delete", "type": "product", "id": product}])
    assert names(stripe_api, 1) == ["product.deleted"]
    assert stripe_api.error(f"/v1/products/{product}")[0] == 404


def test_a_refund_is_an_object_and_changes_its_charge(stripe_api):
    """Refund and charge agree, and both have their events."""
    charge = first(stripe_api, "charge", refunded=False)
    path = f"/v1/charges/{charge['id']}"
    stripe_api.mutate(ops=[{"op": "refund", "type": "charge", "id": charge["id"]}])
    [refund] = stripe_api.get(f"{path}/refunds")["data"]
    assert (refund["charge"], refund["amount"]) == (charge["id"], charge["amount"])
    assert stripe_api.get(path)["amount_refunded"] == charge["amount"]
    assert names(stripe_api, 2) == ["charge.refunded", "refund.created"]


def test_an_invoice_can_be_voided(stripe_api):
    """Its lines stay."""
    invoice = first(stripe_api, "invoice", status="open")
    stripe_api.mutate(ops=[{"op": "void", "type": "invoice", "id": invoice["id"]}])
    seen = stripe_api.get(f"/v1/invoices/{invoice['id']}")
    assert seen == {**invoice, "status": "void"}
    assert names(stripe_api, 1) == ["invoice.voided"]


def test_some_changes_have_no_event(stripe_api):
    """A payment intent that is edited tells nobody, as at Stripe."""
    before = event(stripe_api)
    intent = first(stripe_api, "payment_intent")["id"]
    stripe_api.mutate(ops=[{"op": "update", "type": "payment_intent", "id": intent}])
    stripe_api.mutate(ops=[{"op": "create", "type": "shipping_rate"}])
    assert event(stripe_api) == before
    assert "revision" in stripe_api.get(f"/v1/payment_intents/{intent}")["metadata"]


def test_new_objects_are_first_in_their_list(stripe_api):
    """What is created by the script is as real as what was generated."""
    [made] = stripe_api.mutate(
        ops=[{"op": "create", "type": "invoice", "set": {"description": "By hand"}}]
    )
    [newest] = stripe_api.get("/v1/invoices?limit=1")["data"]
    assert (newest["id"], newest["description"]) == (made["id"], "By hand")
    assert newest["created"] == stripe_api.NOW + 1
    assert stripe_api.walk(newest["lines"]["url"])
    assert names(stripe_api, 1) == ["invoice.created"]


def test_events_are_forgotten_after_thirty_days(stripe_api):
    """The clock moves on, and the horizon with it."""
    told = event(stripe_api)
    moved = stripe_api.respond("/__clock", method="POST", body={"advance": 31 * DAY})
    assert moved.status == 200
    assert stripe_api.get("/__clock")["now"] == stripe_api.NOW + 31 * DAY
    assert stripe_api.get("/v1/events")["data"] == []
    assert stripe_api.error(f"/v1/events/{told['id']}")[0] == 404


def test_events_may_come_late(stripe_api):
    """A delayed event appears at its place in the past once the clock says so."""
    before = event(stripe_api)
    stripe_api.mutate(event_delay=60, ops=[{"op": "create", "type": "customer"}])
    stripe_api.mutate(ops=[{"op": "create", "type": "coupon"}])
    assert names(stripe_api, 1) == ["coupon.created"]
    assert event(stripe_api, 1) == before
    stripe_api.respond("/__clock", method="POST", body={"advance": 60})
    assert names(stripe_api, 2) == ["coupon.created", "customer.created"]


def test_random_changes_follow_from_the_seed(stripe_api):
    """The same seed makes the same changes, another one others."""
    again, other = type(stripe_api)(customers=250), type(stripe_api)(customers=250)
    changes = stripe_api.mutate(random=40, seed=1)
    assert again.mutate(random=40, seed=1) == changes
    assert other.mutate(random=40, seed=2) != changes
    for type_ in ("customer", "charge", "invoice", "subscription", "event"):
        assert stripe_api.truth(type_) == again.truth(type_)
    ops = {change["op"] for change in changes}
    assert {"create", "delete", "customer.updated", "charge.refunded"} <= ops


@pytest.mark.parametrize("seed", range(3))
def test_events_carry_all_that_changed(stripe_api, seed):
    """What was there, brought up to date by the events since, is what is there."""
    types = ("customer", "charge", "invoice", "subscription", "refund")
    known = {t["id"]: t for type_ in types for t in stripe_api.truth(type_)}
    stripe_api.mutate(random=60, seed=seed)
    since = f"created[gt]={stripe_api.NOW}"
    for told in reversed(stripe_api.walk(f"/v1/events?limit=100&{since}")):
        thing = told["data"]["object"]
        known[thing["id"]] = thing
        if told["type"] == "customer.deleted":
            del known[thing["id"]]
    assert known == {t["id"]: t for type_ in types for t in stripe_api.truth(type_)}
    for type_ in types:
        listed = stripe_api.walk(f"/v1/{type_}s?limit=7{ALL.get(type_, '')}")
        assert listed == stripe_api.truth(type_)[::-1]


def test_random_changes_can_be_of_other_types(stripe_api):
    """There are no more changes than objects to change."""
    changes = stripe_api.mutate(random=8, seed=3, types=["product", "payout"])
    assert {change["type"] for change in changes} <= {"product", "payout"}
    assert len(changes) == 8


def test_changes_in_connected_accounts_stay_there(stripe_api):
    """The platform hears nothing of them."""
    account = stripe_api.get("/v1/accounts")["data"][0]["id"]
    [made] = stripe_api.mutate(
        account=account, ops=[{"op": "create", "type": "customer"}]
    )
    path = f"/v1/customers/{made['id']}"
    assert stripe_api.get(path, stripe_account=account)["id"] == made["id"]
    assert stripe_api.error(path)[0] == 404
    query = f"account={account}&ids"
    assert made["id"] in stripe_api.truth("customer", query)
    assert made["id"] not in stripe_api.truth("customer", "ids")


@pytest.mark.parametrize(
    ("target", "method", "body", "message"),
    [
        ("/__mutate", "POST", {"account": "acct_x", "ops": []}, "account 'acct_x'"),
        (
            "/__mutate",
            "POST",
            {"ops": [{"op": "update", "type": "charge", "id": "ch_x"}]},
            "There is no charge 'ch_x'",
        ),
        (
            "/__mutate",
            "POST",
            {"ops": [{"op": "create", "type": "unicorn"}]},
            "unicorn",
        ),
        ("/__schedule", "POST", [{"action": "earthquake"}], "no action 'earthquake'"),
        ("/__schedule", "POST", [{"action": "reset", "nht": 3}], "no key nht"),
        ("/__objects/unicorn", "GET", None, "There is no type 'unicorn'"),
        ("/__nothing", "GET", None, "There is no GET /__nothing"),
    ],
)
def test_impossible_wishes_are_refused(stripe_api, target, method, body, message):
    """The control paths say what is wrong with a request."""
    response = stripe_api.respond(target, method=method, body=body)
    assert response.status in {400, 404}
    assert message in response.body.decode()


def test_a_line_is_taken_off_its_invoice(stripe_api):
    """Lists and the invoice show it no more; the event shows what was there before."""
    invoice = next(
        one for one in stripe_api.truth("invoice") if len(one["lines"]["data"]) > 1
    )
    before = invoice["lines"]["data"]
    line = before[0]["id"]
    stripe_api.mutate(ops=[{"op": "remove", "type": "line_item", "id": line}])
    path = f"/v1/invoices/{invoice['id']}"
    assert stripe_api.get(path)["lines"]["data"] == before[1:]
    assert stripe_api.walk(f"{path}/lines") == before[1:]
    assert line not in {one["id"] for one in stripe_api.truth("line_item")}
    [event, *_] = stripe_api.get("/v1/events?type=invoice.updated")["data"]
    assert event["data"]["previous_attributes"] == {"lines": {"data": before}}
    for name in (line, "il_none"):
        again = {"op": "remove", "type": "line_item", "id": name}
        response = stripe_api.respond("/__mutate", method="POST", body={"ops": [again]})
        assert response.status == 400
