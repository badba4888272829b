"""Stop asking a service that fails, and find out gently when it is back.

closed     calls go through; their outcomes fill a sliding window
open       calls are refused until a time that each opening in a row doubles
half-open  a few probes go through: all must succeed, one failure opens again
"""

from __future__ import annotations

import enum
import hashlib
import threading
import time
import typing as t
from dataclasses import dataclass, replace

from dativo_core.errors import TryLaterError
from dativo_core.retry import moment

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Phase(str, enum.Enum):
    """What the breaker does with calls."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to open, and for how long.

    Args:
        window_calls: The newest calls that count.
        window_seconds: Age beyond which a call does not count.
        minimum_calls: Calls in the window below which nothing opens.
        failure_ratio: Part of failed calls at which it opens.
        slow_seconds: Duration from which a call is slow.
        slow_ratio: Part of slow calls at which it opens.
        open_seconds: How long it stays open the first time.
        open_cap_seconds: How long it stays open at most.
        probes: Calls that must succeed, one after the other or at once, to close it.
    """

    window_calls: int = 40
    window_seconds: float = 60.0
    minimum_calls: int = 10
    failure_ratio: float = 0.5
    slow_seconds: float = 60.0
    slow_ratio: float = 1.0
    open_seconds: float = 10.0
    open_cap_seconds: float = 600.0
    probes: int = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call in the window: when it ended, in seconds since 1970, and how."""

    at: float
    is_failed: bool
    is_slow: bool


@dataclass(frozen=True, slots=True)
class BreakerState:
    """All that one run leaves to the next.

    Args:
        phase: CLOSED or OPEN; a run that ends while probing leaves OPEN.
        opened_at: Seconds since 1970.
        openings: How often in a row it opened.
        window: Outcomes, the oldest first.
    """

    phase: Phase = Phase.CLOSED
    opened_at: float = 0.0
    openings: int = 0
    window: tuple[Outcome, ...] = ()


class BreakerStore(t.Protocol):
    """Where states live between runs."""

    def load(self, key: str) -> BreakerState | None:
        """Return what was saved, if it can be read."""

    def save(self, key: str, state: BreakerState) -> None:
        """Keep a state."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What a listener is told."""

    key: str
    before: Phase
    after: Phase
    reason: str


class BreakerOpenError(TryLaterError):
    """The breaker refuses a call; `retry_after` seconds from now it may not."""

    retry_after: float = 0.0


# While others probe, there is nothing to do but to look again soon.
PROBING_SECONDS = 1.0


class Permit:
    """The right to make one call, whose outcome must be told once."""

    def __init__(self, breaker: Breaker, generation: int) -> None:
        self._breaker = breaker
        self._generation = generation
        self._is_used = False

    def record(self, *, is_failed: bool, seconds: float) -> None:
        """Tell how the call ended and how long it took."""
        if not self._is_used:
            self._is_used = True
            self._breaker._record(self._generation, is_failed, seconds)  # noqa: SLF001

    def release(self) -> None:
        """Give back a permit without an outcome; after `record` it does nothing."""
        if not self._is_used:
            self._is_used = True
            self._breaker._release(self._generation)  # noqa: SLF001


class Breaker:
    """One circuit breaker for one host and credential, shared by all threads."""

    def __init__(
        self,
        key: str,
        policy: BreakerPolicy | None = None,
        store: BreakerStore | None = None,
        *,
        now: Callable[[], float] = time.time,
        listeners: Sequence[Callable[[Transition], None]] = (),
    ) -> None:
        self._key = key
        self._policy = policy or BreakerPolicy()
        self._store = store
        self._now = now
        self._listeners = listeners
        self._lock = threading.RLock()
        self._state = (store.load(key) if store else None) or BreakerState()
        # Outcomes of calls that began before a transition must not count after it.
        self._generation = 0
        self._probing = 0
        self._probed = 0

    @property
    def phase(self) -> Phase:
        """What it does with calls now."""
        return self._state.phase

    def admit(self) -> Permit:
        """Return the right to make one call.

        Raises:
            BreakerOpenError: with the seconds to wait.
        """
        with self._lock:
            if self._state.phase is Phase.OPEN:
                self._try_half_open()
            if self._state.phase is Phase.HALF_OPEN:
                if self._probing + self._probed >= self._policy.probes:
                    raise self._refusal(PROBING_SECONDS)
                self._probing += 1
            return Permit(self, self._generation)

    def save(self) -> None:
        """Leave the window to the next run."""
        with self._lock:
            self._keep(self._state)

    def _try_half_open(self) -> None:
        now = self._now()
        # A clock that was set back must not keep it open for longer than planned.
        opened_at = min(self._state.opened_at, now)
        remaining = opened_at + self._open_seconds() - now
        if remaining > 0:
            raise self._refusal(remaining)
        self._move(replace(self._state, phase=Phase.HALF_OPEN), "It is time to probe.")

    def _open_seconds(self) -> float:
        doubled = self._policy.open_seconds * 2.0 ** min(self._state.openings - 1, 60)
        return min(self._policy.open_cap_seconds, doubled)

    def _refusal(self, seconds: float) -> BreakerOpenError:
        not_before = self._now() + seconds
        error = BreakerOpenError(
            f"{self._key.partition('#')[0]} has failed too often and is left alone.",
            hint=f"Run again, not before {moment(not_before)}.",
        )
        error.retry_after = seconds
        error.not_before = not_before
        return error

    def _record(self, generation: int, is_failed: bool, seconds: float) -> None:
        with self._lock:
            if generation != self._generation:
                return
            now = self._now()
            outcome = Outcome(now, is_failed, seconds >= self._policy.slow_seconds)
            if self._state.phase is Phase.HALF_OPEN:
                self._record_probe(outcome)
                return
            window = self._current((*self._state.window, outcome), now)
            self._state = replace(self._state, window=window)
            if reason := self._reason_to_open(window):
                self._open(reason)

    def _record_probe(self, outcome: Outcome) -> None:
        self._probing -= 1
        if outcome.is_failed or outcome.is_slow:
            self._open("A probe failed." if outcome.is_failed else "A probe was slow.")
            return
        self._probed += 1
        if self._probed >= self._policy.probes:
            self._move(BreakerState(), f"{self._probed} probes succeeded.")

    def _release(self, generation: int) -> None:
        with self._lock:
            if generation == self._generation and self._probing:
                self._probing -= 1

    def _current(self, window: tuple[Outcome, ...], now: float) -> tuple[Outcome, ...]:
        oldest = now - self._policy.window_seconds
        young = tuple(one for one in window if one.at > oldest)
        return young[-self._policy.window_calls :]

    def _reason_to_open(self, window: tuple[Outcome, ...]) -> str:
        total = len(window)
        if total < self._policy.minimum_calls:
            return ""
        failed = sum(one.is_failed for one in window)
        if failed >= self._policy.failure_ratio * total:
            return f"{failed} of {total} calls failed."
        slow = sum(one.is_slow for one in window)
        if slow >= self._policy.slow_ratio * total:
            return f"{slow} of {total} calls were slow."
        return ""

    def _open(self, reason: str) -> None:
        openings = self._state.openings + 1
        self._move(BreakerState(Phase.OPEN, self._now(), openings), reason)

    def _move(self, state: BreakerState, reason: str) -> None:
        before, self._state = self._state.phase, state
        self._generation += 1
        self._probing = self._probed = 0
        self._keep(state)
        for listener in self._listeners:
            listener(Transition(self._key, before, state.phase, reason))

    def _keep(self, state: BreakerState) -> None:
        if self._store:
            is_probing = state.phase is Phase.HALF_OPEN
            kept = replace(state, phase=Phase.OPEN) if is_probing else state
            self._store.save(self._key, kept)


def breaker_key(host: str, credential: str) -> str:
    """Name host and credential, the latter beyond recognition."""
    return f"{host}#{hashlib.sha256(credential.encode()).hexdigest()[:16]}"
