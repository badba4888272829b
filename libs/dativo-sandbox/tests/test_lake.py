"""DuckDB reads what PyIceberg wrote, on disk and on S3."""

from __future__ import annotations

import importlib.util
import typing as t

import pyarrow as pa
import pytest
from dativo_sandbox import lake
from pyiceberg.catalog.sql import SqlCatalog

if t.TYPE_CHECKING:
    from pathlib import Path

    from dativo_sandbox.seaweedfs import SeaweedServer

ROWS = pa.table({"id": [1, 2, 3], "name": ["a", "ü", None]})


def write(folder: Path, location: str, **storage: str) -> None:
    """Make a table with two snapshots, its catalog in the folder."""
    uri = f"sqlite:///{folder / 'catalog.db'}"
    catalog = SqlCatalog("dativo", uri=uri, warehouse=location, **storage)
    try:
        catalog.create_namespace("shop")
        table = catalog.create_table("shop.orders", schema=ROWS.schema)
        table.append(ROWS)
        table.append(ROWS.slice(0, 1))
    finally:
        catalog.close()


def test_every_table_of_a_local_warehouse_is_a_view(tmp_path: Path) -> None:
    """Namespace and table are schema and view."""
    write(tmp_path, tmp_path.as_uri())
    with lake.lake(tmp_path) as engine:
        found = engine.execute("FROM shop.orders ORDER BY id, name").fetchall()
    assert found == [(1, "a"), (1, "a"), (2, "ü"), (3, None)]


def test_files_on_s3_need_its_keys(
    tmp_path: Path, seaweed: SeaweedServer, bucket_prefix: str
) -> None:
    """The storage options are PyIceberg's own."""
    storage = seaweed.storage_options()
    write(tmp_path, bucket_prefix, **storage)
    with lake.lake(tmp_path, storage) as engine:
        assert engine.execute("SELECT count(*) FROM shop.orders").fetchall() == [(4,)]


def test_commits_are_told_from_first_to_last(tmp_path: Path) -> None:
    """Each snapshot has its summary."""
    write(tmp_path, tmp_path.as_uri())
    added = [c["added-records"] for c in lake.commits(tmp_path, "shop", "orders")]
    assert added == ["3", "1"]


def test_a_missing_extension_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB would try to download it, and fail where there is no network."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="duckdb-extension-avro is not inst"):
        lake.connect()
