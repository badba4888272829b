"""Figures in the log as the SDK writes them: Meltano and log collectors read those."""

from __future__ import annotations

import enum

from singer_sdk import metrics


class Metric(str, enum.Enum):
    """What the SDK does not count."""

    DEAD_LETTER_COUNT = "dead_letter_count"


DEAD_LETTERS = Metric.DEAD_LETTER_COUNT


def count(metric: Metric, value: int, stream: str) -> None:
    """Log a counter's value for a stream."""
    tags = {metrics.Tag.STREAM.value: stream}
    point: metrics.Point[int] = metrics.Point("counter", metric, value, tags)  # type: ignore[arg-type]
    metrics.log(metrics.get_metrics_logger(), point)
