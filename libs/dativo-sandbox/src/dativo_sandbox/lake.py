"""Read a local warehouse with DuckDB, an engine that nobody here wrote."""

from __future__ import annotations

import contextlib
import importlib.util
import sqlite3
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

EXTENSIONS = ("avro", "httpfs", "iceberg")


def connect() -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the Iceberg extension from its PyPI wheels: no download."""
    import duckdb  # noqa: PLC0415

    connection = duckdb.connect()
    for extension in EXTENSIONS:
        connection.load_extension(str(_extension_file(extension)))
    return connection


def _extension_file(name: str) -> Path:
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or not spec.submodule_search_locations:
        msg = f"The package duckdb-extension-{name} is not installed."
        raise ModuleNotFoundError(msg)
    folder = Path(spec.submodule_search_locations[0])
    return next(folder.glob(f"extensions/*/{name}.duckdb_extension"))


def tables(warehouse: Path) -> dict[tuple[str, str], str]:
    """Return the metadata file of every (namespace, table) in the SQLite catalog."""
    query = "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables"
    with contextlib.closing(sqlite3.connect(warehouse / "catalog.db")) as catalog:
        return {(space, name): file for space, name, file in catalog.execute(query)}


@contextlib.contextmanager
def lake(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB with every Iceberg table of the warehouse as a view."""
    with connect() as connection:
        for (namespace, table), location in tables(warehouse).items():
            file = location.removeprefix("file://").replace("'", "''")
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{namespace}"')
            connection.execute(
                f'CREATE VIEW "{namespace}"."{table}" AS '  # noqa: S608 our own names
                f"SELECT * FROM iceberg_scan('{file}')"
            )
        yield connection
