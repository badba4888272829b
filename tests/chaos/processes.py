"""`generator | target` as two processes; the target is forked with its imports done."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import multiprocessing
import os
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

GENERATOR = Path(__file__).with_name("generator.py")
PATIENCE_SECONDS = 120.0
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "target_parquet_iceberg.target",
        "target_parquet_iceberg.wiring",
        "target_parquet_iceberg.iceberg",
        "target_parquet_iceberg.parquet",
        "pyiceberg.catalog.sql",
        "pyiceberg.catalog.rest",
    ]
)


def listen(config: str, given: t.Any, said: t.Any, log: str) -> None:
    """Be `target-dativo --config CONFIG` between two pipes."""
    from dativo_core.entrypoint import run  # noqa: PLC0415 in the fork only
    from target_parquet_iceberg.target import TargetParquetIceberg  # noqa: PLC0415

    os.dup2(given.fileno(), 0)
    os.dup2(said.fileno(), 1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    for pipe in (given, said):
        pipe.close()
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    run(TargetParquetIceberg, ["--config", config])


@dataclass(frozen=True)
class Kill:
    """When to kill what: some time after as many STATEs as this came out."""

    states: int
    seconds: float
    tap: bool
    target: bool


@dataclass
class Pipe:
    """One copy of the pipeline, from its start to its end."""

    tap: subprocess.Popen[bytes]
    target: t.Any
    output: t.Any
    kill: Kill | None
    states: list[t.Any] = field(default_factory=list)
    is_killed: bool = False
    is_read: bool = False
    _rest: bytes = b""
    _due: float | None = None

    @classmethod
    def start(
        cls, config: Path, arguments: list[t.Any], kill: Kill | None, log: Path
    ) -> Pipe:
        """Start both programs."""
        given, handed = FORKS.Pipe(duplex=False)
        output, said = FORKS.Pipe(duplex=False)
        with contextlib.suppress(AttributeError, OSError):  # Linux has it
            # A short pipe: the tap must be alive while the target works.
            fcntl.fcntl(handed.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        target = FORKS.Process(
            target=listen, args=(str(config), given, said, str(log)), daemon=True
        )
        target.start()
        # Without the packages it starts in no time; files need them.
        bare = [] if arguments[6:] else ["-S"]
        command = [sys.executable, *bare, "-E", GENERATOR, *map(str, arguments)]
        with log.open("ab") as errors:
            tap = subprocess.Popen(command, stdout=handed.fileno(), stderr=errors)
        for pipe in (given, handed, said):
            pipe.close()
        return cls(tap, target, output, kill)

    @property
    def codes(self) -> tuple[int | None, int | None]:
        """The exit codes of the tap and of the target."""
        return self.tap.returncode, self.target.exitcode

    def read(self) -> None:
        """Take the STATEs that the target has put out."""
        data = os.read(self.output.fileno(), 2**16)
        self.is_read = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.states += [json.loads(line) for line in lines]

    def tend(self) -> None:
        """Kill what is due."""
        if self.kill is None or self.is_killed:
            return
        if self._due is None and len(self.states) >= self.kill.states:
            self._due = time.monotonic() + self.kill.seconds
        if self._due is None or time.monotonic() < self._due:
            return
        if self.target.exitcode is not None:
            return
        alive = self.tap.poll() is None
        if self.kill.target:
            self.target.kill()
        if self.kill.tap:
            self.tap.kill()
        # A tap that has said everything cannot be killed any more.
        self.is_killed = self.kill.target or alive
        self.kill = self.kill if self.is_killed else None

    def end(self) -> None:
        """Wait for both programs, whose pipes are dry."""
        self.target.join(PATIENCE_SECONDS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.tap.wait(PATIENCE_SECONDS)
        hung = self.target.exitcode is None or self.tap.returncode is None
        self.target.kill()
        self.tap.kill()
        self.output.close()
        if hung:
            msg = "A program did not end."
            raise TimeoutError(msg)


def wait(pipes: list[Pipe], hear: t.Callable[[t.Any], None]) -> None:
    """Let the pipes run, killing what is due; `hear` gets each STATE as it comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(not pipe.is_read for pipe in pipes) and time.monotonic() < deadline:
        open_ = [pipe.output for pipe in pipes if not pipe.is_read]
        ready = connection.wait(open_, timeout=0.005)
        for pipe in pipes:
            if pipe.output in ready:
                known = len(pipe.states)
                pipe.read()
                for value in pipe.states[known:]:
                    hear(value)
            pipe.tend()
    for pipe in pipes:
        pipe.end()
