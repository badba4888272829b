"""Decide where values go whose type a column of the table cannot take.

| on_type_conflict | a type that can be widened | any other type |
|---|---|---|
| widen | widened | stops the run |
| new_column | widened | stored beside, in `<name>__<type>` |
| json | widened | stored beside, as JSON text in `<name>__json` |
| dead_letter | widened | what does not fit the table's type is a dead letter |
| fail | stops the run | stops the run |

Keys never move to another column: a change of theirs stops the run, or is a matter of
dead letters.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import replace

import pyarrow as pa

from target_parquet_iceberg.evolution import conflict, widest
from target_parquet_iceberg.naming import check_columns
from target_parquet_iceberg.schema import JSON_TEXT, MAX_PRECISION, Column

if t.TYPE_CHECKING:
    from target_parquet_iceberg.plan import Plan


class Policy(str, enum.Enum):
    """What happens when a column's type has changed."""

    WIDEN = "widen"
    NEW_COLUMN = "new_column"
    JSON = "json"
    DEAD_LETTER = "dead_letter"
    FAIL = "fail"


def settle(plan: Plan, table: pa.Schema) -> tuple[Column, ...]:
    """Return the columns to decode, each with a type that the table can take.

    Raises:
        ConfigurationError: if the policy is to stop, or leaves no other way.
    """
    present = {field.name: field.type for field in table}
    settled = [_settled(plan, column, present) for column in plan.columns]
    check_columns(plan.stream, [column.name for column in settled])
    names = {column.name for column in plan.columns}
    for column in settled:
        if column.source and column.name in names:
            raise conflict(plan.stream, column.name, "another field", column.type)
    return tuple(settled)


def _settled(plan: Plan, column: Column, present: dict[str, pa.DataType]) -> Column:
    old = present.get(column.name)
    if old is None or _fits(plan.on_type_conflict, old, column.type):
        return column
    refusal = conflict(plan.stream, column.name, old, column.type)
    policy = plan.on_type_conflict
    if policy is Policy.DEAD_LETTER:
        kind = _marked(fused(old, column.type), column.type)
        return replace(column, type=kind, kind=_json_kind(kind, column.kind))
    if policy not in {Policy.NEW_COLUMN, Policy.JSON} or column.name in plan.keys:
        raise refusal
    beside = _json_column(column) if policy is Policy.JSON else _typed_column(column)
    taken = present.get(beside.name)
    if taken is not None and widest(taken, beside.type) is None:
        raise refusal
    return beside


def _fits(policy: Policy, old: pa.DataType, new: pa.DataType) -> bool:
    if policy is Policy.FAIL:
        return _is_unchanged(old, new)
    return widest(old, new) is not None


def _is_unchanged(old: pa.DataType, new: pa.DataType) -> bool:
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        fields = {field.name: field.type for field in old}
        common = [field for field in new if field.name in fields]
        return all(_is_unchanged(fields[f.name], f.type) for f in common)
    if pa.types.is_list(old) and pa.types.is_list(new):
        return _is_unchanged(old.value_type, new.value_type)
    return bool(widest(old, new) == old)


def fused(old: pa.DataType, new: pa.DataType) -> pa.DataType:
    """Return the old type, widened and extended as far as the new one allows."""
    wide = widest(old, new)
    if wide is not None:
        return wide
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        fields = {field.name: field for field in old}
        for field in new:
            kept = fields.get(field.name)
            fields[field.name] = (
                field if kept is None else kept.with_type(fused(kept.type, field.type))
            )
        return pa.struct(list(fields.values()))
    if pa.types.is_list(old) and pa.types.is_list(new):
        item = fused(old.value_type, new.value_type)
        return pa.list_(pa.field("element", item))
    return old


def _marked(kind: pa.DataType, new: pa.DataType) -> pa.DataType:
    """Mark the parts that hold JSON text as the new type does: no table tells."""
    if pa.types.is_struct(kind) and pa.types.is_struct(new):
        parts = {part.name: part for part in new}
        return pa.struct([_marked_part(part, parts.get(part.name)) for part in kind])
    if pa.types.is_list(kind) and pa.types.is_list(new):
        item = _marked(kind.value_type, new.value_type)
        return pa.list_(pa.field("element", item))
    return kind


def _marked_part(part: pa.Field, new: pa.Field | None) -> pa.Field:
    if new is None:
        return part
    if new.metadata == JSON_TEXT and part.type == new.type:
        return part.with_metadata(JSON_TEXT)
    return part.with_type(_marked(part.type, new.type))


def _json_kind(kind: pa.DataType, incoming: str) -> str:
    """Return the JSON type that values of a column have."""
    for matches, name in _KINDS:
        if matches(kind):
            return name
    if pa.types.is_decimal(kind) and incoming != "string":
        return "number"
    return "string"


_KINDS = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_list, "array"),
    (pa.types.is_struct, "object"),
)


def _json_column(column: Column) -> Column:
    return replace(
        column,
        name=f"{column.name}__json",
        type=pa.string(),
        kind="json",
        source=column.field,
    )


def _typed_column(column: Column) -> Column:
    """Return a column of the widest type of its family: its name says all."""
    if column.kind == "json":
        return _json_column(column)
    name, kind = _roomy(column.type)
    return replace(
        column, name=f"{column.name}__{name}", type=kind, source=column.field
    )


def _roomy(kind: pa.DataType) -> tuple[str, pa.DataType]:
    if pa.types.is_integer(kind):
        return "long", pa.int64()
    if pa.types.is_floating(kind):
        return "double", pa.float64()
    if pa.types.is_decimal(kind):
        wide = pa.decimal128(MAX_PRECISION, kind.scale)
        return f"decimal_{MAX_PRECISION}_{kind.scale}", wide
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp", kind
    for matches, name in _NAMES:
        if matches(kind):
            return name, kind
    return "string", kind


_NAMES = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_list, "list"),
    (pa.types.is_struct, "struct"),
)
