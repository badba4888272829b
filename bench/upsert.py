#!/usr/bin/env python3
"""Measure upserts into an Iceberg table, ours beside PyIceberg's own.

One row in ten of the keys is new, all others are spread over the whole table. Each run
is a fresh process on a fresh copy of the same table, and counts only if DuckDB finds
the rows that must be there. The ratio is that of the upserts: both contenders take the
same rows from memory, and both processes begin with the same imports.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import measure
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import report
from dativo_sandbox import lake
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.iceberg import IcebergTable
from target_parquet_iceberg.layout import Layout
from target_parquet_iceberg.plan import Method
from target_parquet_iceberg.room import Room
from target_parquet_iceberg.table import Commit

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMNS = 20
# What stock PyIceberg is asked for at most: it builds an expression a row, and for a
# composite key one that its own planner needs minutes for.
STOCK_KEYS = {1: 100_000, 2: 5_000}
TITLES = {"ours": "ours", "stock": "`Table.upsert`"}
HEAD = (
    "case",
    "contender",
    "upsert, seconds",
    "process, seconds",
    "CPU seconds",
    "peak MB",
    "snapshots",
    "ratio",
)


@dataclass(frozen=True, slots=True)
class Case:
    """So many keys into a table of so many files, keyed by so many columns."""

    files: int
    parts: int
    keys: int

    @property
    def title(self) -> str:
        """What it is, for the report."""
        key = "one column" if self.parts == 1 else f"{self.parts} columns"
        files = f"{self.files} file{'s' * (self.files > 1)}"
        return f"{self.keys:,} keys, {key}, {files}"

    @property
    def names(self) -> list[str]:
        """The key columns."""
        return ["id", "region"][: self.parts]


def main() -> None:
    """Run all cases, write the report."""
    options = parser().parse_args()
    if options.once:
        once(*options.once)
        return
    load = os.getloadavg()[0]
    lines = [line(HEAD), line(["---", "---", *["--:"] * (len(HEAD) - 2)])]
    with tempfile.TemporaryDirectory() as folder:
        for cells in race(Path(folder), options.rows):
            lines.append(line(cells))
            sys.stdout.write(f"{lines[-1]}\n")
            sys.stdout.flush()
    head = f"# Upserts into {options.rows:,} rows x {COLUMNS} columns\n"
    page = "\n".join((head, *lines, "", *report.machine("not used", load), ""))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page, encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """Return the words of the command line."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("--rows", type=int, default=1_000_000)
    found.add_argument("--output", type=Path, default=Path("output/upsert.md"))
    found.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    return found


def race(folder: Path, rows: int) -> Iterator[list[str]]:
    """Run both contenders in every case; yield the lines of the table."""
    for files in (1, 20):
        saved = folder / f"saved-{files}"
        shutil.rmtree(folder / "lake", ignore_errors=True)
        build(folder / "lake", rows, files)
        (folder / "lake").rename(saved)
        for parts in (1, 2):
            for keys in (100_000, 10_000):
                yield from compare(folder, saved, rows, Case(files, parts, keys))


def compare(folder: Path, saved: Path, rows: int, case: Case) -> Iterator[list[str]]:
    """Run ours, then stock; where stock is capped, ours with as many keys too."""
    capped = min(case.keys, STOCK_KEYS[case.parts])
    ours = run(folder, saved, rows, case, "ours")
    yield cells(case, "ours", *ours, "")
    if capped < case.keys:
        case = Case(case.files, case.parts, capped)
        ours = run(folder, saved, rows, case, "ours")
        yield cells(case, "ours", *ours, "")
    stock = run(folder, saved, rows, case, "stock")
    ratio = f"{stock[0] / ours[0]:.1f}"
    yield cells(case, "stock", *stock, ratio)


def run(
    folder: Path, saved: Path, rows: int, case: Case, contender: str
) -> tuple[float, measure.Run, int]:
    """Upsert once in a fresh process.

    Returns:
        The seconds of the upsert, the cost of the process, and the snapshots made.

    Raises:
        FailedError: if the table does not hold what it must.
    """
    # The same path for every copy: tables know where they lie.
    warehouse = folder / "lake"
    shutil.rmtree(warehouse, ignore_errors=True)
    shutil.copytree(saved, warehouse)
    pq.write_table(batch(rows, case.keys), folder / "batch.parquet")
    before = len(lake.commits(warehouse, "lake", "t"))
    words = ["--once", contender, ",".join(case.names), str(folder)]
    found = measure.run([[sys.executable, __file__, *words]], "/dev/null", folder)
    with lake.lake(warehouse) as engine:
        sql = "SELECT count(*), count(DISTINCT id), sum(n0) FROM lake.t"
        facts = engine.execute(sql).fetchall()[0]
    wanted = expected(rows, case.keys)
    if facts != wanted:
        msg = f"{TITLES[contender]}, {case.title}: {facts}, and not {wanted}."
        raise measure.FailedError(msg)
    seconds = float((folder / "seconds").read_text())
    return seconds, found, len(lake.commits(warehouse, "lake", "t")) - before


def cells(
    case: Case,
    contender: str,
    seconds: float,
    found: measure.Run,
    snapshots: int,
    ratio: str,
) -> list[str]:
    """Return a line of the table."""
    [cost] = found.costs
    return [
        case.title,
        TITLES[contender],
        f"{seconds:.2f}",
        f"{found.seconds:.2f}",
        f"{cost.cpu_seconds:.2f}",
        f"{cost.peak_bytes / 1e6:.0f}",
        str(snapshots),
        ratio,
    ]


def line(parts: Sequence[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(parts)} |"


def table(ids: pa.Array, value: int) -> pa.Table:
    """Return rows of twenty columns; half of them numbers, half texts."""
    region = pc.cast(pc.bit_wise_and(ids, 7), pa.string())
    columns = {"id": ids, "region": region, "n0": pa.repeat(pa.scalar(value), len(ids))}
    for number in range(1, COLUMNS - 2):
        mixed = pc.bit_wise_and(pc.multiply(ids, 2 * number + 1), 0xFFFF)
        columns[f"c{number}"] = mixed if number % 2 else pc.cast(mixed, pa.string())
    return pa.table(columns)


def build(warehouse: Path, rows: int, files: int) -> None:
    """Make the table, each file with every so-manieth key as unsorted loads leave."""
    with open_catalog({"warehouse": str(warehouse)}) as catalog:
        catalog.create_namespace("lake")
        whole = table(pa.array(range(rows), pa.int64()), 1)
        # Both contenders write what the target would make: version 2, zstd.
        properties = {
            "format-version": "2",
            "write.parquet.compression-codec": "zstd",
            "write.target-file-size-bytes": str(2**40),
        }
        made = catalog.create_table("lake.t", whole.schema, properties=properties)
        for number in range(files):
            positions = pa.array(range(number, rows, files))
            made.append(whole.take(positions))


def batch(rows: int, keys: int) -> pa.Table:
    """Return what is upserted: nine in ten hit the table, evenly."""
    hits = keys * 9 // 10
    step = rows // hits
    ids = [*(number * step for number in range(hits)), *range(rows, rows + keys - hits)]
    return table(pa.array(ids, pa.int64()), 2)


def expected(rows: int, keys: int) -> tuple[int, int, int]:
    """Return rows, keys and the sum of `n0` after the upsert."""
    new = keys - keys * 9 // 10
    return rows + new, rows + new, rows - keys * 9 // 10 + 2 * keys


def once(contender: str, names: str, folder: str) -> None:
    """Upsert the batch; write down how long it took."""
    keys = tuple(names.split(","))
    rows = pq.read_table(Path(folder) / "batch.parquet")
    with open_catalog({"warehouse": str(Path(folder) / "lake")}) as catalog:
        table = catalog.load_table("lake.t")
        begun = time.perf_counter()
        if contender == "stock":
            table.upsert(rows, join_cols=list(keys))
        else:
            layout, room = Layout(), Room()
            opened = IcebergTable("t", table, "bench", lambda _: None, layout, room)
            opened.commit(Commit(rows, Method.UPSERT, keys, {"v": 1}))
        (Path(folder) / "seconds").write_text(str(time.perf_counter() - begun))


if __name__ == "__main__":
    main()
