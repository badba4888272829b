"""The rows of a table, digested as its source digests them."""

from __future__ import annotations

import typing as t

import pyarrow as pa
import pyarrow.compute as pc
from dativo_core.reconciling import digests, summed
from dativo_core.typed_columns import recorded
from pyiceberg.io.pyarrow import schema_to_pyarrow

from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.metadata import DELETED_AT
from target_parquet_iceberg.plan import table_of
from target_parquet_iceberg.reading import live
from target_parquet_iceberg.rollback import open_table
from target_parquet_iceberg.settings import with_defaults

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from dativo_core.reconciling import DigestedRow, Row, Slice
    from pyiceberg.table import Table

_ROWS_AT_ONCE = 10_000


def open_stream(config: Mapping[str, t.Any], stream: str) -> Table:
    """Open the table of a stream.

    Raises:
        ConfigurationError: if there is none, or the warehouse holds plain Parquet.
    """
    settings = with_defaults(config)
    with explained(settings["warehouse"]):
        return open_table(config, table_of(stream, settings))


def digestible(table: Table) -> list[str]:
    """Name the columns whose values are printed alike everywhere."""
    return [
        field.name
        for field in schema_to_pyarrow(table.schema())
        if not (pa.types.is_nested(field.type) or pa.types.is_floating(field.type))
    ]


class TableSide:
    """One side of a comparison: an Iceberg table, as it is now.

    Args:
        table: The table.
        columns: The columns to compare, those of the key first.
        keys: How many those are.
    """

    def __init__(self, table: Table, columns: Sequence[str], keys: int) -> None:
        self._table = table
        self._columns = columns
        self._keys = keys
        snapshot = table.current_snapshot()
        self._snapshot = None if snapshot is None else snapshot.snapshot_id

    def slices(self) -> dict[str, Slice]:
        """Count and sum up."""
        return summed(row for rows in self._scan() for row in self._digested(rows))

    def rows(self, slices: Collection[str]) -> Iterator[Row]:
        """List the rows of some slices."""
        chosen = set(slices)
        for rows in self._scan():
            keys = [_texts(column) for column in rows.columns[: self._keys]]
            found = digests(zip(*keys, strict=True), self._keys)
            places = [at for at, row in enumerate(found) if row.slice in chosen]
            if places:
                for row in self._digested(rows.take(pa.array(places))):
                    yield row.key, row.digest

    def _digested(self, rows: pa.RecordBatch) -> Iterator[DigestedRow]:
        texts = [_texts(column) for column in rows.columns]
        return digests(zip(*texts, strict=True), self._keys)

    def _scan(self) -> Iterator[pa.RecordBatch]:
        if self._snapshot is None:
            return
        table, names = self._table, {*self._columns}
        if DELETED_AT.name in table.schema().column_names:
            names.add(DELETED_AT.name)
        for task in table.scan(snapshot_id=self._snapshot).plan_files():
            for rows in live(table.io, table.metadata, task, [*names]):
                # As Python's text they take many times the room.
                yield from self._kept(rows).to_batches(_ROWS_AT_ONCE)

    def _kept(self, rows: pa.Table) -> pa.Table:
        if DELETED_AT.name in rows.column_names:
            rows = rows.filter(pc.is_null(rows[DELETED_AT.name]))
        return rows.select(self._columns)


def _texts(column: pa.Array) -> list[str | None]:
    """Return the values as a RECORD has them."""
    if pa.types.is_decimal(column.type):
        numbers = column.to_pylist()
        return [None if value is None else f"{value:f}" for value in numbers]
    return t.cast("list[str | None]", recorded(column).cast(pa.string()).to_pylist())
