"""What Stripe and the network do wrong: a run completes, or can go on."""

from __future__ import annotations

import pytest
from dativo_core.errors import CredentialsError, RefusedError, TryLaterError

STREAM = "customers"
PASSING = [
    {"action": "rate_limit"},
    {"action": "rate_limit", "retry_after": 2},
    {"action": "rate_limit", "reason": "global-rate"},
    {"action": "rate_limit_400"},
    {"action": "lock_timeout"},
    {"action": "lock_timeout_429"},
    {"action": "locked"},
    {"action": "failed_dependency"},
    {"action": "server_error"},
    {"action": "bad_gateway"},
    {"action": "unavailable"},
    {"action": "gateway_timeout"},
    {"action": "reset"},
    {"action": "reset_midway"},
    {"action": "truncate"},
    {"action": "broken_json"},
    {"action": "not_json"},
    {"action": "empty_body"},
    {"action": "hang", "seconds": 3},
    {"action": "duplicate"},
    {"action": "repeat_page"},
    {"action": "insert"},
]


@pytest.fixture
def faulty(stripe_for):
    """A simulator with twelve pages, and patience of a second for each byte."""
    stripe = stripe_for(customers=1_150)
    stripe.config |= {"request_timeout": 1, "workers": 4}
    return stripe


@pytest.mark.parametrize(
    "fault", PASSING, ids=lambda fault: "-".join(map(str, fault.values()))
)
def test_a_fault_that_passes_costs_nothing_but_a_request(faulty, fault):
    """Third request of a list: no object is lost, none comes twice."""
    faulty.server.schedule({"path": "/v1/customers", "nth": 3, **fault})
    before = set(faulty.truth(STREAM))

    run = faulty.run(STREAM)

    ids = run.ids(STREAM)
    assert run.error is None
    assert len(ids) == len(set(ids))
    assert before <= set(ids)
    [met] = [rule["met"] for rule in faulty.server.stats()["schedule"]]
    assert met == 1


def test_a_cursor_that_is_deleted_is_no_end(faulty):
    """The page after an object that is gone: the rest of the window is read anew."""
    faulty.server.schedule(
        {"path": "/v1/customers", "nth": 3, "action": "delete_cursor"}
    )

    run = faulty.run(STREAM)

    assert run.error is None
    assert set(faulty.truth(STREAM)) <= set(run.ids(STREAM))


def test_a_tenth_of_all_requests_fails(faulty):
    """Whatever it is, and more than once: all objects arrive once."""
    kinds = ["server_error", "reset", "truncate", "rate_limit", "broken_json"]
    faulty.server.schedule(
        *[
            {"action": kind, "probability": 0.02, "seed": seed}
            for seed, kind in enumerate(kinds)
        ]
    )
    run = faulty.run("customers", "charges", "invoices", "subscriptions")

    assert run.error is None
    for name in ("customers", "charges", "invoices", "subscriptions"):
        ids = run.ids(name)
        assert sorted(ids) == sorted(faulty.truth(name))
    assert sum(faulty.server.stats()["faults"].values()) > 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"action": "daily_quota", "first": 4}, TryLaterError),
        ({"action": "server_error", "first": 4}, TryLaterError),
        ({"action": "not_json", "first": 4}, TryLaterError),
        ({"action": "empty_page", "first": 4}, TryLaterError),
        ({"action": "unauthorized", "first": 4}, CredentialsError),
    ],
    ids=lambda value: value["action"] if isinstance(value, dict) else "",
)
def test_a_fault_that_stays_ends_with_a_state_to_go_on_from(faulty, fault, error):
    """The next run sends what is missing, and nothing that was sent."""
    faulty.server.schedule({"path": "/v1/customers", **fault})
    cut = faulty.run(STREAM)
    faulty.server.schedule()

    rest = faulty.run(STREAM, state=cut.state)

    assert isinstance(cut.error, error)
    assert cut.durable.messages == cut.messages
    assert rest.error is None
    ids = cut.ids(STREAM) + rest.ids(STREAM)
    assert len(cut.ids(STREAM)) >= 200
    assert len(ids) == len(set(ids)) == 1_150


def test_a_list_that_the_account_has_not_is_named_and_the_others_are_read(faulty):
    """Such as those of Issuing, for an account that issues no cards."""

    def refuse(path):
        # The simulator has every list, and this account of it too.
        if path == "/v1/charges":
            msg = "Your account is not set up to use this."
            raise RefusedError(msg)

    faulty.before = refuse

    run = faulty.run("customers", "charges")

    assert isinstance(run.error, CredentialsError)
    assert "charges" in str(run.error)
    assert len(run.ids("customers")) == 1_150
    assert run.state["currently_syncing"] == "charges"


def test_a_key_that_has_expired_ends_the_run_at_once(faulty):
    """No list is tried with it."""
    faulty.config["api_key"] = "sk_live_wrong"

    run = faulty.run(STREAM)

    assert isinstance(run.error, CredentialsError)
    assert len(faulty.asked) == 1
    assert "sk_live_wrong" not in str(run.error)
