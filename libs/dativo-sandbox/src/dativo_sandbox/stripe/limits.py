"""Stripe's limits on requests: a second's worth of each endpoint and of all.

https://docs.stripe.com/rate-limits
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from dativo_sandbox.stripe.messages import ApiError

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_sandbox.stripe.settings import StripeSettings

_SECOND = 1.0
_FILES = 20
_REASON = "Stripe-Rate-Limited-Reason"


class Window:
    """The requests of the last second."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._times: collections.deque[float] = collections.deque()

    def is_full(self, now: float) -> bool:
        """Tell whether one more request would be too many."""
        while self._times and self._times[0] <= now - _SECOND:
            self._times.popleft()
        return len(self._times) >= self.most

    def add(self, now: float) -> None:
        """Count a request."""
        self._times.append(now)


@dataclasses.dataclass
class Limits:
    """Who may ask how often, and who asked too often.

    Args:
        settings: The limits.
        monotonic: The clock, in seconds.

    Attributes:
        running: Requests that were let in and are not answered yet.
        most_running: The most that there ever were.
        violations: Requests too many, by reason.
    """

    settings: StripeSettings
    monotonic: Callable[[], float]
    running: int = 0
    most_running: int = 0
    violations: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    _windows: dict[str, Window] = dataclasses.field(default_factory=dict)

    def enter(self, endpoint: str, *, livemode: bool) -> None:
        """Let a request in.

        Raises:
            ApiError: It is one too many, and limits are enforced.
        """
        now = self.monotonic()
        windows = self._of(endpoint, livemode=livemode)
        reason = self._reason(windows, now)
        if reason:
            self.violations[reason] += 1
            if self.settings.rate_limits:
                raise too_many(reason)
        for window in windows.values():
            window.add(now)
        self.running += 1
        self.most_running = max(self.most_running, self.running)

    def leave(self) -> None:
        """Note that a request that was let in has been answered."""
        self.running -= 1

    def _reason(self, windows: dict[str, Window], now: float) -> str:
        if self.running >= self.settings.concurrency:
            return "global-concurrency"
        full = (reason for reason, window in windows.items() if window.is_full(now))
        return next(full, "")

    def _of(self, endpoint: str, *, livemode: bool) -> dict[str, Window]:
        settings = self.settings
        most = settings.live_rate if livemode else settings.test_rate
        each = _FILES if endpoint == "GET /v1/files" else settings.endpoint_rate
        return {
            "global-rate": self._window(f"all {livemode}", most),
            "endpoint-rate": self._window(f"{endpoint} {livemode}", each),
        }

    def _window(self, name: str, most: int) -> Window:
        return self._windows.setdefault(name, Window(most))


def too_many(reason: str, **headers: str) -> ApiError:
    """Return the error for a request too many."""
    message = (
        "Request rate limit exceeded. You can learn more about rate limits here "
        "https://stripe.com/docs/rate-limits."
    )
    given = {_REASON: reason} if reason else {}
    return ApiError(429, message, code="rate_limit", headers={**given, **headers})
