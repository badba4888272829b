"""All that depends on PyIceberg's internals: data files in, one snapshot out.

PyIceberg's own upsert makes three snapshots and builds a predicate a row
(https://github.com/apache/iceberg-python/issues/2159); its pieces below the public
API let us replace exactly the files that hold a key, in one snapshot.
"""

from __future__ import annotations

import itertools
import typing as t
import uuid
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    GreaterThanOrEqual,
    LessThanOrEqual,
)
from pyiceberg.io.pyarrow import (
    ArrowScan,
    _dataframe_to_data_files,
    schema_to_pyarrow,
)
from pyiceberg.table import DataScan

from target_parquet_iceberg.evolution import conform, plain
from target_parquet_iceberg.merge import bounds, hits

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask, Transaction
    from pyiceberg.table.metadata import TableMetadata


@dataclass(frozen=True, slots=True)
class Delta:
    """The files that one snapshot adds and takes away."""

    added: tuple[DataFile, ...] = ()
    removed: tuple[DataFile, ...] = ()


@dataclass(slots=True)
class SnapshotWriter:
    """Writes data files for one transaction and turns them into a snapshot."""

    transaction: Transaction
    written: list[DataFile] = field(default_factory=list)
    _id: uuid.UUID = field(default_factory=uuid.uuid4)
    _counter: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def metadata(self) -> TableMetadata:
        """The table as this transaction has changed it so far."""
        return self.transaction.table_metadata

    def arrow_schema(self) -> pa.Schema:
        """Return the table's columns as ordinary Arrow types."""
        schema = self.metadata.schema()
        return plain(schema_to_pyarrow(schema, include_field_ids=False))

    def append(self, rows: pa.Table) -> Delta:
        """Write rows as new data files."""
        return Delta(added=tuple(self._write(rows)))

    def overwrite(self, rows: pa.Table | None) -> Delta:
        """Write rows as new data files in place of all that exist."""
        present = tuple(task.file for task in self._tasks(AlwaysTrue()))
        return Delta(tuple(self._write(rows)) if rows is not None else (), present)

    def upsert(self, rows: pa.Table, keys: Sequence[str]) -> Delta:
        """Write rows as new data files, and those files anew that hold their keys."""
        wanted = rows.select(list(keys))
        added: list[DataFile] = []
        removed: list[DataFile] = []
        for task in self._tasks(_within(bounds(wanted))):
            found = hits(self._read(task, keys), wanted)
            if not pc.any(found).as_py():
                continue
            kept = self._read(task).filter(pc.invert(found))
            removed.append(task.file)
            added += self._write(kept)
        return Delta((*added, *self._write(rows)), tuple(removed))

    def commit(self, delta: Delta, summary: dict[str, str]) -> None:
        """Add the snapshot to the transaction."""
        update = self.transaction.update_snapshot(snapshot_properties=summary)
        producer = update.overwrite() if delta.removed else update.fast_append()
        with producer:
            for file in delta.removed:
                producer.delete_data_file(file)
            for file in delta.added:
                producer.append_data_file(file)

    def discard(self) -> None:
        """Delete the files written; only after a commit that certainly failed."""
        for file in self.written:
            self.transaction._table.io.delete(file.file_path)  # noqa: SLF001

    def _write(self, rows: pa.Table) -> Iterator[DataFile]:
        if not rows.num_rows:
            return
        whole = conform(rows, self.arrow_schema())
        table_io = self.transaction._table.io  # noqa: SLF001
        for file in _dataframe_to_data_files(
            self.metadata, whole, table_io, self._id, self._counter
        ):
            self.written.append(file)
            yield file

    def _tasks(self, row_filter: BooleanExpression) -> Iterable[FileScanTask]:
        table_io = self.transaction._table.io  # noqa: SLF001
        return DataScan(self.metadata, table_io, row_filter=row_filter).plan_files()

    def _read(self, task: FileScanTask, columns: Sequence[str] = ()) -> pa.Table:
        schema: Schema = self.metadata.schema()
        projected = schema.select(*columns) if columns else schema
        table_io = self.transaction._table.io  # noqa: SLF001
        scan = ArrowScan(self.metadata, table_io, projected, AlwaysTrue())
        rows = scan.to_table([task])
        names = list(columns) or rows.column_names
        return rows.select(names).cast(plain(rows.select(names).schema))


# Their constructors are typed for keyword arguments only, and take none.
_at_least: t.Any = GreaterThanOrEqual
_at_most: t.Any = LessThanOrEqual


def _within(limits: dict[str, tuple[t.Any, t.Any]]) -> BooleanExpression:
    expression: BooleanExpression = AlwaysTrue()
    for name, (low, high) in limits.items():
        try:
            part = And(_at_least(name, low), _at_most(name, high))
        except (TypeError, ValueError):  # a kind of value without literals
            continue
        expression = And(expression, part)
    return expression
