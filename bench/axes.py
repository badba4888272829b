"""Places at which a load is measured, on the axes along which it grows."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

import tables
from contenders import BATCH, CONTENDERS, DLT_ICEBERG, PIPE, Contender, Data

if t.TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("pipe", "batch")
# What a row of so many columns would have as lines of a file, whatever tables can hold.
LINES = "lines"
ROWS = "rows"
POSTGRES_COLUMNS = 1_600
WAYS: dict[str, Contender] = {
    "pipe": replace(PIPE, title="RECORD"),
    "batch": replace(BATCH, title="BATCH"),
    "dlt-iceberg": replace(DLT_ICEBERG, title="dlt to Iceberg"),
    LINES: replace(CONTENDERS["charges"], title="RECORD lines from a file"),
}
MOST_ROWS = 10_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """One place on one axis.

    Attributes:
        title: Where it is.
        rows: How many rows each table has.
        columns: How many columns.
        data: What the rows are.
        ways: Who moves them.
    """

    title: str
    rows: int
    columns: int
    data: Data
    ways: tuple[str, ...]

    @property
    def all_rows(self) -> int:
        """How many rows all tables have."""
        return self.rows * len(self.data.tables)


def points(scale: float, *, peers: bool) -> Iterator[Point]:
    """Yield all places on all axes.

    Args:
        scale: What part of the rows to take.
        peers: Whether dlt moves them too; not ten million rows: it holds them all.
    """
    both = (*OURS, "dlt-iceberg") if peers else OURS
    orders = tables.ORDERS
    for rows in (100_000, 1_000_000, MOST_ROWS):
        ways = OURS if rows == MOST_ROWS else both
        data = Data(ROWS, (orders,))
        yield _point(f"{int(rows * scale):,} rows", rows, data, ways, scale)
    for streams in (1, 10, 100):
        names = [f"orders_{number}" for number in range(streams)]
        data = Data("streams", tuple(replace(orders, name=name) for name in names))
        title = f"{streams} stream{'s' * (streams > 1)}"
        yield _point(title, 200_000 // streams, data, both, scale)
    for columns in (10, 100, 1_000, POSTGRES_COLUMNS):
        data = Data("columns", (tables.wide(columns),))
        rows = 5_000_000 // columns
        yield _point(f"{columns:,} columns", rows, data, both, scale)
    for columns in (10, 100, 1_000, 5_000):
        command = f"{{programs}}/python {{bench}}/wide_lines.py {columns} {{rows}}"
        wide = tables.Table("wide", ())
        data = Data("columns of a file", (wide,), "file", made_by=command)
        rows = max(int(5_000_000 // columns * scale), 1)
        yield Point(f"{columns:,} columns", rows, columns, data, (LINES,))


def _point(
    title: str, rows: int, data: Data, ways: tuple[str, ...], scale: float
) -> Point:
    columns = len(data.tables[0].columns)
    return Point(title, max(int(rows * scale), 1), columns, data, ways)
