"""A table as one side of a comparison: its live rows, in little memory."""

from __future__ import annotations

import contextlib

import pyarrow as pa
from dativo_core.reconciling import digests, summed
from target_parquet_iceberg.comparison import TableSide

FILES, ROWS, LENGTH = 12, 2_500, 1_000
QUIET = {"maintenance": {"enabled": False}}


@contextlib.contextmanager
def counted_memory():
    """Let a pool of its own count what Arrow allocates."""
    ordinary = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(ordinary)
    pa.set_memory_pool(pool)
    try:
        yield pool
    finally:
        pa.set_memory_pool(ordinary)


def test_rows_that_are_deleted_are_no_rows(lake, say) -> None:
    """Neither those that a newer one replaces, nor those that are marked."""
    columns = {"id": "integer", "v": "string", "_sdc_deleted_at": "string"}
    schema = say.schema("s", ("id",), **columns)
    first = [say.record("s", id=n, v=f"v{n}") for n in range(100)]
    lake.load(schema, *first, **QUIET)
    gone = say.record("s", id=8, v="v8", _sdc_deleted_at="2026-01-01T00:00:00Z")
    lake.load(schema, say.record("s", id=7, v="new"), gone, **QUIET)

    side = TableSide(lake.table("s"), ["id", "v"], 1)

    live = {str(n): f"v{n}" for n in range(100) if n != 8} | {"7": "new"}
    expected = list(digests(live.items(), 1))
    assert side.slices() == summed(expected)
    found = side.rows({row.slice for row in expected})
    assert sorted(found) == sorted((row.key, row.digest) for row in expected)


def test_files_are_read_one_after_the_other(lake, say) -> None:
    """However many there are, one of them is in memory, not all."""
    schema = say.schema("s", ("id",), id="integer", v="string")
    for first in range(0, FILES * ROWS, ROWS):
        numbers = range(first, first + ROWS)
        rows = [say.record("s", id=n, v=f"{n:0{LENGTH}}") for n in numbers]
        lake.load(schema, *rows, load_method="append-only", **QUIET)
    assert len(lake.data_files()) == FILES
    side = TableSide(lake.table("s"), ["id", "v"], 1)

    with counted_memory() as pool:
        found = side.slices()

    assert sum(part.rows for part in found.values()) == FILES * ROWS
    assert pool.max_memory() < FILES * ROWS * LENGTH / 2
