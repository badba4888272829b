"""Count the calls of a client, and log the counts as the SDK's METRIC points."""

from __future__ import annotations

import collections
import logging
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_core.http_messages import Call

# As often as the SDK's own counters.
EVERY_SECONDS = 60.0


class CallMetrics:
    """Counts by endpoint, status and category; never by anything without bounds.

    Each point holds what was added since the last one, as those of the SDK do.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: collections.Counter[tuple[str, int, str]] = collections.Counter()
        self._logged_at = clock()

    def __call__(self, call: Call) -> None:
        """Count a call, and log if the last time is long ago."""
        category = call.decision.category.value if call.decision else ""
        with self._lock:
            self._counts[call.endpoint, call.status, category] += 1
            is_due = self._clock() - self._logged_at >= EVERY_SECONDS
        if is_due:
            self.log()

    def log(self) -> None:
        """Log what was counted since the last time."""
        from singer_sdk import metrics  # noqa: PLC0415 0.3 s without a tap around it

        with self._lock:
            counts, self._counts = self._counts, collections.Counter()
            self._logged_at = self._clock()
        for (endpoint, status, category), number in counts.items():
            tags = {
                "endpoint": endpoint,
                "http_status_code": status,
                "status": "failed" if category else "succeeded",
            }
            tags |= {"category": category} if category else {}
            metric = metrics.Metric.HTTP_REQUEST_COUNT
            point = metrics.Point("counter", metric, number, tags)
            metrics.log(logging.getLogger("singer_sdk.metrics"), point)
