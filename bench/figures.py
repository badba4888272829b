"""What the runs of a contender come to."""

from __future__ import annotations

import statistics
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from measure import Cost, Run


def seconds(runs: Sequence[Run]) -> float:
    """Return the median time."""
    return statistics.median(run.seconds for run in runs)


def cpu_seconds(runs: Sequence[Run]) -> float:
    """Return the median of what all programs of the pipe spend together."""
    return statistics.median(
        sum(cost.cpu_seconds for cost in run.costs) for run in runs
    )


def peak_bytes(runs: Sequence[Run]) -> float:
    """Return the median peak of the largest program."""
    return max(of_each(runs, lambda cost: cost.peak_bytes))


def part_of_core(runs: Sequence[Run]) -> float:
    """Return what part of one core the last program takes while the pipe runs."""
    return statistics.median(run.costs[-1].cpu_seconds / run.seconds for run in runs)


def of_each(runs: Sequence[Run], value: Callable[[Cost], float]) -> list[float]:
    """Return the median of a value for each program of the pipe."""
    programs = zip(*(run.costs for run in runs), strict=True)
    return [statistics.median(map(value, costs)) for costs in programs]
