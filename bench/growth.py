#!/usr/bin/env python3
"""Measure how the cost of a load grows with rows, streams and columns.

Along each axis one number grows and the rest of the work stays the same, but for rows.
A run that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

import figures
import report
import sections
import sources
import tables
from contenders import BATCH, CONTENDERS, DLT_ICEBERG, PIPE, Contender, Data
from course import Course
from journal import Journal, from_run, to_run
from progress import say
from run import commit, install_all

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from measure import Run

    Measured: t.TypeAlias = "dict[Point, dict[str, Run]]"

OURS = ("pipe", "batch")
# What a row of so many columns would have as lines of a file, whatever tables can hold.
LINES = "lines"
ROWS = "rows"
POSTGRES_COLUMNS = 1_600
WAYS: dict[str, Contender] = {
    "pipe": replace(PIPE, title="RECORD"),
    "batch": replace(BATCH, title="BATCH"),
    "dlt-iceberg": replace(DLT_ICEBERG, title="dlt to Iceberg"),
    LINES: replace(CONTENDERS["charges"], title="RECORD lines from a file"),
}
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
MOST_ROWS = 10_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """One place on one axis.

    Attributes:
        title: Where it is.
        rows: How many rows each table has.
        columns: How many columns.
        data: What the rows are.
        ways: Who moves them.
    """

    title: str
    rows: int
    columns: int
    data: Data
    ways: tuple[str, ...]

    @property
    def all_rows(self) -> int:
        """How many rows all tables have."""
        return self.rows * len(self.data.tables)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all points, write the section."""
    options = parser().parse_args(arguments)
    plan = [*points(options.scale, peers=options.peers)]
    install_all(["dlt-iceberg"] if options.peers else [])
    order = {"scale": options.scale, "peers": options.peers, "commit": commit()}
    journal = Journal(options.journal, order)
    load = os.getloadavg()[0]
    measured: Measured = {}
    for number, point in enumerate(plan):
        say(f"{number + 1} of {len(plan)}: {point.title}, {point.all_rows:,} rows ...")
        measured[point] = dict(runs(point, number, journal))
    text = page(measured, load)
    sections.write(options.output, "growth", text)
    journal.close()
    say(text)


def parser() -> argparse.ArgumentParser:
    """Return the words of the command line."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="what part of the rows to take; 0.01 to try it out",
    )
    found.add_argument("--peers", action="store_true", help="also dlt, from PyPI")
    found.add_argument("--output", type=Path, default=Path("output/growth.md"))
    found.add_argument(
        "--journal",
        type=Path,
        default=Path("output/growth.jsonl"),
        help="where runs are kept until the section is written",
    )
    return found


def points(scale: float, *, peers: bool) -> Iterator[Point]:
    """Yield all places on all axes.

    Args:
        scale: What part of the rows to take.
        peers: Whether dlt moves them too; not ten million rows: it holds them all.
    """
    both = (*OURS, "dlt-iceberg") if peers else OURS
    orders = tables.ORDERS
    for rows in (100_000, 1_000_000, MOST_ROWS):
        ways = OURS if rows == MOST_ROWS else both
        data = Data(ROWS, (orders,))
        yield _point(f"{int(rows * scale):,} rows", rows, data, ways, scale)
    for streams in (1, 10, 100):
        names = [f"orders_{number}" for number in range(streams)]
        data = Data("streams", tuple(replace(orders, name=name) for name in names))
        title = f"{streams} stream{'s' * (streams > 1)}"
        yield _point(title, 200_000 // streams, data, both, scale)
    for columns in (10, 100, 1_000, POSTGRES_COLUMNS):
        data = Data("columns", (tables.wide(columns),))
        rows = 5_000_000 // columns
        yield _point(f"{columns:,} columns", rows, data, both, scale)
    for columns in (10, 100, 1_000, 5_000):
        command = f"{{programs}}/python {{bench}}/wide_lines.py {columns} {{rows}}"
        wide = tables.Table("wide", ())
        data = Data("columns of a file", (wide,), "file", made_by=command)
        rows = max(int(5_000_000 // columns * scale), 1)
        yield Point(f"{columns:,} columns", rows, columns, data, (LINES,))


def _point(
    title: str, rows: int, data: Data, ways: tuple[str, ...], scale: float
) -> Point:
    columns = len(data.tables[0].columns)
    return Point(title, max(int(rows * scale), 1), columns, data, ways)


def runs(point: Point, number: int, journal: Journal) -> Iterator[tuple[str, Run]]:
    """Yield the run of each way to move the rows, made anew or noted before."""
    noted = {way: journal.find(way, number) for way in point.ways}
    if any(entry is None for entry in noted.values()):
        for way, run in fresh(point, [way for way in noted if noted[way] is None]):
            noted[way] = from_run(run)
            journal.add(way, number, from_run(run))
            say(f"  {way} {run.seconds:.2f} s")
    for way, entry in noted.items():
        if entry:
            yield way, to_run(entry)


def fresh(point: Point, ways: Iterable[str]) -> Iterator[tuple[str, Run]]:
    """Make the rows on servers of their own, and let each way move them."""
    source = point.data.source
    with tempfile.TemporaryDirectory() as folder, sources.started([source]) as servers:
        place, work = Path(folder) / "rows", Path(folder) / "work"
        course = Course(point.data, point.rows, servers.get(source), place, work)
        course.prepare([WAYS[way] for way in ways])
        for way in ways:
            yield way, course.run(WAYS[way])


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


if __name__ == "__main__":
    main()
