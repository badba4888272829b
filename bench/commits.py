#!/usr/bin/env python3
"""Measure how the cost of a commit grows with the commits before it.

One table takes so many commits of so many rows by key: in one run, as a long load does,
or each in a run of its own, with the maintenance that ends it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pyarrow as pa
import report
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.iceberg import IcebergWarehouse
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.table import Commit
from target_parquet_iceberg.upkeep import upkeep_of

if t.TYPE_CHECKING:
    from target_parquet_iceberg.iceberg import IcebergTable

COLUMNS = {
    "id": {"type": "integer"},
    "name": {"type": "string"},
    "price": {"type": "number"},
    "note": {"type": "string"},
}
HEAD = (
    "commits",
    "10th, CPU ms",
    "last, CPU ms",
    "ratio",
    "maintenance, CPU ms a run",
    "data files",
    "all files",
    "metadata file, kB",
    "snapshots",
)


@dataclass
class Story:
    """Commits to a table of its own, and what each has cost in CPU seconds."""

    folder: str
    maintenance: dict[str, t.Any]
    commits: list[float] = field(default_factory=list)
    visits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        given = {"warehouse": self.folder, "maintenance": self.maintenance}
        self.settings = with_defaults(given)
        self.plan = plan(Schema("t", {"properties": COLUMNS}, ("id",)), self.settings)

    def run(self, first: int, count: int, rows: int) -> IcebergTable:
        """Begin a run, commit so often, and look after the table at its end."""
        batches = [batch(number, rows) for number in range(first, first + count)]
        begun = time.process_time()
        with open_catalog(self.settings) as catalog:
            upkeep = upkeep_of(self.settings)
            warehouse = IcebergWarehouse(
                catalog, "lake", f"run-{first}", lambda _: None, upkeep=upkeep
            )
            table = warehouse.table(self.plan)
            for number, whole in enumerate(batches, first):
                table.commit(Commit(whole, Method.UPSERT, ("id",), {"id": number}))
                self.commits.append(time.process_time() - begun)
                begun = time.process_time()
            warehouse.maintain()
            self.visits.append(time.process_time() - begun)
            return table

    def cells(self, title: str, table: IcebergTable) -> list[str]:
        """Return a line of the report."""
        tenth, last = median(self.commits[7:12]), median(self.commits[-5:])
        metadata = table.present.refresh().metadata
        files = [path for path in Path(self.folder).rglob("*") if path.is_file()]
        location = Path(table.present.metadata_location.removeprefix("file://"))
        return [
            title,
            f"{1000 * tenth:.0f}",
            f"{1000 * last:.0f}",
            f"{last / tenth:.2f}",
            f"{1000 * sum(self.visits) / len(self.visits):.0f}",
            str(sum(1 for _ in table.present.scan().plan_files())),
            str(len(files)),
            f"{location.stat().st_size / 1000:.0f}",
            str(len(metadata.snapshots)),
        ]


def main() -> None:
    """Play the stories, write the report."""
    options = parser().parse_args()
    load = os.getloadavg()[0]
    lines = [line(HEAD), line(["---", *["--:"] * (len(HEAD) - 1)])]
    for title, is_one_run, maintenance in (
        ("in one run", True, {}),
        ("a run each", False, {}),
        ("a run each, keep_days 0", False, {"keep_days": 0}),
    ):
        with tempfile.TemporaryDirectory() as folder:
            story = Story(folder, maintenance)
            runs = [(0, options.commits)] if is_one_run else each(options.commits)
            for first, count in runs:
                table = story.run(first, count, options.rows)
            lines.append(line(story.cells(f"{options.commits} {title}", table)))
        sys.stdout.write(f"{lines[-1]}\n")
        sys.stdout.flush()
    head = f"# Commits of {options.rows:,} rows\n"
    page = "\n".join((head, *lines, "", *report.machine("not used", load), ""))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page, encoding="utf-8")


def each(count: int) -> list[tuple[int, int]]:
    """Return runs of one commit each."""
    return [(number, 1) for number in range(count)]


def parser() -> argparse.ArgumentParser:
    """Return the words of the command line."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("--commits", type=int, default=300)
    found.add_argument("--rows", type=int, default=10_000)
    found.add_argument("--output", type=Path, default=Path("output/commits.md"))
    return found


def batch(number: int, rows: int) -> pa.Table:
    """Return new rows."""
    numbers = range(number * rows, (number + 1) * rows)
    ids = pa.array(numbers, pa.int64())
    names = pa.array([f"name {one}" for one in numbers])
    notes = pa.repeat("a note", rows)
    return pa.table([ids, names, ids.cast(pa.float64()), notes], names=list(COLUMNS))


def line(parts: t.Sequence[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(parts)} |"


if __name__ == "__main__":
    main()
