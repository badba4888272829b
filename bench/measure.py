#!/usr/bin/env python3
"""Run a pipe of programs once; tell what each of them cost.

The pipe is started by this file as a program of its own: Linux counts the memory of
the process that starts a program into that program's peak, so it has to be small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

PATIENCE_SECONDS = 1800.0
# They make every start compile anew, or every line a system call of its own.
_UNFAIR = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
# ru_maxrss is in kilobytes, on macOS in bytes.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What one program used, from its start to its end."""

    program: str
    code: int
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """A pipe that has run dry."""

    seconds: float
    costs: tuple[Cost, ...]


class FailedError(Exception):
    """A contender did not do its work, so its time counts for nothing."""


def run(pipe: t.Sequence[t.Sequence[str]], stdin: str, work: Path) -> Run:
    """Run the pipe in a folder, which keeps what each program says on stderr.

    Raises:
        FailedError: if a program does not end with 0.
    """
    order = json.dumps({"pipe": pipe, "stdin": stdin, "work": str(work)})
    done = subprocess.run(
        [sys.executable, __file__],
        env=_environment(),
        input=order,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    costs = tuple(Cost(**cost) for cost in found["costs"])
    for number, cost in enumerate(costs):
        if cost.code:
            said = log(work, number).read_text(errors="replace")[-2000:]
            msg = f"{cost.program} ended with {cost.code}:\n{said}"
            raise FailedError(msg)
    return Run(found["seconds"], costs)


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in _UNFAIR}


def log(work: Path, number: int) -> Path:
    """Return the file that keeps what a program of the pipe says on stderr."""
    return work / f"{number}.log"


def _run_here(pipe: t.Sequence[t.Sequence[str]], stdin: str, work: Path) -> Run:
    begin = time.monotonic()
    processes = _start(pipe, stdin, work)
    patience = threading.Timer(PATIENCE_SECONDS, _kill, [processes])
    patience.daemon = True
    patience.start()
    costs = tuple(_wait(process) for process in processes)
    return Run(time.monotonic() - begin, costs)


def _start(
    pipe: t.Sequence[t.Sequence[str]], stdin: str, work: Path
) -> list[subprocess.Popen[bytes]]:
    processes: list[subprocess.Popen[bytes]] = []
    source: t.IO[bytes] = Path(stdin).open("rb")  # noqa: SIM115 closed below
    for number, command in enumerate(pipe):
        is_last = number == len(pipe) - 1
        with log(work, number).open("wb") as said, source:
            sink = subprocess.DEVNULL if is_last else subprocess.PIPE
            process = subprocess.Popen(
                command, stdin=source, stdout=sink, stderr=said, cwd=work
            )
        processes.append(process)
        source = t.cast("t.IO[bytes]", process.stdout)
    return processes


def _wait(process: subprocess.Popen[bytes]) -> Cost:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        Path(t.cast("list[str]", process.args)[0]).name,
        process.returncode,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * _RSS_UNIT,
    )


def _kill(processes: t.Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()


if __name__ == "__main__":
    order = json.load(sys.stdin)
    found = _run_here(order["pipe"], order["stdin"], Path(order["work"]))
    json.dump(asdict(found), sys.stdout)
