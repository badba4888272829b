"""Widen schemas without ever narrowing a value: pure rules on Arrow types."""

from __future__ import annotations

import typing as t

import pyarrow as pa
import pyarrow.compute as pc
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg.naming import check_new_paths
from target_parquet_iceberg.schema import paths

if t.TYPE_CHECKING:
    from collections.abc import Sequence

DOC = b"doc"
_INTEGERS = (pa.int32(), pa.int64())
_REALS = (pa.float32(), pa.float64())


def widest(old: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    """Return the type that holds both exactly and that Iceberg can promote to.

    Decimals keep their scale: the format forbids changing it.
    """
    if old == new:
        return old
    for ladder in (_INTEGERS, _REALS):
        if old in ladder and new in ladder:
            return ladder[1]
    if pa.types.is_decimal(old) and pa.types.is_decimal(new) and old.scale == new.scale:
        return pa.decimal128(max(old.precision, new.precision), old.scale)
    if pa.types.is_list(old) and pa.types.is_list(new):
        item = widest(old.value_type, new.value_type)
        return None if item is None else pa.list_(pa.field("element", item))
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        return _widest_struct(old, new)
    return None


def _widest_struct(old: pa.StructType, new: pa.StructType) -> pa.DataType | None:
    fields = {field.name: field for field in old}
    for field in new:
        kept = fields.get(field.name)
        kind = field.type if kept is None else widest(kept.type, field.type)
        if kind is None:
            return None
        fields[field.name] = (kept or field).with_type(kind)
    return pa.struct(list(fields.values()))


def merge(stream: str, table: pa.Schema, rows: pa.Schema) -> pa.Schema:
    """Return the table's schema, widened and extended to take the rows.

    Raises:
        ConfigurationError: if a column would have to change its kind, or a new one
            could not be told from another.
    """
    fields = {field.name: field for field in table}
    for field in rows:
        kept = fields.get(field.name)
        kind = field.type if kept is None else widest(kept.type, field.type)
        if kind is None:
            raise conflict(stream, field.name, kept and kept.type, field.type)
        fields[field.name] = field if kept is None else kept.with_type(kind)
    merged = pa.schema(list(fields.values()))
    if merged != table:
        known = {path for field in table for path in paths((field.name,), field.type)}
        found = {path for field in merged for path in paths((field.name,), field.type)}
        check_new_paths(stream, known, sorted(found - known))
    return merged


def conflict(stream: str, name: str, old: t.Any, new: t.Any) -> ConfigurationError:
    """Say that a column has one type in the table and another in the tap's schema."""
    what = (
        f"Stream '{stream}': column '{name}' is {old} in the table and {new} in the "
        "tap's schema."
    )
    hint = (
        "Set on_type_conflict to new_column, json or dead_letter, load into a new "
        "table, or cast the column with stream_maps."
    )
    return ConfigurationError(what, hint=hint)


def changes(table: pa.Schema, merged: pa.Schema, rows: pa.Schema) -> pa.Schema:
    """Return the columns that are new, wider or described anew.

    Args:
        table: The columns as they are.
        merged: What `merge` made of them and the rows.
        rows: The rows' own columns, which may bring descriptions.
    """
    old = {field.name: field for field in table}
    docs = {field.name: doc_of(field) for field in rows}
    changed: list[pa.Field] = []
    for field in merged:
        kept, doc = old.get(field.name), docs.get(field.name)
        if doc and (kept is None or doc != doc_of(kept)):
            changed.append(field.with_metadata({DOC: doc}))
        elif kept is None or field.type != kept.type:
            changed.append(field)
    return pa.schema(changed)


def doc_of(field: pa.Field) -> bytes:
    """Return the description of a column; empty if it has none."""
    return bytes((field.metadata or {}).get(DOC, b""))


def plain(schema: pa.Schema) -> pa.Schema:
    """Replace the 64-bit offset types that PyIceberg uses by the ordinary ones."""
    return pa.schema([field.with_type(_plain(field.type)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(pa.field("element", _plain(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    return kind


def unify(stream: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Concatenate rows decoded under several schemas, in order."""
    schema = parts[0].schema
    for part in parts[1:]:
        if part.schema != schema:
            schema = merge(stream, schema, part.schema)
    return pa.concat_tables([conform(part, schema) for part in parts])


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring rows into a schema that `merge` made for them; what is absent is null."""
    if rows.schema == schema:
        return rows
    arrays = [
        _cast(rows[field.name], field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _cast(array: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if array.type == kind:
        return array
    chunks = [_cast_chunk(chunk, kind) for chunk in array.chunks]
    return pa.chunked_array(chunks, kind)


def _cast_chunk(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_list(kind):
        return _cast_list(array, kind)
    if not pa.types.is_struct(kind):
        return array.cast(kind)
    # Arrow's cast fills no fields that the source lacks.
    names = {field.name for field in array.type}
    children = [
        _cast_chunk(array.field(field.name), field.type)
        if field.name in names
        else pa.nulls(len(array), field.type)
        for field in kind
    ]
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())


def _cast_list(array: pa.ListArray, kind: pa.ListType) -> pa.ListArray:
    # Counted from the lengths: offsets of a slice do not start at zero.
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(lengths.cast(pa.int64())).cast(pa.int32())
    counted = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    # The last Arrow for Python 3.10 takes a map of nulls for nulls, though it has none.
    bare = [None, counted.buffers()[1]]
    offsets = pa.Array.from_buffers(pa.int32(), len(counted), bare)
    items = _cast_chunk(array.flatten(), kind.value_type)
    return pa.ListArray.from_arrays(offsets, items, type=kind, mask=array.is_null())
