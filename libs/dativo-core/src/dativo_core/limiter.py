"""Send no more requests than a provider allows, and fewer when it says so.

Every endpoint has a bucket, and all of them share another; a request waits for both. A
bucket remembers when its last requests went: as many as the provider counts together
never go within the provider's window, so what a pause has left over may be made up for,
and what is later than that is lost. The provider counts a request when it arrives: one
that was held up on the way counts from then. A refusal halves the rate, and success
restores it little by little.
"""

from __future__ import annotations

import collections
import contextlib
import json
import math
import os
import threading
import time
import typing as t
from dataclasses import astuple, dataclass, field, replace

from dativo_core.errors import ConfigurationError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping
    from pathlib import Path

GLOBAL = "*"
CUT = 0.5
# Requests under way are refused together: that is one reason to slow down, not many.
HOLD_SECONDS = 1.0
RECOVERY_PER_SECOND = 0.02
FLOOR = 0.02
# Times the rate at which a pause is made up for: faster would be a burst.
HASTE = 2.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second, as the provider allows them.

    Args:
        everywhere: For all endpoints together.
        endpoint: For one endpoint, unless `endpoints` names it.
        endpoints: For some endpoints.
        share: Part of it that this program may use, in (0, 1]. Less than 1 leaves room
            for other programs, and for requests that the network brings together.
        window: Seconds over which the provider counts. Without one, requests are evenly
            spaced, and a pause is not made up for.
    """

    everywhere: float
    endpoint: float
    endpoints: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.9
    window: float = 0.0

    def ceiling(self, name: str) -> float:
        """Return the rate of a bucket when nothing is wrong."""
        return self._allowed(name) * self.share

    @property
    def room(self) -> float:
        """Seconds by which a request may be held up without being one too many."""
        return self.window * (1 / self.share - 1)

    def counted(self, name: str) -> int:
        """Return how many requests of a bucket the provider counts together."""
        return max(1, int(self._allowed(name) * self.window))

    def _allowed(self, name: str) -> float:
        if name == GLOBAL:
            return self.everywhere
        return self.endpoints.get(name, self.endpoint)


@dataclass(frozen=True, slots=True)
class Bucket:
    """When the next request may go; times are those of the limiter's clock.

    Args:
        rate: Requests a second.
        blocked_until: Before that nothing goes.
        changed_at: Since when the rate is what it is.
        went: When the last requests went, as many as are counted together.
    """

    rate: float
    blocked_until: float = 0.0
    changed_at: float = 0.0
    went: tuple[float, ...] = ()

    def recovered(self, ceiling: float, now: float) -> Bucket:
        """Return the bucket with the rate that it has earned since the last change."""
        if self.changed_at > now + HOLD_SECONDS:  # the clock was set back
            return Bucket(ceiling, changed_at=now)
        gain = ceiling * RECOVERY_PER_SECOND * max(0.0, now - self.changed_at)
        rate = min(ceiling, self.rate + gain)
        return replace(self, rate=rate, changed_at=max(self.changed_at, now))

    def opens_at(self, counted: int) -> float:
        """Return when the next request may go, if so many are counted together."""
        if not self.went:
            return self.blocked_until
        opens_at = max(self.blocked_until, self.went[-1] + 1 / (HASTE * self.rate))
        if len(self.went) < counted:
            return opens_at
        return max(opens_at, self.went[-counted] + counted / self.rate)

    def taken(self, now: float, counted: int) -> Bucket:
        """Return the bucket after a request."""
        return replace(self, went=(*self.went, now)[-counted:])

    def delayed(self, at: float, seconds: float) -> Bucket:
        """Return the bucket when the request that was let go then went later."""
        went = (moment + seconds * (moment == at) for moment in self.went)
        return replace(self, went=tuple(sorted(went)))

    def throttled(self, ceiling: float, now: float) -> Bucket:
        """Return the bucket after a refusal."""
        if self.changed_at > now:
            return self
        rate = max(ceiling * FLOOR, self.rate * CUT)
        return replace(self, rate=rate, changed_at=now + HOLD_SECONDS)


class HeldError(Exception):
    """The provider wants no request for longer than the limiter waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no request for {seconds:.0f} seconds")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to send one request: when it was given, and after how many seconds."""

    at: float
    waited: float


Buckets: t.TypeAlias = "MutableMapping[str, Bucket]"


class BucketStore(t.Protocol):
    """Where buckets live: in this process, or in a file that processes share."""

    def locked(self) -> contextlib.AbstractContextManager[Buckets]:
        """Give exclusive access; changes are kept."""


class MemoryBuckets:
    """Buckets of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}

    @contextlib.contextmanager
    def locked(self) -> Iterator[Buckets]:
        """Give exclusive access."""
        with self._lock:
            yield self._buckets


class FileBuckets:
    """Buckets of all processes that name the same file, on one machine.

    The lock is the kernel's: it ends with the process. A file that makes no sense is an
    empty one. The limiter's clock must be `time.time`.

    Raises:
        ConfigurationError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(self._open())
        except OSError as error:
            msg = f"{path} cannot be written ({error.strerror})."
            hint = "Name another folder for what runs share, or give write permission."
            raise ConfigurationError(msg, hint=hint) from error

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)

    @contextlib.contextmanager
    def locked(self) -> Iterator[Buckets]:
        """Give exclusive access, then write what has changed."""
        import fcntl  # noqa: PLC0415 not on Windows, where nothing else needs it

        with os.fdopen(self._open(), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = _parse(file.read())
            buckets = dict(before)
            yield buckets
            if buckets != before:
                content = {name: astuple(one) for name, one in buckets.items()}
                file.seek(0)
                file.write(json.dumps(content).encode())
                file.truncate()


def _parse(content: bytes) -> dict[str, Bucket]:
    try:
        found = json.loads(content or b"{}")
        buckets = {
            str(name): Bucket(
                float(rate), float(blocked), float(changed), _moments(went)
            )
            for name, (rate, blocked, changed, went) in found.items()
        }
    except (ValueError, TypeError, AttributeError, OverflowError):
        return {}
    # With no rate at all nothing would ever go.
    return buckets if all(one.rate > 0 for one in buckets.values()) else {}


def _moments(found: t.Iterable[t.Any]) -> tuple[float, ...]:
    return tuple(map(float, found))


class Limiter:
    """Hands out the moments at which requests may go, to all threads.

    `patience` is the longest hold of the provider's that is waited for here.
    """

    def __init__(
        self,
        rates: Rates,
        store: BucketStore | None = None,
        *,
        patience: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rates = rates
        self._store = store or MemoryBuckets()
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        # One waiter an endpoint looks at the clock; the others queue up behind it.
        self._turnstiles: dict[str, threading.Lock] = collections.defaultdict(
            threading.Lock
        )
        self._quickest: dict[str, float] = {}

    def acquire(self, endpoint: str) -> Turn:
        """Wait until a request to the endpoint may go.

        Raises:
            HeldError: That takes too long.
        """
        started = self._clock()
        with self._turnstiles[endpoint]:
            now, wait = self._take(endpoint)
            while wait > 0:
                self._sleep(wait)
                now, wait = self._take(endpoint)
        return Turn(now, now - started)

    def answered(self, endpoint: str, turn: Turn) -> None:
        """Note an answer: what took longer than others was held up on its way."""
        with self._store.locked() as buckets:
            took = self._clock() - turn.at
            quickest = min(took, self._quickest.get(endpoint, took))
            self._quickest[endpoint] = quickest
            late = took - quickest - self._rates.room
            for name in {endpoint, GLOBAL} & buckets.keys():
                if late > 0:
                    buckets[name] = buckets[name].delayed(turn.at, late)

    def throttled(
        self, endpoint: str, retry_after: float = 0.0, scope: str = ""
    ) -> None:
        """Slow down after a refusal, and let nothing go for a while.

        `scope` is the endpoint or GLOBAL, whichever the refusal was about; empty if
        nobody knows.
        """
        with self._store.locked() as buckets:
            now = self._clock()
            for name in (scope,) if scope else (endpoint, GLOBAL):
                bucket = self._current(buckets, name, now)
                slower = bucket.throttled(self._rates.ceiling(name), now)
                blocked = max(bucket.blocked_until, now + retry_after)
                buckets[name] = replace(slower, blocked_until=blocked)

    def rate(self, name: str = GLOBAL) -> float:
        """Return the requests a second that a bucket lets go now."""
        with self._store.locked() as buckets:
            return self._current(buckets, name, self._clock()).rate

    def _take(self, endpoint: str) -> tuple[float, float]:
        """Let a request go if it may; return the moment, and how long to wait."""
        with self._store.locked() as buckets:
            now = self._clock()
            found = {
                name: self._current(buckets, name, now) for name in (endpoint, GLOBAL)
            }
            counted = {name: self._rates.counted(name) for name in found}
            held = max(one.blocked_until for one in found.values()) - now
            if held > self._patience:
                raise HeldError(held)
            opens_at = max(one.opens_at(counted[name]) for name, one in found.items())
            if opens_at <= now:
                for name, one in found.items():
                    buckets[name] = one.taken(now, counted[name])
            return now, opens_at - now

    def _current(self, buckets: Buckets, name: str, now: float) -> Bucket:
        ceiling = self._rates.ceiling(name)
        bucket = buckets.get(name) or Bucket(ceiling, changed_at=now)
        return bucket.recovered(ceiling, now)
