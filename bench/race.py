"""Let contenders run, round by round."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

import measure
from contenders import CONTENDERS, DATA
from course import Course
from journal import Journal, from_run, to_run
from progress import say

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sources import Source


@dataclass
class Results:
    """What came out.

    Attributes:
        rows: How many rows there are of each kind.
        runs: The runs of each contender.
        failures: Why others did not do their work, by contender.
    """

    rows: dict[str, int] = field(default_factory=dict)
    runs: dict[str, list[measure.Run]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class Race:
    """Kinds of rows, and contenders for each.

    Args:
        sources: Servers by name.
        rows: How many rows were asked for.
        folder: Where everything is made.
        journal: What was measured before, if a run was cut off.
    """

    def __init__(
        self, sources: Mapping[str, Source], rows: int, folder: Path, journal: Journal
    ) -> None:
        self._sources, self._rows, self._folder = sources, rows, folder
        self._journal = journal
        self._results = Results()

    def run(self, names: Sequence[str], rounds: int) -> Results:
        """Run each contender once a round, another one first in each.

        Kinds of rows come one after the other: what is compared runs side by side.
        """
        for data in DATA:
            chosen = [name for name in names if CONTENDERS[name].data == data]
            if chosen:
                self._of_one_kind(data, chosen, rounds)
        return self._results

    def _of_one_kind(self, data: str, names: Sequence[str], rounds: int) -> None:
        rows = self._rows // DATA[data].share
        say(f"{data}: making {rows:,} rows ...")
        course = Course(
            DATA[data],
            rows,
            self._sources.get(DATA[data].source),
            self._folder / "data" / data,
            self._folder / "work",
        )
        course.prepare([CONTENDERS[name] for name in names])
        self._results.rows[data] = course.rows
        for number, name in turns(names, rounds):
            self._once(course, name, number)

    def _once(self, course: Course, name: str, number: int) -> None:
        entry = self._journal.find(name, number)
        if entry is None:
            entry = self._measured(course, name)
            self._journal.add(name, number, entry)
        if "failure" in entry:
            self._results.failures[name] = entry["failure"]
            said = "failed"
        else:
            run = to_run(entry)
            self._results.runs.setdefault(name, []).append(run)
            said = f"{run.seconds:.2f} s"
        say(f"round {number + 1}: {name} {said}")

    def _measured(self, course: Course, name: str) -> dict[str, t.Any]:
        """Run once; only others may fail, which the report then tells."""
        try:
            return from_run(course.run(CONTENDERS[name]))
        except measure.FailedError as error:
            if not CONTENDERS[name].peers:
                raise
            return {"failure": str(error)}


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Yield who runs in which round, one after the other."""
    for number in range(rounds):
        start = number % len(names)
        for name in [*names[start:], *names[:start]]:
            if number < CONTENDERS[name].most_rounds:
                yield number, name
