#!/usr/bin/env python3
"""Move a table from Postgres to one Parquet file with nothing in between.

No messages, no commit, no state: what remains is the driver and the Parquet writer.
"""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pyarrow.parquet as pq
import tables

if t.TYPE_CHECKING:
    from collections.abc import Iterator

BATCH_BYTES = "4000000"


def write(dsn: str, table: tables.Table, output: str) -> None:
    """Stream the table into the file, batch by batch."""
    batches = read(dsn, table)
    first = next(batches)
    with pq.ParquetWriter(output, first.schema, compression="zstd") as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def read(dsn: str, table: tables.Table) -> Iterator[pa.RecordBatch]:
    """Yield the table with exact decimals."""
    digits = {column.name: column.digits for column in table.columns}
    with postgresql.connect(dsn) as connection, connection.cursor() as cursor:
        hint = {"adbc.postgresql.batch_size_hint_bytes": BATCH_BYTES}
        cursor.adbc_statement.set_options(**hint)
        cursor.execute(query(table))
        with cursor.fetch_record_batch() as reader:
            for batch in reader:
                yield plain(batch, digits)


def query(table: tables.Table) -> str:
    """Ask for numerics as text, which the server makes faster than the driver."""
    columns = (
        f"{column.name}::text" if column.digits else column.name
        for column in table.columns
    )
    return f"SELECT {', '.join(columns)} FROM {table.name}"  # noqa: S608 our own names


def plain(
    batch: pa.RecordBatch, digits: dict[str, tuple[int, int] | None]
) -> pa.RecordBatch:
    """Give numerics the type that they have in Postgres; JSON stays text."""
    arrays = {
        name: _plain(column, digits[name])
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return pa.RecordBatch.from_pydict(arrays)


def _plain(column: pa.Array, digits: tuple[int, int] | None) -> pa.Array:
    stored = getattr(column, "storage", column)
    if digits is None:
        return stored
    return stored.cast(pa.decimal128(*digits))


if __name__ == "__main__":
    address, name, file = sys.argv[1:]
    write(Path(address).read_text(encoding="utf-8"), tables.TABLES[name], file)
