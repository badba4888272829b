"""What the figures are held against."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import figures

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from race import Results

    Parts: t.TypeAlias = Mapping[str, float]
    Measured: t.TypeAlias = "Callable[[Results, Parts], float]"


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure, and what it must be.

    Attributes:
        what: What is held against it.
        least: What the figure must reach; a most if it is negative.
        style: How figure and bar are written.
        figure: The figure; a KeyError if it was not measured.
    """

    what: str
    least: float
    style: str
    figure: Measured

    def is_met(self, figure: float) -> bool:
        """Whether a figure is good enough."""
        return figure >= self.least if self.least >= 0 else figure < -self.least

    def words(self) -> str:
        """Say what the figure must be."""
        word = "at least" if self.least >= 0 else "under"
        return f"{word} {self.style.format(abs(self.least))}"


def faster(ours: str, other: str) -> Measured:
    """Return how many times faster our median is."""

    def found(results: Results, _parts: Parts) -> float:
        runs = results.runs
        return figures.seconds(runs[other]) / figures.seconds(runs[ours])

    return found


def part(name: str) -> Measured:
    """Return what was measured without a pipe."""
    return lambda _results, parts: parts[name]


def of_core(name: str) -> Measured:
    """Return what part of a core the last program takes."""
    return lambda results, _parts: figures.part_of_core(results.runs[name])


def per_cpu_second(name: str, data: str) -> Measured:
    """Return how many records a second of one core moves."""
    return lambda results, _parts: (
        results.rows[data] / figures.cpu_seconds(results.runs[name])
    )


def per_minute(name: str, data: str) -> Measured:
    """Return how many records a minute brings."""
    return lambda results, _parts: (
        60 * results.rows[data] / figures.seconds(results.runs[name])
    )


_PEER_PIPE = "meltanolabs-tap-postgres \\| meltanolabs-target-csv"
_TIMES = "{:.2f} times"
_RECORDS = "{:,.0f} records/s"
BARS = (
    Bar(
        f"RECORD to Iceberg beside {_PEER_PIPE}",
        20,
        _TIMES,
        faster("pipe", "meltanolabs"),
    ),
    Bar(
        "RECORD to Iceberg beside dlt, connectorx to Iceberg",
        1,
        _TIMES,
        faster("pipe", "dlt-iceberg"),
    ),
    Bar(
        "BATCH to Iceberg beside dlt, connectorx to Iceberg",
        2,
        _TIMES,
        faster("batch", "dlt-iceberg"),
    ),
    Bar(
        "BATCH to Iceberg beside ADBC to Parquet",
        0.75,
        _TIMES,
        faster("batch", "limit"),
    ),
    Bar(
        "target-dativo behind meltanolabs-tap-postgres",
        -0.3,
        "{:.0%} of a core",
        of_core("foreign-tap"),
    ),
    Bar(
        "Charges through target-dativo on one core",
        15_000,
        _RECORDS,
        per_cpu_second("charges", "charges"),
    ),
    Bar("Charges through tap-stripe's streams", 10_000, _RECORDS, part("charges")),
    Bar("Arrow data into Parquet files", 100, "{:,.0f} MB/s", part("parquet")),
    Bar(
        "MariaDB, BATCH to Iceberg beside dlt, connectorx to Parquet files",
        0.8,
        _TIMES,
        faster("mysql-batch", "mysql-dlt-parquet"),
    ),
    Bar(
        "MariaDB, RECORD to Iceberg beside pipelinewise-tap-mysql into CSV",
        15,
        _TIMES,
        faster("mysql-pipe", "mysql-pipelinewise"),
    ),
    Bar(
        "MariaDB, RECORD to Iceberg",
        50_000,
        "{:,.0f} records a minute",
        per_minute("mysql-pipe", "mysql"),
    ),
)


def measured(results: Results, parts: Parts) -> Iterable[tuple[Bar, float]]:
    """Yield the bars whose figures were measured."""
    for bar in BARS:
        try:
            yield bar, bar.figure(results, parts)
        except KeyError:
            continue
