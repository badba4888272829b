"""Lay out what was measured as Markdown that names the machine."""

from __future__ import annotations

import os
import platform
import typing as t
from importlib.metadata import version
from pathlib import Path

import figures
from bars import measured
from contenders import CONTENDERS, DATA

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bars import Parts
    from measure import Run
    from race import Results

PACKAGES = ("adbc-driver-postgresql", "pyarrow", "pyiceberg", "singer-sdk", "msgspec")
# A way to move rows, as the first part of a contender's name, and its column's head.
RIVALS = {
    "limit": "of the limit",
    "meltanolabs": "times meltanolabs",
    "dlt-iceberg": "times dlt to Iceberg",
    "mysql-dlt-parquet": "times dlt to Parquet",
    "mysql-pipelinewise": "times pipelinewise",
}
OURS = ("pipe", "batch", "mysql-pipe", "mysql-batch")
HEAD = (
    "contender",
    "krows/s",
    "seconds (min to max, runs)",
    "CPU seconds",
    "krows per CPU second",
    "peak MB",
    "the last program's part of a core",
)
LOSSES = (
    "rows",
    "who",
    "beside",
    "of our time",
    "of our CPU seconds",
    "of our largest program's memory",
)
INTRODUCTION = (
    "How fast rows get from a database into files: ours, the limit of the machine, and "
    "others. Made by `nox -s bench`; `bench/README.md` says how.\n\n"
    "Medians of interleaved runs, each in fresh processes, start-up and commit "
    "included; a run counts only if DuckDB finds the rows of the source in the result: "
    "their number, and a checksum over all values of all columns. CPU seconds and peak "
    "memory are of each program of the pipe, the server's not counted. Take ratios, "
    "not absolutes: columns at the right compare medians."
)


def page(results: Results, parts: Parts, servers: Iterable[str], load: float) -> str:
    """Return the report.

    Args:
        results: All runs of each contender.
        parts: What was measured without a pipe.
        servers: Names and versions of the servers.
        load: How many programs wanted the processor before the first run.
    """
    lines = [INTRODUCTION, ""]
    for data, rows in results.rows.items():
        runs = {
            name: found
            for name, found in results.runs.items()
            if CONTENDERS[name].data == data
        }
        if runs:
            lines += _table(rows, data, runs)
    lines += [*_bars(results, parts), *_losses(results, parts), *_failures(results)]
    return "\n".join((*lines, "## Machine\n", *machine(servers, load), ""))


def _table(rows: int, data: str, runs: Mapping[str, Sequence[Run]]) -> list[str]:
    rivals = {
        head: name for way, head in RIVALS.items() for name in runs if _way(name) == way
    }
    head = (*HEAD, *rivals)
    return [
        f"## {rows:,} {DATA[data].title}\n",
        line(head),
        line(["---", *["--:"] * (len(head) - 1)]),
        *(line(_cells(rows, name, runs, rivals.values())) for name in runs),
        "",
    ]


def _way(name: str) -> str:
    return name.partition(":")[0]


def _cells(
    rows: int, name: str, runs: Mapping[str, Sequence[Run]], rivals: Iterable[str]
) -> Iterator[str]:
    ours = runs[name]
    every = [run.seconds for run in ours]
    middle = figures.seconds(ours)
    yield CONTENDERS[name].title
    yield f"{rows / middle / 1000:.1f}"
    yield f"{middle:.2f} ({min(every):.2f} to {max(every):.2f}, {len(every)})"
    spent = figures.of_each(ours, lambda cost: cost.cpu_seconds)
    yield " + ".join(f"{value:.2f}" for value in spent)
    yield f"{rows / figures.cpu_seconds(ours) / 1000:.1f}"
    peaks = figures.of_each(ours, lambda cost: cost.peak_bytes / 1e6)
    yield " + ".join(f"{value:.0f}" for value in peaks)
    yield f"{figures.part_of_core(ours):.0%}"
    for rival in rivals:
        yield f"{figures.seconds(runs[rival]) / middle:.2f}"


def _bars(results: Results, parts: Parts) -> Iterator[str]:
    lines = [
        line((bar.what, bar.style.format(figure), bar.words(), _verdict(met)))
        for bar, figure in measured(results, parts)
        for met in [bar.is_met(figure)]
    ]
    if lines:
        yield "## What we hold ourselves to\n"
        yield "Meant for runs of a million rows on an idle machine.\n"
        yield line(("what", "measured", "bar", ""))
        yield line(("---", "--:", "--:", "---"))
        yield from (*lines, "")


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _losses(results: Results, parts: Parts) -> Iterator[str]:
    """Say which bars are missed, and who is faster than us or costs less."""
    missed = [
        f"- {bar.what}: {bar.style.format(figure)}, and not {bar.words()}."
        for bar, figure in measured(results, parts)
        if not bar.is_met(figure)
    ]
    pairs = list(_pairs(results))
    lost = [cells for pair in pairs for cells in _loss(*pair, results)]
    if not pairs:
        return
    yield "## Where we lose\n"
    yield from (*missed, "") if missed else ()
    if lost:
        yield "What others need for the same rows, where it is less than we do:\n"
        yield line(LOSSES)
        yield line(["---"] * 3 + ["--:"] * 3)
        yield from map(line, lost)
    else:
        yield "No other is faster than we are or takes less, in any figure above."
    yield ""


def _pairs(results: Results) -> Iterator[tuple[str, str]]:
    """Yield each of our pipelines with each one of others that moves the same rows."""
    for ours in results.runs:
        for other in results.runs:
            is_like = CONTENDERS[other].data == CONTENDERS[ours].data
            if _way(ours) in OURS and CONTENDERS[other].peers and is_like:
                yield ours, other


def _loss(ours: str, other: str, results: Results) -> Iterator[list[str]]:
    """Yield a line of the table of losses, if there is one."""
    pair = results.runs[other], results.runs[ours]
    ratios = [
        value(pair[0]) / value(pair[1])
        for value in (figures.seconds, figures.cpu_seconds, figures.peak_bytes)
    ]
    if min(ratios) < 1:
        titles = CONTENDERS[other].title, CONTENDERS[ours].title
        cells = [
            f"**{ratio:.2f}**" if ratio < 1 else f"{ratio:.2f}" for ratio in ratios
        ]
        yield [DATA[CONTENDERS[ours].data].title, *titles, *cells]


def _failures(results: Results) -> Iterator[str]:
    if results.failures:
        yield "## Who did not bring the rows of the source\n"
        for name, said in results.failures.items():
            title = CONTENDERS[name].title
            data = DATA[CONTENDERS[name].data].title
            yield f"- {title}, {data}: `{_short(said)}`"
        yield ""


def _short(said: str) -> str:
    last = said.strip().splitlines()[-1]
    return last.replace("`", "'")[:200]


def machine(servers: Iterable[str], load: float) -> list[str]:
    """Name what the figures depend on."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = f"Python {platform.python_version()}"
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return [
        f"- {processor()}, {os.cpu_count()} cores, {gigabytes:.0f} GB of memory, "
        f"load {load:.1f} before the start",
        f"- {', '.join((platform.system(), python, *servers))}",
        f"- {versions}",
    ]


def processor(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, as far as the system tells."""
    if file.exists():
        for text in file.read_text(encoding="utf-8").splitlines():
            name, _, value = text.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()


def line(cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"
