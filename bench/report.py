"""Lay out the runs as a page of Markdown that names the machine."""

from __future__ import annotations

import os
import platform
import statistics
import typing as t
from importlib.metadata import version

from contenders import CONTENDERS, DATA, OURS, PEERS, REFERENCE

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from measure import Cost, Run

    Runs: t.TypeAlias = Mapping[str, Sequence[Run]]

PACKAGES = ("adbc-driver-postgresql", "pyarrow", "pyiceberg", "singer-sdk", "msgspec")
HEAD = (
    "contender",
    "krows/s",
    "seconds (min to max)",
    "CPU seconds",
    "krows per CPU second",
    "peak MB",
    "the last program's part of a core",
    "of the limit",
    *(f"times {name}" for name in PEERS),
)
INTRODUCTION = (
    "How fast rows get from PostgreSQL into files: ours, the limit of the machine, and "
    "others. Made by `bench/run.py`, which says how.\n\n"
    "Medians of {rounds} interleaved rounds, each run in fresh processes, start-up and "
    "commit included; it counts only if DuckDB finds the rows of the source in the "
    "result. CPU seconds and peak memory are of each program of the pipe, the server's "
    "not counted. Take ratios, not absolutes: columns at the right compare medians."
)


def page(rows: int, runs: Runs, server: str, load: float) -> str:
    """Return the report.

    Args:
        rows: How many were asked for.
        runs: All runs of each contender.
        server: The version of Postgres.
        load: How many programs wanted the processor before the first run.
    """
    most = max(map(len, runs.values()))
    parts = ["# Performance\n", INTRODUCTION.format(rounds=most), ""]
    for data in DATA:
        names = [name for name in runs if CONTENDERS[name].data == data]
        if names:
            parts += _table(rows // DATA[data].share, data, names, runs)
    return "\n".join((*parts, *_losses(runs), *machine(server, load), ""))


def _table(rows: int, data: str, names: Sequence[str], runs: Runs) -> list[str]:
    return [
        f"## {rows:,} {DATA[data].title}\n",
        _line(HEAD),
        _line(["---", *["--:"] * (len(HEAD) - 1)]),
        *(_line(_cells(rows, name, runs)) for name in names),
        "",
    ]


def _losses(runs: Runs) -> list[str]:
    """Say who is faster than our pipe, or costs less."""
    if OURS not in runs:
        return []
    lost = [line for peer in PEERS if peer in runs for line in _loss(peer, runs)]
    return [
        "## Where we lose\n",
        *(lost or ["In this run no peer is faster or takes less of the processor."]),
        "",
    ]


def _loss(peer: str, runs: Runs) -> Iterable[str]:
    title = CONTENDERS[peer].title
    time, cost = (
        statistics.median(map(value, runs[OURS]))
        / statistics.median(map(value, runs[peer]))
        for value in (lambda run: run.seconds, _spent)
    )
    if time > 1:
        yield f"- {title} needs {1 / time:.2f} of our pipe's time."
    if cost > 1:
        yield f"- {title} needs {1 / cost:.2f} of our pipe's processor seconds."


def _spent(run: Run) -> float:
    return sum(cost.cpu_seconds for cost in run.costs)


def machine(server: str, load: float) -> list[str]:
    """Name what the figures depend on."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        f"- {os.cpu_count()} cores, load {load:.1f} before the start",
        f"- {platform.system()}, Python {platform.python_version()}, "
        f"PostgreSQL {server}",
        f"- {versions}",
    ]


def _cells(rows: int, name: str, runs: Mapping[str, Sequence[Run]]) -> Iterable[str]:
    seconds = [run.seconds for run in runs[name]]
    middle = statistics.median(seconds)
    yield CONTENDERS[name].title
    yield f"{rows / middle / 1000:.1f}"
    yield f"{middle:.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
    yield _each(runs[name], lambda cost: cost.cpu_seconds, "{:.2f}")
    yield f"{rows / statistics.median(map(_spent, runs[name])) / 1000:.1f}"
    yield _each(runs[name], lambda cost: cost.peak_bytes / 1e6, "{:.0f}")
    parts = [run.costs[-1].cpu_seconds / run.seconds for run in runs[name]]
    yield f"{statistics.median(parts):.0%}"
    for other in (REFERENCE, *PEERS):
        is_like = CONTENDERS[other].data == CONTENDERS[name].data
        yield _ratio(runs.get(other) if is_like else None, middle)


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
