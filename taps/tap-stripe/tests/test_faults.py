"""What Stripe and the network do wrong: a run completes, or can go on."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from dativo_core.auth import HeaderAuth
from dativo_core.errors import CredentialsError, RefusedError, TryLaterError
from tap_stripe import client

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


def test_a_cursor_that_is_deleted_between_runs_is_no_end(faulty):
    """Also if it is the first that the next run asks with."""
    cut = faulty.run(STREAM, workers=1, stop_at=12).durable
    [rest] = cut.state["bookmarks"][STREAM]["open"]
    gone = {"op": "delete", "type": "customer", "id": rest["after"]}
    faulty.server.mutate(ops=[gone])

    run = faulty.run(STREAM, state=cut.state)

    assert run.error is None
    ids = cut.ids(STREAM) + run.ids(STREAM)
    assert set(faulty.truth(STREAM)) == set(ids) - {gone["id"]}


KINDS = (
    "server_error",
    "bad_gateway",
    "reset",
    "reset_midway",
    "truncate",
    "broken_json",
    "rate_limit",
    "lock_timeout",
)
MISSION = ("customers", "charges", "invoices", "subscriptions")


def test_what_passes_is_recovered_for_few_requests(stripe_for):
    """Of all failures at least 95 percent; at most a tenth of all requests is extra."""
    stripe = stripe_for(customers=1_150)
    stripe.config |= {"request_timeout": 1, "workers": 4}
    met, lost, asked, extra = 0, 0, 0, 0
    for run_number in range(3):
        stripe.server.forget()
        stripe.server.schedule(
            *(
                {"action": kind, "probability": 0.009, "seed": 100 * run_number + seed}
                for seed, kind in enumerate(KINDS)
            )
        )
        run = stripe.run(*MISSION)
        for name in MISSION:
            assert sorted(run.ids(name)) == sorted(stripe.truth(name))
        requests = Counter(stripe.server.requests())
        asked += requests.total()
        # Whoever asks the same again does it because something went wrong.
        extra += requests.total() - len(requests)
        met += sum(stripe.server.stats()["faults"].values())
        lost += run.error is not None
    assert met > 20
    assert (met - lost) / met >= 0.95
    assert extra / asked <= 0.1


class OtherToken(HeaderAuth):
    """Credentials of which there are new ones, once."""

    def __init__(self, key):
        super().__init__({"Authorization": f"Bearer {key}"})
        self.asked = 0

    def renew(self, rejected):
        """Count."""
        assert rejected.headers["Authorization"]
        self.asked += 1
        return self.asked == 1


@pytest.mark.parametrize("times", [1, 0])
def test_a_token_that_expires_is_renewed_once(faulty, monkeypatch, times):
    """Then the request goes again; refused for good, the run can go on later."""
    auth = OtherToken(faulty.config["api_key"])
    monkeypatch.setattr(client, "bearer", lambda _: auth)
    rule = {"action": "token_expired", "path": "/v1/customers", "first": 4}
    faulty.server.schedule({**rule, "times": times})

    run = faulty.run(STREAM, workers=1)
    faulty.server.schedule()
    rest = faulty.run(STREAM, state=run.state) if run.error else None

    ids = run.ids(STREAM) + (rest.ids(STREAM) if rest else [])
    assert len(ids) == len(set(ids)) == 1_150
    assert auth.asked == (1 if times else 2) - (times == 0)
    assert isinstance(run.error, type(None) if times else CredentialsError)


def test_a_breaker_that_is_open_lets_no_request_through(faulty, tmp_path):
    """What two runs have learned of a Stripe that is down, the third knows."""
    path = {"path": "/v1/customers"}
    faulty.server.schedule({"action": "server_error", "first": 4, **path})
    cut = faulty.run(STREAM)
    faulty.server.schedule({"action": "server_error"})
    faulty.now = faulty.time.now
    # No patience until the breaker would let a probe through.
    rules = tmp_path / "rules.yaml"
    rules.write_text("retry: {deadline_seconds: 5}")
    known = {"state_folder": str(tmp_path), "error_handling": str(rules)}
    known["state"] = cut.state
    down = [faulty.run(STREAM, **known) for _ in range(3)]
    faulty.server.forget()

    soon = faulty.run(STREAM, **known)

    assert faulty.server.stats()["requests"] == 0
    for run in (cut, *down, soon):
        assert isinstance(run.error, TryLaterError)
        assert run.state == cut.state
    faulty.server.schedule()
    rest = faulty.run(STREAM, state=soon.state)
    ids = cut.ids(STREAM) + rest.ids(STREAM)
    assert len(ids) == len(set(ids)) == 1_150


def test_a_quota_of_the_day_says_when_to_come_back(faulty):
    """Nobody waits for it: the run ends, and names the time."""
    faulty.server.schedule({"action": "daily_quota", "first": 4})
    run = faulty.run(STREAM, workers=1)
    assert isinstance(run.error, TryLaterError)
    assert run.error.not_before == pytest.approx(time.time() + 86_400, rel=0.001)
    assert faulty.time.now() - 1_000 < 60
    assert len(run.ids(STREAM)) >= 200


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
    assert "permission" not in str(run.error)
    assert len(run.ids("customers")) == 1_150
    assert run.state["currently_syncing"] == "charges"


def test_a_key_that_has_expired_ends_the_run_at_once(faulty):
    """No list is tried with it."""
    faulty.config["api_key"] = "sk_live_wrong"

    run = faulty.run(STREAM)

    assert isinstance(run.error, CredentialsError)
    assert len(faulty.asked) == 1
    assert "sk_live_wrong" not in str(run.error)
