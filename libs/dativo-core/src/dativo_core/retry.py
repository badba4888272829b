"""Try again: later each time, at random moments, and not without limit."""

from __future__ import annotations

import itertools
import random
import threading
import time
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from dativo_core.errors import TryLaterError
from dativo_core.faults import Action

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dativo_core.errors import DativoError
    from dativo_core.faults import Decision

R = t.TypeVar("R")

# The last second of the year 9999.
_LAST = 253_402_300_799


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how late and how long.

    Args:
        max_attempts: Requests for one answer, the first included.
        base_seconds: Longest pause after the first failure; it doubles with each.
        cap_seconds: Longest pause that is chosen at random.
        deadline_seconds: Longest time from the first request to the last.
        spread: Part of a pause that the other side wants, added on top at random, so
            that not all clients come back at once.
    """

    max_attempts: int = 6
    base_seconds: float = 0.5
    cap_seconds: float = 60.0
    deadline_seconds: float = 300.0
    spread: float = 0.1

    def pause(self, decision: Decision, attempt: int, chance: float) -> float:
        """Return seconds to wait after the attempt failed; `chance` is in [0, 1).

        Full jitter spreads what failed together, but its short pauses are wrong for
        throttling: https://github.com/aws/aws-sdk-net/issues/4341
        """
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 60))
        wanted = decision.retry_after or 0.0
        if decision.action is Action.WAIT:
            pause = max(wanted, ceiling / 2 * (1 + chance))
        else:
            pause = max(wanted, ceiling * chance)
        return pause + wanted * self.spread * chance


class RetryBudget:
    """Bounds extra requests to a part of all requests, whoever sends them.

    When everything fails, retries multiply the load of a service that is down already:
    https://sre.google/sre-book/handling-overload/. A throttled request costs nothing
    here: it was not served, and the limiter slows down all that follow.

    Args:
        ratio: Retries that each first request earns.
        reserve: Retries to start with, so that a short run survives a short fault.
        most: Retries that can be saved up.
    """

    def __init__(
        self, ratio: float = 0.1, reserve: float = 30.0, most: float = 100.0
    ) -> None:
        self._ratio = ratio
        self._most = most
        self._balance = reserve
        self._lock = threading.Lock()

    def deposit(self) -> None:
        """Earn a part of a retry by a first request."""
        with self._lock:
            self._balance = min(self._most, self._balance + self._ratio)

    def withdraw(self) -> bool:
        """Take one retry, if there is one."""
        with self._lock:
            if self._balance < 1:
                return False
            self._balance -= 1
            return True


class AttemptError(Exception):
    """One attempt failed in a way that may pass.

    Args:
        decision: RETRY or WAIT, and for how long.
        error: What to raise when it does not pass.
        is_sent: Whether the other side was asked at all: only then it counts.
    """

    def __init__(
        self, decision: Decision, error: DativoError, *, is_sent: bool = True
    ) -> None:
        super().__init__(decision.reason)
        self.decision = decision
        self.error = error
        self.is_sent = is_sent


@dataclass(frozen=True, slots=True)
class Retry:
    """What a hook is told before the pause: `attempt` has failed."""

    attempt: int
    pause_seconds: float
    decision: Decision


Hook: t.TypeAlias = "Callable[[Retry], None]"


class Retrier:
    """Calls work until it succeeds, fails for good, or patience ends."""

    def __init__(
        self,
        policy: RetryPolicy,
        budget: RetryBudget,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._chance = chance
        self._hooks = hooks

    def call(self, work: Callable[[], R]) -> R:
        """Return what `work` returns.

        Raises:
            TryLaterError: when the pause that is due leads beyond the deadline.
            DativoError: that of the last AttemptError, when patience or budget ends.
        """
        started = self._clock()
        self._budget.deposit()
        attempts = itertools.count(1)
        attempt = next(attempts)
        while True:
            try:
                return work()
            except AttemptError as failed:
                pause = self._pause(failed, attempt, self._clock() - started)
                event = Retry(attempt, pause, failed.decision)
                attempt = next(attempts) if failed.is_sent else attempt
            for hook in self._hooks:
                hook(event)
            self._sleep(pause)

    def _pause(self, failed: AttemptError, attempt: int, elapsed: float) -> float:
        decision = failed.decision
        pause = self._policy.pause(decision, attempt, self._chance())
        if elapsed + pause > self._policy.deadline_seconds:
            raise self._too_late(decision, pause) from failed.error
        if failed.is_sent and not self._may_send(decision, attempt):
            raise failed.error
        return pause

    def _may_send(self, decision: Decision, attempt: int) -> bool:
        most = decision.max_attempts or self._policy.max_attempts
        if attempt >= min(most, self._policy.max_attempts):
            return False
        return decision.action is Action.WAIT or self._budget.withdraw()

    def _too_late(self, decision: Decision, pause: float) -> TryLaterError:
        not_before = decision.not_before or self._now() + pause
        error = TryLaterError(
            f"{decision.reason} That is longer than this run waits.",
            hint=f"Run again, not before {moment(not_before)}.",
        )
        error.not_before = not_before
        error.decision = decision
        return error


def moment(seconds: float) -> str:
    """Return a time since 1970 as ISO 8601 in UTC, to the next full second."""
    # A server may ask for a wait beyond all calendars.
    rounded = datetime.fromtimestamp(min(-(-seconds // 1), _LAST), timezone.utc)
    return rounded.isoformat().replace("+00:00", "Z")
