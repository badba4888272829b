#!/usr/bin/env python3
"""Read Iceberg tables with one engine; print the rows, each value in one spelling.

    python read.py ENGINE NAME=METADATA_FILE ...

It runs in the environment of its engine, so it imports nothing but that engine.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t
from datetime import date, datetime, time, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path


def duckdb(location: str) -> t.Any:
    """Read with DuckDB and its Iceberg extension."""
    from dativo_sandbox.lake import connect  # noqa: PLC0415

    path = location.removeprefix("file://")
    with connect() as engine:
        # Moments come out in the session's zone, which then names them wrongly.
        engine.execute("SET TimeZone = 'UTC'")
        return engine.execute(f"FROM iceberg_scan('{path}')").to_arrow_table()


def pyiceberg(location: str) -> t.Any:
    """Read with PyIceberg."""
    from pyiceberg.table import StaticTable  # noqa: PLC0415

    return StaticTable.from_metadata(location).scan().to_arrow()


def polars(location: str) -> t.Any:
    """Read with the Iceberg reader of Polars itself, not with PyIceberg's."""
    import polars as pl  # noqa: PLC0415

    scan = pl.scan_iceberg(location, reader_override="native")
    return scan.collect().to_arrow()


def clickhouse(location: str) -> t.Any:
    """Read with ClickHouse, in this process."""
    import chdb  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    table, _, name = location.removeprefix("file://").rpartition("/metadata/")
    os.chdir(Path(table).parent)  # all that it may read lies in there
    place = f"'{table}', SETTINGS iceberg_metadata_file_path = 'metadata/{name}'"
    # Its texts may be bytes that are no text.
    settings = "output_format_arrow_string_as_string = 0, session_timezone = 'UTC'"
    query = f"SELECT * FROM icebergLocal({place}) SETTINGS {settings}"
    return pa.ipc.open_file(chdb.query(query, "Arrow").bytes()).read_all()


def spelled(value: t.Any, *, has_bytes: bool) -> t.Any:
    """Return a value as JSON that depends on nothing but the value."""
    again = partial(spelled, has_bytes=has_bytes)
    if isinstance(value, dict):
        return {name: again(part) for name, part in value.items()}
    if isinstance(value, list):
        return [again(part) for part in value]
    if isinstance(value, bytes):
        return value.hex() if has_bytes else value.decode(errors="surrogateescape")
    if isinstance(value, datetime) and value.tzinfo:
        value = value.astimezone(timezone.utc)
    if isinstance(value, (date, time)):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else value


def main(engine: str, *tables: str) -> None:
    """Print one JSON object: the rows of each table."""
    read = {f.__name__: f for f in (duckdb, pyiceberg, polars, clickhouse)}[engine]
    spell = partial(spelled, has_bytes=engine != "clickhouse")
    named = (table.split("=", 1) for table in tables)
    rows = {name: spell(read(location).to_pylist()) for name, location in named}
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
