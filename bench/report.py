"""Lay out the runs as a page of Markdown that names the machine."""

from __future__ import annotations

import os
import platform
import statistics
import typing as t
from importlib.metadata import version
from pathlib import Path

from contenders import CONTENDERS, REFERENCE

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from measure import Cost, Run

PEER = "meltanolabs"
PACKAGES = ("adbc-driver-postgresql", "pyarrow", "pyiceberg", "singer-sdk", "msgspec")
HEAD = (
    "contender",
    "krows/s",
    "seconds (min to max)",
    "CPU seconds",
    "krows per CPU second",
    "peak MB",
    "of the limit",
    "times the peer",
)


def page(rows: int, runs: Mapping[str, Sequence[Run]], server: str, load: float) -> str:
    """Return the report.

    Args:
        rows: How many were moved in each run.
        runs: All runs of each contender.
        server: The version of Postgres.
        load: How many programs wanted the processor before the first run.
    """
    most = max(map(len, runs.values()))
    lines = [_line(HEAD), _line(["---", *["--:"] * (len(HEAD) - 1)])]
    lines += [_line(_cells(rows, name, runs)) for name in runs]
    return "\n".join(
        (
            f"# {rows:,} rows of 18 columns\n",
            f"Medians of {most} interleaved rounds, each run in fresh processes. CPU "
            "seconds and peak memory are of each program of the pipe, the server's "
            "not counted.\n",
            *lines,
            "",
            *machine(server, load),
            "",
        )
    )


def machine(server: str, load: float) -> list[str]:
    """Name what the figures depend on."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        f"- {_cpu_model()}, {os.cpu_count()} cores, load {load:.1f} before the start",
        f"- {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}, PostgreSQL {server}",
        f"- {versions}",
    ]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def _cells(rows: int, name: str, runs: Mapping[str, Sequence[Run]]) -> Iterable[str]:
    seconds = [run.seconds for run in runs[name]]
    middle = statistics.median(seconds)
    yield CONTENDERS[name].title
    yield f"{rows / middle / 1000:.1f}"
    yield f"{middle:.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
    yield _each(runs[name], lambda cost: cost.cpu_seconds, "{:.2f}")
    spent = [sum(cost.cpu_seconds for cost in run.costs) for run in runs[name]]
    yield f"{rows / statistics.median(spent) / 1000:.1f}"
    yield _each(runs[name], lambda cost: cost.peak_bytes / 1e6, "{:.0f}")
    for other in (REFERENCE, PEER):
        yield _ratio(runs.get(other), middle)


def _ratio(runs: Sequence[Run] | None, seconds: float) -> str:
    """Say how much faster than the others' median."""
    if not runs:
        return ""
    return f"{statistics.median(run.seconds for run in runs) / seconds:.2f}"


def _each(runs: Sequence[Run], value: Callable[[Cost], float], style: str) -> str:
    programs = zip(*(run.costs for run in runs), strict=True)
    medians = [statistics.median(map(value, costs)) for costs in programs]
    return " + ".join(map(style.format, medians))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
