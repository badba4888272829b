"""One long load, killed and started again until it ends."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from dativo_core.errors import ExitCode
from harness import BrokenPromiseError
from relay import Files, OutOfOrderError, Relay, marker

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from big_tables import BigTable

PROGRAMS = Path(sys.executable).parent
PATIENCE_SECONDS = 600
# STATE, STATE, SCHEMA, ACTIVATE_VERSION, and what comes next.
LINES = 5


@dataclass(frozen=True)
class Way:
    """How the rows travel.

    Attributes:
        chunk_rows: About how many rows lie between two STATEs, and in a file.
        parallel: How many chunks a run reads at the same time: each number in turn.
    """

    in_files: bool
    chunk_rows: int
    commit_rows: int
    parallel: tuple[int, ...]

    def settings(self, warehouse: Path, parallel: int) -> dict[str, t.Any]:
        """Return the settings of the tap."""
        if not self.in_files:
            chunks = {"state_interval_rows": self.chunk_rows}
        else:
            storage = {"root": str(warehouse / "_staging")}
            batch = {"encoding": {"format": "parquet"}, "storage": storage}
            chunks = {"batch_config": {**batch, "batch_size": self.chunk_rows}}
        return {**chunks, "parallel_chunks": parallel}


@dataclass(frozen=True)
class Kill:
    """When to kill what.

    Attributes:
        moment: `start` with one of the first `lines`, `row` and `end` when as many
            `rows` of the table have passed, `commit` with the next STATE of the target.
    """

    moment: str
    rows: int
    tap: bool
    target: bool
    lines: int = 1


def plan(kills: int, rows: int, random: Random) -> list[Kill]:
    """Draw kills all over the table, in its order, so that the load gets on."""
    ends = commits = max(1, kills // 25)
    starts = kills // 6
    places = random.sample(range(1, rows), kills - ends - starts - commits)
    found = [Kill("row", place, *_dead(random)) for place in sorted(places)]
    for _ in range(starts):
        kill = Kill("start", 0, *_dead(random), lines=random.randint(1, LINES))
        found.insert(random.randint(0, len(found)), kill)
    for _ in range(commits):
        # Early: no kill can follow the last STATE of a load.
        kill = Kill("commit", rows, tap=random.random() < 1 / 2, target=True)
        found.insert(random.randint(0, len(found) // 2), kill)
    # What proves to the target that the load is whole does not follow.
    return found + [Kill("end", rows, *_dead(random)) for _ in range(ends)]


def _dead(random: Random) -> tuple[bool, bool]:
    return random.choice([(True, False), (False, True), (True, True)])


@dataclass
class Interrupted:
    """A load that is killed as planned; `tell` gets what each kill has cost.

    Attributes:
        reached: Rows that some run has sent.
        covered: Rows that lie before the place from which the next run goes on.
    """

    table: BigTable
    way: Way
    folder: Path
    random: Random
    tell: Callable[..., None]
    reached: int = 0
    covered: int = 0
    sent: int = 0
    state: t.Any = None
    runs: int = 0
    files: Files = field(default_factory=Files)
    marks: dict[str, int] = field(default_factory=dict)
    costs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def warehouse(self) -> Path:
        """Where the table comes to lie."""
        return self.folder / "lake"

    def play(self, kills: Iterable[Kill]) -> dict[str, t.Any]:
        """Load the table; return what all kills together have cost."""
        before: dict[str, t.Any] = {}
        for kill in [*kills, None]:
            run = Run(self, kill)
            again = self._run(run)
            if before:
                self._settle(before, again)
            before = {
                "moment": kill.moment if kill else None,
                "killed": " and ".join(run.killed),
                "reached": self.reached,
                "covered": self.covered,
                "in_flight": self.reached - self.covered,
            }
        chunks = [-(-again // self.way.chunk_rows) for _, again in self.costs]
        return {
            "kills": len(self.costs),
            "sent": self.sent,
            "read_again": sum(again for _, again in self.costs),
            "most_read_again": max(again for _, again in self.costs),
            "most_in_flight": max(flying for flying, _ in self.costs),
            "most_chunks_again": max(chunks),
        }

    def place(self, kill: Kill) -> int:
        """Return the row of a kill; of the next commit, if that row is stored."""
        if kill.moment != "row" or kill.rows > self.covered:
            return kill.rows
        ahead = self.random.randint(1, self.way.commit_rows)
        return min(self.covered + ahead, self.table.rows)

    def _settle(self, before: dict[str, t.Any], again: int) -> None:
        self.costs.append((before["in_flight"], again))
        self.tell(kill=len(self.costs), **before, read_again=again)
        if again > before["in_flight"]:
            self._fail(f"{again} rows came again, more than were on the way")

    def _run(self, run: Run) -> int:
        """Run once; return how many rows came that an earlier run had sent."""
        self.runs += 1
        try:
            run.play()
        except OutOfOrderError as error:
            self._fail(str(error))
        relay = run.relay
        again = max(0, min(self.reached, relay.position) - relay.start)
        self.reached = max(self.reached, relay.position)
        self.sent += relay.position - relay.start
        self.marks |= relay.marks
        self._cover(run.states)
        self._judge(run)
        return again

    def _cover(self, states: list[t.Any]) -> None:
        if not states:
            return
        self.state = states[-1]
        covered = self.covered
        is_over = "currently_syncing" not in self.state
        self.covered = self.table.rows if is_over else self.marks[marker(self.state)]
        if self.covered < covered:
            self._fail(f"STATE went back from row {covered} to {self.covered}")

    def _judge(self, run: Run) -> None:
        tap, target = (process.returncode for process in run.processes)
        if run.kill is None:
            if (tap, target) != (0, 0):
                self._fail(f"The last run ended with codes {tap} and {target}")
            return
        expected = -9 if "target" in run.killed else ExitCode.TRY_LATER
        if run.is_short:
            self._fail(f"{run.kill}: the tap ended before, codes {tap} and {target}")
        if target != expected:
            self._fail(f"{run.kill}: the target ended with code {target}")
        if self.covered == self.table.rows or self.table.seen(self.warehouse):
            self._fail(f"{run.kill}: readers see a load that is not whole")
        # A target that lives stores all that a STATE covers.
        left = run.relay.position - self.covered
        if run.killed == ["tap"] and left >= 2 * self.way.chunk_rows:
            self._fail(f"{run.kill}: {left} rows came behind the last STATE")

    def _fail(self, what: str) -> t.NoReturn:
        raise BrokenPromiseError(f"{what}: {self.folder}, kill {len(self.costs) + 1}.")


class Run:
    """One run of `tap | target`, killed or not."""

    def __init__(self, load: Interrupted, kill: Kill | None) -> None:
        self._load = load
        self.kill = kill
        self.killed: list[str] = []
        self.is_short = False
        self.states: list[t.Any] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.relay: Relay

    def play(self) -> None:
        """Start both programs, kill what is due, and wait for their ends."""
        tap, target = self._tap_command(), self._target_command()
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((self._load.folder / "log").open("ab"))
            for command in (tap, target):
                stdin = subprocess.PIPE if self.processes else subprocess.DEVNULL
                process = subprocess.Popen(
                    command, stdin=stdin, stdout=subprocess.PIPE, stderr=log
                )
                self.processes.append(process)
                stack.callback(process.kill)
            listener = threading.Thread(target=self._listen)
            listener.start()
            with contextlib.suppress(BrokenPipeError):
                self._pass_on()
            self.processes[0].stdout.close()
            with contextlib.suppress(BrokenPipeError):
                self.processes[1].stdin.close()
            for process in self.processes:
                process.wait(PATIENCE_SECONDS)
            listener.join()

    def _pass_on(self) -> None:
        (tap, target), load, kill = self.processes, self._load, self.kill
        self.relay = Relay(
            tap.stdout, target.stdin, load.covered, load.files, load.random
        )
        if kill is None or kill.moment == "commit":
            self.relay.pass_on(None)
        elif self.relay.pass_on(load.place(kill), kill.lines):
            self._strike(kill)
        else:
            self.is_short = True

    def _listen(self) -> None:
        """Keep the STATEs that the target tells, whole ones."""
        for line in self.processes[1].stdout:
            if line.endswith(b"\n"):
                self.states.append(json.loads(line))
                if self.kill and self.kill.moment == "commit" and not self.killed:
                    self._strike(self.kill)

    def _strike(self, kill: Kill) -> None:
        tap, target = self.processes
        # Who has written its last byte cannot be killed any more.
        if kill.tap and tap.poll() is None:
            self.killed.append("tap")
            tap.kill()
        if kill.target or not self.killed:
            self.killed.append("target")
            target.kill()

    def _tap_command(self) -> list[str | Path]:
        load = self._load
        parallel = load.way.parallel[load.runs % len(load.way.parallel)]
        config = load.table.config | load.way.settings(load.warehouse, parallel)
        command = [PROGRAMS / load.table.program, "--config", self._file("tap", config)]
        if load.state is not None:
            command += ["--state", self._file("state", load.state)]
        return command

    def _target_command(self) -> list[str | Path]:
        load = self._load
        config = {"warehouse": str(load.warehouse)}
        config["commit_max_rows"] = load.way.commit_rows
        return [PROGRAMS / "target-dativo", "--config", self._file("target", config)]

    def _file(self, name: str, content: t.Any) -> Path:
        path = self._load.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return path
