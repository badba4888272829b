"""Upserts by key alone, as the engines read them that can."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from dativo_core.errors import ConfigurationError
from pyiceberg.table import StaticTable
from readers.cases import CASES, Case, canonical, kv, load
from readers.conftest import Lake
from readers.test_readers import READERS, as_read
from target_parquet_iceberg.catalogs import open_catalog

if t.TYPE_CHECKING:
    from collections.abc import Callable

READ = Path(__file__).with_name("read.py")
BY_KEY = {"delete_files": "equality"}
DELETED = {"id": 3, "_sdc_deleted_at": "2024-01-01T00:00:00Z"}
TABLES = {
    name: replace(CASES[case], settings=BY_KEY)
    for name, case in {
        "twice": "upsert_twice_by_deletes",
        "composite": "composite_by_deletes",
        "evolved": "evolved_by_deletes",
    }.items()
} | {
    "hard": Case(
        [load(kv(range(5), "a")), load([DELETED])],
        [row for row in kv(range(5), "a") if row["id"] != DELETED["id"]],
        settings={**BY_KEY, "hard_delete": True},
    ),
    "within_a_load": Case(
        [load([*kv(range(5), "a"), *kv(range(3), "b")]), load(kv(range(1), "c"))],
        [*kv(range(1), "c"), *kv(range(1, 3), "b"), *kv(range(3, 5), "a")],
        settings=BY_KEY,
    ),
}


@pytest.fixture(scope="module")
def by_key(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """All tables, with a commit for each of their loads."""
    made = Lake(tmp_path_factory.mktemp("by_key"), {})
    for name, case in TABLES.items():
        made.load(name, case)
    with open_catalog({"warehouse": str(made.warehouse)}) as catalog:
        for name in TABLES:
            found = catalog.load_table(("lake", name))
            made.locations[name] = found.metadata_location
    return made


def test_clickhouse_agrees(by_key: Lake, peer: Callable[[str], Path]) -> None:
    """The newest row of each key, and no other."""
    done = read(peer("readers") / "python", "clickhouse", by_key.locations)
    assert done.returncode == 0, done.stderr
    for name, rows in json.loads(done.stdout).items():
        expected = [as_read(row, READERS["clickhouse"]) for row in TABLES[name].rows]
        assert canonical(rows) == canonical(expected), name


def test_duckdb_fails(by_key: Lake) -> None:
    """It does not apply a key of one column (1.5): when it does, the warning is old."""
    done = read(sys.executable, "duckdb", {"twice": by_key.locations["twice"]})
    assert "INTERNAL Error" in done.stderr


def read(python: t.Any, engine: str, locations: dict[str, str]) -> t.Any:
    """Let an engine read tables in a process of its own."""
    tables = [f"{name}={place}" for name, place in locations.items()]
    return subprocess.run(
        [python, READ, engine, *tables], check=False, capture_output=True, text=True
    )


def test_no_row_is_looked_for(by_key: Lake) -> None:
    """An upsert adds files only, and stock PyIceberg says that it cannot read them."""
    table = StaticTable.from_metadata(by_key.locations["twice"])
    summary = table.current_snapshot().summary.additional_properties
    assert summary["total-equality-deletes"] == str(15 + 20)
    assert summary["total-position-deletes"] == "0"
    assert summary["total-data-files"] == "3"
    with pytest.raises(ValueError, match="equality deletes"):
        table.scan().to_arrow()


@pytest.mark.parametrize(
    "settings", [{}, {"load_method": "append-only"}, {**BY_KEY, "partitioned": True}]
)
def test_what_cannot_apply_them_refuses(tmp_path: Path, settings: t.Any) -> None:
    """Another upsert would bring deleted rows back; the table stays as it is."""
    lake = Lake(tmp_path, {})
    first = [load(kv(range(5), "a")), load(kv(range(3), "b"))]
    lake.load("t", Case(first, [], settings=BY_KEY))
    chosen = dict(settings)
    own = {"partition_by": ["v"]} if chosen.pop("partitioned", False) else {}
    again = Case([load(kv(range(2), "c"))], [], settings=chosen, overrides=(own,))
    with pytest.raises(ConfigurationError, match=r"equality"):
        lake.load("t", again)


def test_an_overwrite_takes_them_away(tmp_path: Path) -> None:
    """What replaces all rows leaves a table that everybody can read."""
    lake = Lake(tmp_path, {})
    first = [load(kv(range(5), "a")), load(kv(range(3), "b"))]
    lake.load("t", Case(first, [], settings=BY_KEY))
    new = kv(range(2), "c")
    lake.load("t", Case([load(new)], [], settings={"load_method": "overwrite"}))
    with open_catalog({"warehouse": str(tmp_path)}) as catalog:
        table = catalog.load_table(("lake", "t"))
        assert canonical(table.scan().to_arrow().to_pylist()) == canonical(new)
        summary = table.current_snapshot().summary.additional_properties
        assert summary["total-delete-files"] == "0"
