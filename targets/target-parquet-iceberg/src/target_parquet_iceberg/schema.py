"""Map JSON Schema to Arrow types: one rule a kind, nothing guessed from values.

| JSON Schema | Arrow | Iceberg |
|---|---|---|
| boolean | bool | boolean |
| integer within 32 bits | int32 | int |
| integer with a bound beyond 64 bits | decimal(38, 0) | decimal(38, 0) |
| any other integer | int64 | long |
| number, format float | float | float |
| number | double | double |
| number, multipleOf 10**-n | decimal(38, n) | decimal(38, n) |
| string, format x-singer.decimal with precision, scale | decimal | decimal |
| string, format date / time | date32 / time64 | date / time |
| string, format date-time | timestamp(us, UTC) | timestamptz |
| string, format date-time, x-timezone false | timestamp(us) | timestamp |
| string, contentEncoding base64 | binary | binary |
| any other string | string | string |
| array with typed items | list | list |
| object with properties | struct | struct |
| anything else (free-form, mixed types) | string holding JSON | string |

With setting `nested: json` arrays and objects are JSON text too.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

import pyarrow as pa
from dativo_core.arrow_types import (
    JSON_TEXT,
    MAX_PRECISION,
    UTC_MICROS,
    arrow,
    kinds_of,
    single,
)

from target_parquet_iceberg import rules
from target_parquet_iceberg.rules import ANY, Rule

__all__ = ["JSON_TEXT", "MAX_PRECISION", "UTC_MICROS", "Column", "column", "columns"]
Json: t.TypeAlias = dict[str, t.Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One property of a stream.

    `kind` is the JSON type its values have, or `json` where only JSON text holds all.
    `source` is the property it is read from, where that has another name, and `rule`
    what its values must be besides.
    """

    name: str
    type: pa.DataType
    kind: str
    doc: str = ""
    source: str = ""
    rule: Rule = ANY

    @property
    def field(self) -> str:
        """The name that the values have in the records."""
        return self.source or self.name


def columns(
    schema: Json, *, validate: bool = True, as_json: bool = False
) -> list[Column]:
    """Return a column for every property, in the order of the schema.

    With `validate` off, a column takes what it can hold and demands nothing more; with
    `as_json`, objects and arrays are stored as the text that they came as.
    """
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return []
    needed = rules.required(schema)
    holds = _text_if_nested if as_json else arrow
    found = [column(name, part, holds) for name, part in properties.items()]
    if not validate:
        return [replace(c, rule=rules.lenient(c.rule)) for c in found]
    return [
        replace(c, rule=replace(c.rule, is_required=c.name in needed)) for c in found
    ]


def column(
    name: str,
    schema: t.Any,
    holds: t.Callable[[t.Any], pa.DataType | None] | None = None,
) -> Column:
    """Return the column of one property; `holds` tells its type, as `arrow` does."""
    holds = holds or arrow
    doc = str(schema.get("description") or "") if isinstance(schema, dict) else ""
    rule = rules.rule_of(schema, lambda part: holds(part) is not None)
    arrow_type = holds(schema)
    if arrow_type is None:
        return Column(name, pa.string(), "json", doc, rule=rule)
    kind = min(kinds_of(single(schema)) - {"integer"}, default="integer")
    return Column(name, arrow_type, kind, doc, rule=rule)


def _text_if_nested(schema: t.Any) -> pa.DataType | None:
    found = arrow(schema)
    return None if found is not None and pa.types.is_nested(found) else found


def paths(path: tuple[str, ...], kind: pa.DataType) -> list[tuple[str, ...]]:
    """Return the names of a field and of all its parts, each from the top down."""
    if pa.types.is_list(kind):
        return [path, *paths((*path, "element"), kind.value_type)]
    if pa.types.is_struct(kind):
        return [path, *(p for f in kind for p in paths((*path, f.name), f.type))]
    return [path]
