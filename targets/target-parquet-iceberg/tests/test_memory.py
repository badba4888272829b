"""Memory is bounded by the limits, however many rows come: counted, not sampled."""

from __future__ import annotations

import contextlib
import typing as t

import pyarrow as pa
import pytest
from dativo_core import heap
from target_parquet_iceberg import snapshots
from target_parquet_iceberg.ahead import AheadFiles

if t.TYPE_CHECKING:
    from collections.abc import Iterator

BUFFER = 2**20
# The buffer, as much again on its way into files, and blocks while they are decoded.
MOST = 6 * BUFFER
ROWS = 30_000
TEXT = "x" * 200
# Keys are held as long as a commit takes.
SETTINGS = {
    "load_method": "append-only",
    "buffer_max_bytes": BUFFER,
    "commit_max_rows": ROWS,
}


# What was allocated may outlive the test, and frees itself by its pool.
_POOLS: list[pa.MemoryPool] = []


@contextlib.contextmanager
def counted() -> Iterator[pa.MemoryPool]:
    """Count what is allocated from now on."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    _POOLS.append(pool)
    pa.set_memory_pool(pool)
    try:
        yield pool
    finally:
        pa.set_memory_pool(before)


@pytest.fixture
def pieces(monkeypatch):
    """How many bytes each table had that was written at once."""
    found = []
    write, write_rows = AheadFiles.write, snapshots.SnapshotWriter._write

    def piece_written(self, piece):
        found.append(piece.bytes)
        write(self, piece)

    def rows_written(self, rows):
        found.append(rows.nbytes)
        return write_rows(self, rows)

    monkeypatch.setattr(AheadFiles, "write", piece_written)
    monkeypatch.setattr(snapshots.SnapshotWriter, "_write", rows_written)
    return found


def messages(say, count, state_every):
    """Yield rows, and a STATE after so many."""
    yield say.schema("s", id="integer", text="string")
    for number in range(1, count + 1):
        yield say.record("s", id=number, text=f"{TEXT}{number}")
        if number % state_every == 0:
            yield say.state(s={"v": number})
    yield say.state(s={"v": count})


@pytest.mark.parametrize(
    ("stream", "state_every"),
    [
        ({}, 500),
        ({}, ROWS * 8),
        ({"partition_by": ["bucket(3, id)"]}, ROWS * 8),
        ({"sort_by": ["-id"]}, 500),
    ],
    ids=["STATE often", "STATE at the end", "partitions", "order"],
)
@pytest.mark.parametrize("times", [1, 4])
def test_rows_in_memory_are_bounded(
    lake, say, pieces, times, stream, state_every
) -> None:
    """All rows take many times that; four times as many take no more."""
    count = times * ROWS
    settings = {**SETTINGS, "streams": {"s": stream}}
    with counted() as pool:
        outcome = lake.load(*messages(say, count, state_every), **settings)
    assert outcome.code == 0
    assert lake.query("SELECT count(DISTINCT id) FROM lake.s") == [(count,)]
    assert sum(pieces) > times * MOST
    assert max(pieces) <= BUFFER
    assert pool.max_memory() < MOST


@pytest.mark.parametrize("times", [1, 4])
def test_rows_with_new_columns_are_bounded(lake, say, pieces, times) -> None:
    """The commit that makes the columns comes at the next STATE."""
    count = times * ROWS
    assert lake.load(*messages(say, 10, 10), **SETTINGS).code == 0
    head = say.schema("s", id="integer", text="string", more="string")
    rows = list(messages(say, count, 500))[1:]
    settings = {**SETTINGS, "commit_max_rows": count + 1}
    assert lake.load(say.state(s={"v": 10}), head, *rows, **settings).code == 0
    assert lake.query("SELECT count(*) FROM lake.s") == [(count + 10,)]
    assert len(lake.table("s").snapshots()) == 3
    assert max(pieces) <= 2 * BUFFER


def test_every_commit_gives_back(lake, say, monkeypatch) -> None:
    """Not only the last one: a load may have thousands."""
    commits = []
    monkeypatch.setattr(heap, "trim", lambda: commits.append(len(commits)))
    head, rows = say.schema("s", id="integer"), []
    for number in range(3):
        rows += [say.record("s", id=number), say.state(s={"v": number})]

    assert lake.load(head, *rows, commit_max_rows=1).code == 0

    assert len(commits) >= 3
