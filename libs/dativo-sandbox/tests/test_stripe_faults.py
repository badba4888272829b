"""Faults of the Stripe simulator come as scheduled, and are what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from dativo_sandbox.stripe.faults import ACTIONS
from dativo_sandbox.stripe.messages import Request
from dativo_sandbox.stripe.schedule import Schedule

README = Path(__file__).parents[1] / "README.md"
LIST = "/v1/customers?limit=5"


def ids(response):
    """Return the ids on a page."""
    return [thing["id"] for thing in json.loads(response.body)["data"]]


def after(api, count=5):
    """Return the target of a second page, and the cursor in it."""
    cursor = ids(api.respond(f"/v1/customers?limit={count}"))[-1]
    return f"{LIST}&starting_after={cursor}", cursor


@pytest.mark.parametrize(
    ("action", "status", "code"),
    [
        ("rate_limit", 429, "rate_limit"),
        ("rate_limit_400", 400, "rate_limit"),
        ("daily_quota", 429, "rate_limit"),
        ("lock_timeout", 409, "lock_timeout"),
        ("lock_timeout_429", 429, "lock_timeout"),
        ("locked", 423, None),
        ("failed_dependency", 424, None),
        ("server_error", 500, None),
        ("unavailable", 503, None),
        ("unauthorized", 401, "api_key_expired"),
        ("forbidden", 403, None),
    ],
)
def test_an_error_happens_once_and_then_the_list_is_there(
    stripe_api, action, status, code
):
    """The second request meets it, the first and the third do not; it is counted."""
    stripe_api.schedule({"action": action, "nth": 2, "path": "/v1/customers"})
    replies = [stripe_api.respond(LIST) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, status, 200]
    assert json.loads(replies[1].body)["error"].get("code") == code
    stats = stripe_api.get("/__stats")
    assert stats["faults"] == {action: 1}
    assert stats["schedule"] == [{"action": action, "matched": 3, "met": 1}]
    assert stats["quota_violations"] == 0


@pytest.mark.parametrize(("action", "status"), [("bad_gateway", 502),
                                                ("gateway_timeout", 504),
                                                ("not_json", 200)])  # fmt: skip
def test_proxies_answer_in_html(stripe_api, action, status):
    """What stands between client and Stripe knows no JSON."""
    stripe_api.schedule({"action": action})
    reply = stripe_api.respond(LIST)
    assert (reply.status, reply.content_type) == (status, "text/html")
    assert reply.body.startswith(b"<html>")


def test_hints_are_sent_if_the_rule_has_them(stripe_api):
    """Retry-After, the reason and whether to retry are up to the rule."""
    stripe_api.schedule(
        {"action": "rate_limit", "nth": 1, "retry_after": 2, "reason": "global-rate"},
        {"action": "lock_timeout", "nth": 2, "should_retry": False},
        {"action": "daily_quota", "nth": 3},
        {"action": "rate_limit", "nth": 4},
    )
    first, second, third, fourth = (stripe_api.respond(LIST) for _ in range(4))
    assert first.headers["Retry-After"] == "2"
    assert first.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert second.headers["Stripe-Should-Retry"] == "false"
    assert third.headers["Retry-After"] == "86400"
    assert "Retry-After" not in fourth.headers


def test_bodies_break_in_many_ways(stripe_api):
    """A success may hold half a document, or none."""
    stripe_api.schedule(
        {"action": "broken_json", "nth": 1}, {"action": "empty_body", "nth": 2}
    )
    broken, empty, whole = (stripe_api.respond(LIST) for _ in range(3))
    assert (broken.status, empty.status) == (200, 200)
    assert whole.body.startswith(broken.body)
    assert (len(broken.body), empty.body) == (len(whole.body) // 2, b"")


def test_an_empty_page_says_that_there_is_more(stripe_api):
    """The page has no cursor to go on from."""
    stripe_api.schedule({"action": "empty_page"})
    page = stripe_api.get(LIST)
    assert (page["data"], page["has_more"]) == ([], True)


def test_an_object_comes_twice(stripe_api):
    """A page begins with the last object of the page before, or repeats its own."""
    target, cursor = after(stripe_api)
    honest, first = ids(stripe_api.respond(target)), ids(stripe_api.respond(LIST))
    stripe_api.schedule({"action": "duplicate"})
    assert ids(stripe_api.respond(target)) == [cursor, *honest]
    assert ids(stripe_api.respond(LIST)) == [*first, first[-1]]


def test_a_cursor_leads_back(stripe_api):
    """The first page comes again."""
    target, cursor = after(stripe_api)
    stripe_api.schedule({"action": "repeat_page"})
    assert ids(stripe_api.respond(target))[-1] == cursor


def test_an_object_is_created_while_paging(stripe_api):
    """It is in the truth and in the events, but not on the page after the cursor."""
    target, _ = after(stripe_api)
    honest, count = ids(stripe_api.respond(target)), len(stripe_api.truth("customer"))
    stripe_api.schedule({"action": "insert", "query": {"starting_after": "*"}})
    assert ids(stripe_api.respond(target)) == honest
    assert len(stripe_api.truth("customer")) == count + 1
    [told] = stripe_api.get("/v1/events?limit=1")["data"]
    assert told["type"] == "customer.created"


def test_the_object_of_the_cursor_is_deleted_while_paging(stripe_api):
    """The next page is refused, since what it should begin after is gone."""
    target, cursor = after(stripe_api)
    rule = {"action": "delete_cursor", "query": {"starting_after": "*"}, "times": 1}
    stripe_api.schedule(rule)
    assert stripe_api.respond(LIST).status == 200
    refused = stripe_api.respond(target)
    assert refused.status == 400
    assert f"No such customer: '{cursor}'" in refused.body.decode()
    assert stripe_api.get(f"/v1/customers/{cursor}")["deleted"] is True
    assert stripe_api.get("/__stats")["statuses"] == {"200": 3, "400": 1}


def test_faults_that_change_objects_leave_other_lists_alone(stripe_api):
    """Events cannot be made up; without a cursor there is nothing to delete."""
    stripe_api.schedule({"action": "insert"}, {"action": "delete_cursor"})
    events = stripe_api.get("/v1/events?limit=3")
    assert stripe_api.get("/v1/events?limit=3") == events
    stripe_api.schedule({"action": "delete_cursor"})
    assert stripe_api.respond(LIST).status == 200


def test_a_fault_is_no_way_around_permissions(stripe_api):
    """A restricted key gets no more than without the fault."""
    api = type(stripe_api)(customers=5, denied=("customers",))
    api.schedule({"action": "slow_drip"})
    assert api.respond(LIST, key=api.keys.restricted).status == 403


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ({"nth": [1, 4]}, [1, 4]),
        ({"every": 3}, [3, 6]),
        ({"first": 3}, [3, 4, 5, 6]),
        ({"first": 2, "times": 2}, [2, 3]),
        ({"times": 1}, [1]),
        ({"path": "/v1/charges"}, []),
        ({"path": "/v1/*/cus_1"}, [1, 2, 3, 4, 5, 6]),
        ({"query": {"limit": "5"}}, [1, 2, 3, 4, 5, 6]),
        ({"query": {"limit": "7"}}, []),
        ({"query": {"starting_after": "*"}}, []),
        ({"probability": 0.5, "seed": 1}, [1, 4, 5, 6]),
    ],
)
def test_a_rule_says_which_requests_meet_it(rule, met):
    """Rules count the requests they match, and nothing else moves them."""
    schedule = Schedule([{"action": "reset", **rule}])
    request = Request.of("GET", "/v1/customers/cus_1?limit=5")
    numbers = [n for n in range(1, 7) if schedule.next(request) is not None]
    assert numbers == met


def test_the_first_of_several_rules_wins_and_all_count(stripe_api):
    """Two rules for the same request are one fault."""
    stripe_api.schedule(
        {"action": "server_error", "nth": 1}, {"action": "forbidden", "nth": [1, 2]}
    )
    assert [stripe_api.respond(LIST).status for _ in range(3)] == [500, 403, 200]


def test_refused_requests_do_not_use_up_faults(stripe_api):
    """What the rate limit or a wrong key stops meets no fault, so schedules hold."""
    api = type(stripe_api)(customers=5, rate_limits=True, endpoint_rate=1)
    api.schedule({"action": "server_error", "nth": 2})
    statuses = [api.respond(LIST).status, api.respond(LIST).status]
    statuses.append(api.respond(LIST, key="sk_live_of_somebody").status)
    api.seconds = 1.0
    statuses.append(api.respond(LIST).status)
    assert statuses == [200, 429, 401, 500]


def test_every_fault_is_in_the_readme():
    """The table of faults is whole, and names no fault that there is not."""
    text = README.read_text().partition("| action |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in text.splitlines()[2:]]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == set(ACTIONS)
