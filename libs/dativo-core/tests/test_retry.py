"""Retries come later each time, at random moments, and end."""

from __future__ import annotations

import threading

import pytest
from dativo_core.errors import DativoError, TryLaterError
from dativo_core.faults import Action, Category, Decision
from dativo_core.retry import (
    AttemptError,
    Retrier,
    Retry,
    RetryBudget,
    RetryPolicy,
    moment,
)
from hypothesis import given
from hypothesis import strategies as st

POLICY = RetryPolicy(4, base_seconds=2, cap_seconds=9, deadline_seconds=100, spread=0.1)
FAULT = Decision(Category.TRANSIENT, Action.RETRY, reason="It broke.")
THROTTLED = Decision(Category.RATE_LIMIT, Action.WAIT, reason="Too fast.")


def after(seconds, action=Action.WAIT, **options):
    """Return a decision that wants a pause."""
    category = Category.RATE_LIMIT
    return Decision(category, action, reason="R.", retry_after=seconds, **options)


class Work:
    """Fails with each error in turn, then returns its number of calls."""

    def __init__(self, *errors) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def failed(decision=FAULT, times=1, **options):
    """Return attempts that failed."""
    error = DativoError("gave up")
    return [AttemptError(decision, error, **options) for _ in range(times)]


@pytest.fixture
def retrier(clock):
    """Build a retrier on fake time, half way between all chances."""

    def build(policy=POLICY, budget=None, **options):
        times = {"clock": clock.now, "now": clock.now, "sleep": clock.sleep}
        budget = budget or RetryBudget(0, 1000)
        return Retrier(policy, budget, **{**times, "chance": lambda: 0.5, **options})

    return build


@pytest.mark.parametrize(
    ("decision", "attempt", "chance", "seconds"),
    [
        # Full jitter: from nothing to a ceiling that doubles, then stays.
        (FAULT, 1, 0, 0),
        (FAULT, 1, 0.5, 1),
        (FAULT, 2, 0.5, 2),
        (FAULT, 3, 0.5, 4),
        (FAULT, 4, 0.5, 4.5),
        (FAULT, 10**6, 1, 9),
        # Equal jitter: never less than half of it.
        (THROTTLED, 1, 0, 1),
        (THROTTLED, 1, 0.5, 1.5),
        (THROTTLED, 2, 0, 2),
        (THROTTLED, 3, 1, 8),
        (THROTTLED, 4, 0, 4.5),
        # What the other side wants is the least, and some wait longer.
        (after(20), 1, 0, 20),
        (after(20), 1, 0.5, 21),
        (after(20), 1, 1, 22),
        (after(1), 3, 0, 4),
        (after(1), 3, 1, 8.1),
        (after(5, Action.RETRY), 1, 0, 5),
        (after(5, Action.RETRY), 3, 1, 8.5),
        (after(0), 1, 0.5, 1.5),
    ],
)
def test_pauses(decision, attempt, chance, seconds) -> None:
    """Each kind of fault has its jitter; Retry-After is a lower bound for both."""
    assert POLICY.pause(decision, attempt, chance) == pytest.approx(seconds)


@given(
    st.sampled_from([Action.RETRY, Action.WAIT]),
    st.none() | st.floats(0, 1e6),
    st.integers(1, 10**9),
    st.floats(0, 1, exclude_max=True),
)
def test_no_pause_is_shorter_than_wanted(action, wanted, attempt, chance) -> None:
    """Retry-After is kept, and the pause stays within 10 percent of what is due."""
    pause = POLICY.pause(after(wanted, action), attempt, chance)
    assert (wanted or 0) <= pause <= max(wanted or 0, 9) + 0.1 * (wanted or 0)


def test_defaults() -> None:
    """The documentation and the shipped file name these."""
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.base_seconds) == (6, 0.5)
    assert (policy.cap_seconds, policy.deadline_seconds) == (60, 300)
    assert policy.spread == 0.1


def test_what_succeeds_is_done_once(retrier, clock) -> None:
    """No pause, no second call."""
    assert retrier().call(Work()) == 1
    assert clock.slept == []


def test_what_fails_is_done_again(retrier, clock) -> None:
    """Pauses double; the result is that of the call that succeeded."""
    assert retrier().call(Work(*failed(times=3))) == 4
    assert clock.slept == [1, 2, 4]


def test_attempts_are_counted(retrier, clock) -> None:
    """After the last attempt the error of the fault is raised, without a pause."""
    work = Work(*failed(times=9))
    with pytest.raises(DativoError, match="gave up"):
        retrier().call(work)
    assert (work.calls, len(clock.slept)) == (4, 3)


@pytest.mark.parametrize(("most", "calls"), [(1, 1), (2, 2), (4, 4), (9, 4)])
def test_a_rule_may_allow_fewer_attempts(retrier, most, calls) -> None:
    """The lower of the rule's limit and the policy's counts."""
    decision = Decision(Category.TRANSIENT, Action.RETRY, max_attempts=most)
    work = Work(*failed(decision, times=9))
    with pytest.raises(DativoError, match="gave up"):
        retrier().call(work)
    assert work.calls == calls


def test_other_errors_pass(retrier, clock) -> None:
    """What is no AttemptError is not repeated."""
    with pytest.raises(KeyError):
        retrier().call(Work(KeyError("k")))
    assert clock.slept == []


def test_an_attempt_says_why_it_failed() -> None:
    """For whoever sees the exception itself."""
    assert str(failed()[0]) == "It broke."


def test_what_was_not_sent_does_not_count(retrier, clock) -> None:
    """A breaker's refusals cost neither attempts nor budget."""
    budget = RetryBudget(0, 0)
    refused = failed(after(3), times=8, is_sent=False)
    assert retrier(budget=budget).call(Work(*refused)) == 9
    assert clock.slept == [pytest.approx(3.15)] * 8


def test_the_deadline_is_for_the_whole_call(retrier, clock) -> None:
    """A pause that leads beyond it is not begun, and the error says until when."""
    began = clock.now()
    work = Work(*failed(after(40), times=9))
    with pytest.raises(TryLaterError, match=r"R\. That is longer than") as caught:
        retrier().call(work)
    assert work.calls == 3
    assert clock.slept == [42, 42]
    assert caught.value.not_before == began + 84 + 42
    assert f"not before {moment(began + 126)}" in str(caught.value)
    assert caught.value.decision.retry_after == 40
    assert str(caught.value.__cause__) == "gave up"


def test_a_pause_that_ends_at_the_deadline_is_made(retrier, clock) -> None:
    """The deadline itself is in time."""
    policy = RetryPolicy(4, base_seconds=2, cap_seconds=9, deadline_seconds=42)
    assert retrier(policy).call(Work(*failed(after(40)))) == 2
    assert clock.slept == [42]


def test_slow_work_uses_up_the_deadline(retrier, clock) -> None:
    """The time that attempts take counts too."""

    def slow():
        clock.sleep(60)
        raise failed()[0]

    with pytest.raises(TryLaterError):
        retrier().call(slow)
    assert clock.slept == [60, 1, 60]


def test_not_before_is_that_of_the_fault(retrier, clock) -> None:
    """The provider's own time goes before one that was computed."""
    decision = after(1000, not_before=clock.now() + 1000)
    with pytest.raises(TryLaterError) as caught:
        retrier().call(Work(*failed(decision)))
    assert caught.value.not_before == clock.now() + 1000


def test_hooks_are_told_before_the_pause(clock, retrier) -> None:
    """Each hook gets the number of the attempt, the pause and the decision."""
    told = []

    def hook(retry) -> None:
        told.append((retry, len(clock.slept)))

    retrier(hooks=[hook, hook]).call(Work(*failed(times=2)))
    first, second = Retry(1, 1, FAULT), Retry(2, 2, FAULT)
    assert told == [(first, 0), (first, 0), (second, 1), (second, 1)]


def test_the_budget_is_spent_and_earned() -> None:
    """A reserve to start with, a part of each request, and an upper limit."""
    budget = RetryBudget(ratio=0.5, reserve=1, most=2)
    assert [budget.withdraw(), budget.withdraw()] == [True, False]
    budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert [budget.withdraw(), budget.withdraw()] == [True, False]
    for _ in range(100):
        budget.deposit()
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]


def test_the_budget_by_default() -> None:
    """30 retries to start with, then one for ten requests, and 100 at most."""
    budget = RetryBudget()
    assert sum(budget.withdraw() for _ in range(50)) == 30
    for _ in range(11):
        budget.deposit()
    assert [budget.withdraw(), budget.withdraw()] == [True, False]
    for _ in range(5000):
        budget.deposit()
    assert sum(budget.withdraw() for _ in range(500)) == 100


def test_the_budget_ends_retries(retrier, clock) -> None:
    """When it is spent, a fault is final; other calls earn the next retry."""
    budget = RetryBudget(ratio=0.25, reserve=1)
    work = Work(*failed(times=9))
    with pytest.raises(DativoError, match="gave up"):
        retrier(budget=budget).call(work)
    assert work.calls == 2
    for _ in range(3):
        retrier(budget=budget).call(Work())
    assert retrier(budget=budget).call(Work(*failed())) == 2
    assert len(clock.slept) == 2


def test_throttling_costs_no_budget(retrier) -> None:
    """A request that was not served put no load on the service."""
    assert retrier(budget=RetryBudget(0, 0)).call(Work(*failed(THROTTLED))) == 2


def test_extra_requests_are_bounded_when_all_fails(retrier) -> None:
    """A thousand calls into an outage cause 30 + 10 percent more requests, no more."""
    budget = RetryBudget()
    work = Work(*failed(times=10_000))
    retrier_of_all = retrier(budget=budget)
    for _ in range(1000):
        with pytest.raises(DativoError):
            retrier_of_all.call(work)
    assert 1000 + 30 < work.calls <= 1000 + 30 + 100


def test_the_budget_is_shared_by_threads() -> None:
    """No retry is granted twice."""
    budget, granted = RetryBudget(0, 500, 500), []

    def spend() -> None:
        granted.extend(budget.withdraw() for _ in range(200))

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 500


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1.2, "1970-01-01T00:00:02Z"),
        (1e300, "9999-12-31T23:59:59Z"),
    ],
)
def test_moments_are_not_too_early(seconds, text) -> None:
    """A part of a second counts as a whole one; some are beyond all calendars."""
    assert moment(seconds) == text
