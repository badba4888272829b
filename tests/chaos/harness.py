"""Kill a pipeline at random moments until it has loaded everything, then compare."""

from __future__ import annotations

import itertools
import json
import typing as t
from collections import Counter
from dataclasses import dataclass

from dativo_core.errors import ExitCode
from lakes import counted
from processes import Kill, Pipe, wait
from source import INCREMENTAL, refused, rows

if t.TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from lakes import Folder, Lake, Rows

ROWS = 240
EVERY = 4
PHASES = 3
TRIES = 5
UNSUCCESSFUL = {ExitCode.FENCED, ExitCode.TRY_LATER}


class BrokenPromiseError(Exception):
    """The target has broken a promise; the message says which."""


@dataclass
class Round:
    """One table, loaded in phases between which the source grows or changes."""

    mode: str
    lake: Lake | Folder
    folder: Path
    random: Random
    totals: Counter[str]
    phase: int = 0
    count: int = 0
    store: t.Any = None

    def __post_init__(self) -> None:
        self._history: list[t.Any] = [None]
        self._versions = itertools.count(1)
        self._before: Rows = Counter()

    def play(self, quota: int) -> None:
        """Go through the phases, with as many kills as the quota has left."""
        for phase in range(PHASES):
            self.phase = phase
            self.count = ROWS * (phase + 1 if self.mode in INCREMENTAL else 1)
            while self.totals["kills"] < quota:
                if self._live(is_safe=False):
                    break
            if not any(self._live(is_safe=True) for _ in range(TRIES)):
                self._fail("An undisturbed run did not complete")
            self._compare()
            if self.totals["kills"] >= quota:
                break
        self._check_runs()

    @property
    def _expected(self) -> Rows:
        return counted(rows(self.mode, self.count, self.phase))

    def _live(self, *, is_safe: bool) -> bool:
        """Run one copy or two; tell whether everything has arrived for certain."""
        copies = 1 if is_safe or self.random.random() < 0.7 else 2
        start = self.store if is_safe else self._start()
        known = self.lake.letters()
        pipes = [self._pipe(start, is_safe=is_safe) for _ in range(copies)]
        self.totals["restarts"] += copies
        wait(pipes, self._hear)
        # Two copies at once do not see each other's files, but those of all before.
        written = self.lake.letters() - known
        self._count(Counter(), written & Counter(dict.fromkeys(known, 2)))
        for pipe in pipes:
            self.totals["kills"] += pipe.is_killed
            self._judge(pipe)
        self._check_always()
        done = any(pipe.codes == (0, 0) for pipe in pipes)
        if done and copies == 1:
            self._compare()
        return done and copies == 1

    def _start(self) -> t.Any:
        """Return a state to start from; a lost store stays lost."""
        luck = self.random.random()
        if luck < 0.15:
            self.store = self.random.choice(self._history[-8:])
            self.totals["lost stores"] += 1
        elif luck < 0.3:
            self.store = self.lake.state()
        return self.store

    def _pipe(self, start: t.Any, *, is_safe: bool) -> Pipe:
        kill = None
        if not is_safe:
            tap, target = self.random.choice(
                [(True, False), (False, True), (False, True), (True, True)]
            )
            states, seconds = self.random.randrange(5), self.random.uniform(0, 0.12)
            if not states:
                seconds *= 6  # a fork needs longer to start than to go on
            kill = Kill(states, seconds, tap, target)
        version = next(self._versions)
        state = json.dumps(start or {})
        arguments = [self.mode, self.count, EVERY, self.phase, version, state]
        if self.lake.staging:
            arguments.append(self.lake.staging)
            self.totals["pipes of files"] += 1
        return Pipe.start(self.lake.config, arguments, kill, self.folder / "log")

    def _hear(self, state: t.Any) -> None:
        self.store = state
        self._history.append(state)

    def _judge(self, pipe: Pipe) -> None:
        tap, target = pipe.codes
        if target == ExitCode.FENCED:
            self.totals["fenced"] += 1
        elif target == ExitCode.CONFIGURATION and self.mode == "versions":
            # The state goes on with a load that a newer one has replaced.
            self.totals["refused"] += 1
            self.store = None
        elif target == 0 and tap == 0:
            self.totals["completed"] += 1
        elif target == 0 or target in UNSUCCESSFUL:
            # The tap was killed: the target stores what it has.
            self.totals["cut"] += 1
        elif target != -9:
            self._fail(f"The target ended with code {target}")
        if target == 0 and not pipe.is_killed and tap != 0:
            self._fail(f"The tap ended with code {tap}")

    def _check_always(self) -> None:
        """Check what readers may see at any moment."""
        found = self.lake.rows()
        self._count(Counter(), self.lake.early(self._before))
        if self.mode == "versions":
            if found not in (self._before, self._expected):
                self._fail("Readers see a part of a full load")
        elif self.mode == "upsert":
            keys = Counter(dict(row)["id"] for row in found.elements())
            self._count(Counter(), keys - Counter(set(keys)))
        else:
            self._count(Counter(), found - self._expected)

    def _compare(self) -> None:
        for found in (self.lake.rows(), self.lake.rows_of_duckdb()):
            self._count(self._expected - found, found - self._expected)
        if self.mode == "versions":
            self._before = self._expected
        self._compare_letters()
        self.totals["comparisons"] += 1

    def _compare_letters(self) -> None:
        """Every bad record is a dead letter once, in the files and in the table."""
        records = refused(self.mode, self.count, self.phase)
        expected = Counter(json.dumps(record) for record in records)
        found = self.lake.letters()
        for letters in (Counter(set(found)), self.lake.letters_of_table()):
            if letters is not None:
                texts = Counter(text for _, text in letters.elements())
                self._count(expected - texts, texts - expected)
        self.totals["dead letters"] += len(found)

    def _count(self, lost: Counter[t.Any], duplicate: Counter[t.Any]) -> None:
        self.totals["lost"] += lost.total()
        self.totals["duplicate"] += duplicate.total()
        if lost or duplicate:
            self._fail(
                f"{lost.total()} rows lost {list(lost)[:3]}, "
                f"{duplicate.total()} duplicate {list(duplicate)[:3]}"
            )

    def _check_runs(self) -> None:
        """Nobody commits again after another run has committed."""
        stints = [run for run, _ in itertools.groupby(self.lake.runs())]
        if len(stints) != len(set(stints)):
            self._fail(f"A run went on after another one had committed: {stints}")
        self.totals["runs that committed"] += len(stints)

    def _fail(self, what: str) -> t.NoReturn:
        where = f"mode {self.mode}, phase {self.phase}, folder {self.folder}"
        raise BrokenPromiseError(f"{what} ({where}, totals {dict(self.totals)})")
