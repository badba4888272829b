"""Read a warehouse with DuckDB, an engine that nobody here wrote."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sqlite3
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

EXTENSIONS = ("avro", "httpfs", "iceberg")
# PyIceberg's name of an option, and DuckDB's.
_SECRET = {
    "s3.endpoint": "ENDPOINT",
    "s3.access-key-id": "KEY_ID",
    "s3.secret-access-key": "SECRET",
    "s3.region": "REGION",
}


def connect(
    storage: Mapping[str, str] | None = None, extensions: Sequence[str] = EXTENSIONS
) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with extensions from their PyPI wheels: no download.

    Args:
        storage: How to reach S3, in PyIceberg's words.
        extensions: Their names; those that read Iceberg if not given.
    """
    import duckdb  # noqa: PLC0415

    connection = duckdb.connect()
    for extension in extensions:
        connection.load_extension(str(_extension_file(extension)))
    if storage:
        connection.execute(f"CREATE SECRET (TYPE s3, {_secret(storage)})")
    return connection


def _extension_file(name: str) -> Path:
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or not spec.submodule_search_locations:
        msg = f"The package duckdb-extension-{name} is not installed."
        raise ModuleNotFoundError(msg)
    folder = Path(spec.submodule_search_locations[0])
    return next(folder.glob(f"extensions/*/{name}.duckdb_extension"))


def _secret(storage: Mapping[str, str]) -> str:
    scheme, _, host = storage["s3.endpoint"].partition("://")
    values = {**storage, "s3.endpoint": host}
    options = [f"{word} {_quoted(values[name])}" for name, word in _SECRET.items()]
    tls = str(scheme == "https").lower()
    return ", ".join([*options, "URL_STYLE 'path'", f"USE_SSL {tls}"])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def tables(warehouse: Path) -> dict[tuple[str, str], str]:
    """Return the metadata file of every (namespace, table) in the SQLite catalog."""
    query = "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables"
    with contextlib.closing(sqlite3.connect(warehouse / "catalog.db")) as catalog:
        return {(space, name): file for space, name, file in catalog.execute(query)}


@contextlib.contextmanager
def lake(
    warehouse: Path, storage: Mapping[str, str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB with every Iceberg table of the SQLite catalog as a view."""
    with connect(storage) as connection:
        for (namespace, table), location in tables(warehouse).items():
            add_view(connection, namespace, table, location)
        yield connection


def add_view(
    connection: duckdb.DuckDBPyConnection, namespace: str, table: str, location: str
) -> None:
    """Give the table whose metadata lies there a name to query it by."""
    file = _quoted(location.removeprefix("file://"))
    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{namespace}"')
    connection.execute(
        f'CREATE VIEW "{namespace}"."{table}" AS SELECT * FROM iceberg_scan({file})'  # noqa: S608 our own names
    )


def commits(warehouse: Path, namespace: str, table: str) -> list[dict[str, str]]:
    """Return the summaries of a local table's snapshots, the oldest first."""
    location = tables(warehouse)[namespace, table]
    metadata = json.loads(Path(location.removeprefix("file://")).read_text())
    return [snapshot["summary"] for snapshot in metadata.get("snapshots", [])]
