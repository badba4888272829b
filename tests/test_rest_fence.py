"""The fence on a REST catalog, which compares the branch of a commit, nothing else."""

from __future__ import annotations

import secrets
import typing as t

import pyarrow as pa
import pytest
from dativo_core.errors import FencedError
from target_parquet_iceberg.bookmarks import Bookmarks
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.iceberg import IcebergTable, IcebergWarehouse
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.rollback import points, rollback
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.table import Commit

SCHEMA = Schema("t", {"properties": {"id": {"type": "integer"}}}, ("id",))


@pytest.fixture
def settings(seaweed) -> dict[str, t.Any]:
    """Load ten rows into a table of a namespace of its own."""
    chosen = {
        "warehouse": seaweed.warehouse,
        "catalog": seaweed.rest_catalog_properties(),
        "namespace": f"n{secrets.token_hex(4)}",
    }
    upsert(opened(with_defaults(chosen), "before"), range(10))
    return with_defaults(chosen)


def opened(settings: dict[str, t.Any], run: str) -> IcebergTable:
    """Open the table in a run of its own."""
    warehouse = IcebergWarehouse(
        open_catalog(settings), settings["namespace"], run, lambda _: None
    )
    return warehouse.table(plan(SCHEMA, settings))


def rows(numbers: t.Iterable[int]) -> pa.Table:
    """Return rows with these keys."""
    return pa.table({"id": pa.array(numbers, pa.int64())})


def upsert(table: IcebergTable, numbers: t.Iterable[int]) -> None:
    """Store rows by key where readers see them."""
    table.commit(Commit(rows(numbers), Method.UPSERT, ("id",), {"at": 1}))


def load(
    table: IcebergTable, numbers: t.Iterable[int], version: int, *, is_last: bool
) -> None:
    """Store a part of a full load in its branch; the last one is published."""
    table.commit(
        Commit(rows(numbers), Method.OVERWRITE, ("id",), {"v": 1}, version, is_last)
    )


def test_full_load_meets_an_upsert(settings) -> None:
    """Rows that came into the table meanwhile are not swapped away."""
    full, other = opened(settings, "full"), opened(settings, "other")
    load(full, range(5), 7, is_last=False)
    with pytest.raises(FencedError, match="run full has committed"):
        upsert(other, [77])
    full, other = opened(settings, "full-2"), opened(settings, "other-2")
    upsert(other, [77])
    with pytest.raises(FencedError, match="run other-2 has committed"):
        load(full, range(5), 8, is_last=True)


def test_two_full_loads(settings) -> None:
    """Each has a branch of its own, and one winner they have all the same."""
    first, second = opened(settings, "first"), opened(settings, "second")
    load(first, range(5), 7, is_last=False)
    with pytest.raises(FencedError, match="run first has committed"):
        load(second, range(6), 8, is_last=False)
    load(first, range(5, 8), 7, is_last=True)
    assert set(first.present.scan().to_arrow()["id"].to_pylist()) == set(range(8))


def test_correcting_a_bookmark_fences(settings) -> None:
    """Although it touches no row."""
    table = opened(settings, "run")
    Bookmarks(settings).store("t", {"at": 5})
    with pytest.raises(FencedError, match="state-set-by-hand"):
        upsert(table, [1])


def test_going_back_fences(settings) -> None:
    """Also a run that began with the very snapshot that the table goes back to."""
    sleeper = opened(settings, "sleeper")
    upsert(opened(settings, "later"), [20])
    table = sleeper.present.catalog.load_table(sleeper.present.name())
    rollback(table, points(table)[-1].run_id)
    with pytest.raises(FencedError, match="run rollback"):
        upsert(sleeper, [1])
