"""`dativo maintain` and `dativo doctor` as a person uses them."""

from __future__ import annotations

import json
import typing as t

import pyarrow as pa
import pytest
from click.testing import CliRunner
from dativo_cli.main import dativo
from dativo_core.errors import ConfigurationError
from dativo_sandbox.lake import lake
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.iceberg import IcebergWarehouse
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.table import Commit

if t.TYPE_CHECKING:
    from pathlib import Path

COMMITS = 12


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """A warehouse with two tables of many small commits."""
    folder = tmp_path / "warehouse"
    catalog = open_catalog({"warehouse": str(folder)})
    opened = IcebergWarehouse(catalog, "lake", "r1", lambda _attempt: None)
    schema = {"properties": {"id": {"type": "integer"}}}
    for stream in ("orders", "people"):
        table = opened.table(plan(Schema(stream, schema, ("id",)), {}))
        for n in range(COMMITS):
            rows = pa.table({"id": [n]})
            table.commit(Commit(rows, Method.APPEND, (), {"n": n}))
    return folder


def run(*arguments: str) -> str:
    """Run the command and return what it prints."""
    result = CliRunner().invoke(dativo, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_doctor_names_the_command_that_helps(warehouse) -> None:
    """The advice can be pasted, and after it the doctor is content."""
    place = ("--warehouse", str(warehouse))
    sick = run("doctor", "orders", *place)
    assert "data files       12 (100% small)" in sick
    assert "! 12 of 12 files are small and could be merged" in sick
    advice = sick.splitlines()[-1]
    assert advice == f"Run: dativo maintain orders --warehouse {warehouse}"
    assert run(*advice.removeprefix("Run: dativo ").split()) == (
        "lake.orders: merged 12, written 1, manifests 4\n"
    )
    assert "The table is in good shape." in run("doctor", "orders", *place)
    with lake(warehouse) as engine:
        query = "SELECT count(*), sum(id) FROM lake.orders"
        assert engine.execute(query).fetchall() == [(12, 66)]


def test_dry_run_changes_nothing(warehouse) -> None:
    """What would be done is told for every table, and no file moves."""
    before = {path for path in warehouse.rglob("*.*") if "catalog.db" not in path.name}
    output = run("maintain", "--dry-run", "--warehouse", str(warehouse))
    assert output.splitlines() == [
        "would: lake.orders: merged 12, manifests 4",
        "would: lake.people: merged 12, manifests 4",
    ]
    after = {path for path in warehouse.rglob("*.*") if "catalog.db" not in path.name}
    assert after == before


def test_settings_decide_what_is_kept(warehouse, tmp_path) -> None:
    """The same file that the target reads says how much history stays."""
    rules = {"keep_snapshots": 3, "keep_days": 0}
    config = tmp_path / "target.json"
    config.write_text(json.dumps({"warehouse": str(warehouse), "maintenance": rules}))
    assert "snapshots 10" in run("maintain", "people", "--config", str(config))
    assert "snapshots        3" in run("doctor", "people", "--config", str(config))


def test_unknown_table_names_the_known_ones(warehouse) -> None:
    """A slip in a name ends with the names there are."""
    with pytest.raises(ConfigurationError, match="orders, people"):
        run("doctor", "order", "--warehouse", str(warehouse))


def test_plain_parquet_is_refused(tmp_path) -> None:
    """Without Iceberg there is nothing to maintain, and the message says so."""
    config = tmp_path / "target.json"
    config.write_text(json.dumps({"warehouse": str(tmp_path), "format": "parquet"}))
    with pytest.raises(ConfigurationError, match="plain Parquet"):
        run("maintain", "--config", str(config))


def test_empty_warehouse_is_fine(tmp_path) -> None:
    """A warehouse without a table has nothing to do."""
    assert run("maintain", "--warehouse", str(tmp_path)) == ""
