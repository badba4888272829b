"""Decide whether files of a BATCH can become part of a table as they are.

What the ordinary way would make of their rows must be what is in the files already:
the same columns, no partitions, no order, no key twice. Else their rows are read, and
written like any others.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
from dativo_core.arrow_types import FIELD_ID
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import sanitize_column_names
from pyiceberg.table import TableProperties

from target_parquet_iceberg.evolution import conform, plain, unify
from target_parquet_iceberg.merge import is_unique
from target_parquet_iceberg.past import within
from target_parquet_iceberg.plan import Method

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyiceberg.table.metadata import TableMetadata

    from target_parquet_iceberg.layout import Layout
    from target_parquet_iceberg.snapshots import SnapshotWriter
    from target_parquet_iceberg.table import Commit, HeldFile

Shape: t.TypeAlias = "tuple[tuple[str, str, t.Any], ...]"


def can_adopt(writer: SnapshotWriter, commit: Commit) -> bool:
    """Tell whether the table can take the files of a commit, their keys aside."""
    metadata = writer.metadata
    order = metadata.sort_order_by_id(metadata.default_sort_order_id)
    return (
        not metadata.spec().fields
        and not (order and order.fields)
        and sanitize_column_names(metadata.schema()) == metadata.schema()
        and all(_fits(metadata, held.footer) for held in commit.files)
        and not (commit.method is Method.APPEND and _overlaps(writer, commit))
    )


def settle(
    stream: str, writer: SnapshotWriter, commit: Commit, layout: Layout
) -> tuple[Commit, pa.Table | None]:
    """Return the commit with files that can be adopted, and the keys in them.

    If one of them cannot, all their rows are among the commit's rows instead.
    """
    if not can_adopt(writer, commit):
        return _read(stream, writer, commit), None
    merges = commit.method is Method.UPSERT or commit.version is not None
    if not (merges and commit.keys):
        return commit, None
    if layout.deletes_by_key:
        return _read(stream, writer, commit), None
    keys = _keys(writer, commit)
    parts = [keys]
    if commit.rows is not None:
        parts.append(conform(commit.rows.select(commit.keys), keys.schema))
    if not is_unique(pa.concat_tables(parts)):
        return _read(stream, writer, commit), None
    rows = writer.arrow_schema().empty_table() if commit.rows is None else commit.rows
    return replace(commit, rows=rows), keys


def _fits(metadata: TableMetadata, footer: pq.FileMetaData) -> bool:
    codec = metadata.properties.get(TableProperties.PARQUET_COMPRESSION, "zstd")
    wanted = shape(schema_to_pyarrow(metadata.schema(), include_field_ids=True))
    return (
        shape(footer.schema.to_arrow_schema()) == wanted
        and not any(field.required for field in metadata.schema().fields)
        and footer.num_row_groups > 0
        and footer.row_group(0).column(0).compression.lower() == codec
    )


def shape(fields: Iterable[pa.Field]) -> Shape:
    """Return names, field ids and types, down to the last part."""
    return tuple(
        (field.name, (field.metadata or {}).get(FIELD_ID, b"").decode(), _inner(field))
        for field in fields
    )


def _inner(field: pa.Field) -> t.Any:
    kind = field.type
    if pa.types.is_struct(kind):
        return shape(kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return shape([kind.value_field.with_name("element")])
    return str(plain(pa.schema([field.remove_metadata()])).field(0).type)


def _overlaps(writer: SnapshotWriter, commit: Commit) -> bool:
    """Tell whether the table may have rows with the keys of the files.

    An append looks at those one by one, since they may be the same rows again.
    """
    if not commit.keys:
        return False
    for held in commit.files:
        if list(writer.tasks(within(_bounds(held.footer, commit.keys)))):
            return True
    return False


def _bounds(
    footer: pq.FileMetaData, keys: Sequence[str]
) -> dict[str, tuple[t.Any, t.Any]]:
    found: dict[str, tuple[t.Any, t.Any]] = {}
    for number in range(footer.row_group(0).num_columns):
        name = footer.row_group(0).column(number).path_in_schema
        if name in keys:
            limits = limits_of(footer, number)
            if limits is not None:
                found[name] = limits
    return found


def limits_of(footer: pq.FileMetaData, column: int) -> tuple[t.Any, t.Any] | None:
    """Return the least and greatest value of a column; None where it is not told."""
    parts = [
        footer.row_group(group).column(column).statistics
        for group in range(footer.num_row_groups)
    ]
    if not all(part is not None and part.has_min_max for part in parts):
        return None
    return min(part.min for part in parts), max(part.max for part in parts)


def _keys(writer: SnapshotWriter, commit: Commit) -> pa.Table:
    columns = writer.arrow_schema()
    schema = pa.schema([columns.field(name) for name in commit.keys])
    tables = [_table(held, commit.keys) for held in commit.files]
    return pa.concat_tables([conform(table, schema) for table in tables])


def _read(stream: str, writer: SnapshotWriter, commit: Commit) -> Commit:
    """Return the commit with the rows of its files among its own, in their order."""
    columns, done = writer.arrow_schema(), 0
    parts: list[pa.Table] = []
    for held in commit.files:
        if commit.rows is not None:
            parts.append(commit.rows.slice(done, held.after - done))
            done = held.after
        parts.append(conform(_table(held), columns))
    if commit.rows is not None:
        parts.append(commit.rows.slice(done))
    return replace(commit, rows=unify(stream, parts), files=())


def _table(held: HeldFile, names: Sequence[str] | None = None) -> pa.Table:
    with held.file.system.open_input_file(held.file.path) as source:
        table = pq.ParquetFile(source).read(columns=list(names) if names else None)
    return table.cast(plain(_bare(table.schema)))


def _bare(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.remove_metadata() for field in schema])
