"""Lay out how cost grows, and say what follows from the figures."""

from __future__ import annotations

import typing as t

import figures
import report
from axes import ROWS, WAYS

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from axes import Point
    from measure import Run

HEAD = (
    "what grows",
    "how",
    "rows",
    "seconds",
    "CPU seconds of each program",
    "peak MB of each program",
    "CPU microseconds a value",
)
# A load of ten times the rows may take so much more memory, and no more than that.
MOST_GROWTH = 0.2
MOST_BYTES = 500e6


def page(measured: Mapping[Point, Mapping[str, Run]], load: float) -> str:
    """Return the section.

    Args:
        measured: The run of each way at each point.
        load: How many programs wanted the processor before the first run.
    """
    lines = [
        "## How cost grows\n",
        "One run each, in fresh processes, start-up and commits included; each counts "
        "only if DuckDB finds the rows of the source. Streams share 200,000 rows; "
        "columns share 5 million values, three of four null in a table of more than "
        "300 columns. Postgres stops at 1,600 of them: more come from a file. "
        "Made by `nox -s bench_growth`.\n",
        report.line(HEAD),
        report.line(["---", "---", *["--:"] * (len(HEAD) - 2)]),
        *(
            report.line(_cells(point, way, run))
            for point, found in measured.items()
            for way, run in found.items()
        ),
        "",
        *trends(measured),
        *memory(measured),
    ]
    return "\n".join((*lines, "", *report.machine((), load)))


def _cells(point: Point, way: str, run: Run) -> Iterator[str]:
    yield point.title
    yield WAYS[way].title
    yield f"{point.all_rows:,}"
    yield f"{run.seconds:.2f}"
    yield " + ".join(f"{cost.cpu_seconds:.2f}" for cost in run.costs)
    yield " + ".join(f"{cost.peak_bytes / 1e6:.0f}" for cost in run.costs)
    yield f"{_of_a_value(point, run):.2f}"


def _of_a_value(point: Point, run: Run) -> float:
    """Return the CPU microseconds that a value takes."""
    values = point.all_rows * point.columns
    return figures.cpu_seconds([run]) / values * 1e6


def trends(measured: Mapping[Point, Mapping[str, Run]]) -> Iterator[str]:
    """Say how the cost of a value changes from the first point of an axis to the last.

    A way that is missing at an end is compared where it has run.
    """
    for axis in dict.fromkeys(point.data.title for point in measured):
        of_axis = {at: it for at, it in measured.items() if at.data.title == axis}
        for way in next(iter(of_axis.values())):
            first, *_, last = (at for at, found in of_axis.items() if way in found)
            before, after = (_of_a_value(at, measured[at][way]) for at in (first, last))
            yield (
                f"- {WAYS[way].title}: a value takes {after / before:.2f} times the "
                f"CPU at {last.title} of what it takes at {first.title}."
            )


def memory(measured: Mapping[Point, Mapping[str, Run]]) -> Iterator[str]:
    """Say for each program whether memory stays flat while the rows grow tenfold."""
    *_, fewer, more = (it for at, it in measured.items() if at.data.title == ROWS)
    for way in more:
        if way in fewer:
            pairs = zip(fewer[way].costs, more[way].costs, strict=True)
            for before, after in pairs:
                change = after.peak_bytes / before.peak_bytes - 1
                is_flat = change <= MOST_GROWTH and after.peak_bytes < MOST_BYTES
                yield (
                    f"- {WAYS[way].title}, {after.program}: "
                    f"{after.peak_bytes / 1e6:.0f} MB, {change:+.0%} from a tenth of "
                    f"the rows. {'Within' if is_flat else '**Beyond**'} the bar of "
                    f"{MOST_GROWTH:.0%} and {MOST_BYTES / 1e6:.0f} MB."
                )
