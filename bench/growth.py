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
from pathlib import Path

import growth_page
import sections
import sources
from axes import WAYS, points
from course import Course
from journal import Journal, from_run, to_run
from progress import say
from run import commit, install_all

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from axes import Point
    from measure import Run

    Measured: t.TypeAlias = "dict[Point, dict[str, Run]]"


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
    text = growth_page.page(measured, load)
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


if __name__ == "__main__":
    main()
