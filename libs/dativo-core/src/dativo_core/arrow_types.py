"""Map JSON Schema to Arrow types: what the columns of a table are, for tap and target.

The target makes tables by it, and a tap that writes Parquet for a BATCH writes the same
columns, so that the file can become part of the table as it is.
"""

from __future__ import annotations

import typing as t
from decimal import Decimal

import pyarrow as pa

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json: t.TypeAlias = dict[str, t.Any]

MAX_PRECISION = 38
DECIMAL_FORMATS = frozenset({"x-singer.decimal", "singer.decimal"})
UTC_MICROS = pa.timestamp("us", tz="UTC")
WALL_MICROS = pa.timestamp("us")
JSON_TEXT = {b"dativo.json": b"1"}
FIELD_ID = b"PARQUET:field_id"


def arrow(schema: t.Any) -> pa.DataType | None:
    """Return the Arrow type; None where only JSON text can hold every value."""
    schema = single(schema)
    kinds = kinds_of(schema)
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if len(kinds) != 1:
        return None
    rule = _RULES.get(next(iter(kinds)))
    return rule(schema) if rule else None


def single(schema: t.Any) -> Json:
    """Reduce `anyOf` and `oneOf` to one schema; empty where the types differ."""
    if not isinstance(schema, dict):
        return {}
    options = options_of(schema)
    if not options:
        return schema
    real = [option for option in map(single, options) if not _is_null(option)]
    if len(real) == 1:
        return real[0]
    kinds = {frozenset(kinds_of(option)) for option in real}
    return {"type": "string"} if kinds == {frozenset({"string"})} else {}


def options_of(schema: Json) -> list[t.Any]:
    """Return what `anyOf` or `oneOf` offer, where the schema has no type itself."""
    options = schema.get("anyOf") or schema.get("oneOf")
    return options if isinstance(options, list) and "type" not in schema else []


def kinds_of(schema: Json) -> set[str]:
    """Return the JSON types allowed, null left out."""
    return {str(kind) for kind in listed(schema)} - {"null"}


def listed(schema: Json) -> list[t.Any]:
    """Return what `type` says, as a list."""
    kinds = schema.get("type")
    return kinds if isinstance(kinds, list) else [kinds] if kinds else []


def file_schema(properties: Mapping[str, t.Any]) -> pa.Schema:
    """Return the columns of a stream, with the field ids of a new Iceberg table.

    Iceberg numbers the columns first, then the parts of each, from the top down. In a
    table that has grown they may differ: the target compares them before it trusts.
    """
    kinds = {name: arrow(part) or pa.string() for name, part in properties.items()}
    fields = [pa.field(name, kind) for name, kind in kinds.items()]
    return pa.schema(_numbered(fields, _count()))


def _count() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


def _numbered(fields: list[pa.Field], ids: Iterator[int]) -> list[pa.Field]:
    marked = [field.with_metadata({FIELD_ID: str(next(ids))}) for field in fields]
    return [field.with_type(_inside(field.type, ids)) for field in marked]


def _inside(kind: pa.DataType, ids: Iterator[int]) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct(_numbered(list(kind), ids))
    if pa.types.is_list(kind):
        return pa.list_(_numbered([kind.value_field], ids)[0])
    return kind


def _is_null(schema: Json) -> bool:
    return bool(schema.get("type")) and not kinds_of(schema)


def _integer(schema: Json) -> pa.DataType:
    limits = [schema.get("minimum"), schema.get("maximum")]
    known = [limit for limit in limits if isinstance(limit, (int, float))]
    if not all(-(2**63) <= limit < 2**63 for limit in known):
        return pa.decimal128(MAX_PRECISION, 0)
    is_narrow = all(-(2**31) <= limit < 2**31 for limit in known)
    return pa.int32() if is_narrow and len(known) == len(limits) else pa.int64()


def _number(schema: Json) -> pa.DataType:
    step = schema.get("multipleOf")
    if isinstance(step, (int, float)) and 0 < step < 1:
        exponent = Decimal(str(step)).normalize()
        scale = -int(exponent.as_tuple().exponent)
        if exponent.as_tuple().digits == (1,) and scale < MAX_PRECISION:
            return pa.decimal128(MAX_PRECISION, scale)
    return pa.float32() if schema.get("format") == "float" else pa.float64()


def _string(schema: Json) -> pa.DataType:
    text_format = str(schema.get("format"))
    if text_format in DECIMAL_FORMATS:
        return _decimal(schema)
    if schema.get("contentEncoding") == "base64":
        return pa.binary()
    if text_format == "date-time":
        return WALL_MICROS if schema.get("x-timezone") is False else UTC_MICROS
    by_format = {"date": pa.date32(), "time": pa.time64("us")}
    return by_format.get(text_format, pa.string())


def _decimal(schema: Json) -> pa.DataType:
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if not isinstance(precision, int) or not isinstance(scale, int):
        return pa.string()
    fits = 0 < precision <= MAX_PRECISION and 0 <= scale <= precision
    return pa.decimal128(precision, scale) if fits else pa.string()


def _array(schema: Json) -> pa.DataType | None:
    items = arrow(schema.get("items"))
    return None if items is None else pa.list_(pa.field("element", items))


def _object(schema: Json) -> pa.DataType | None:
    properties = schema.get("properties")
    if not properties or not isinstance(properties, dict):
        return None
    parts = [(name, arrow(part)) for name, part in properties.items()]
    # A free-form part becomes JSON text inside the struct.
    fields = [
        pa.field(name, kind or pa.string(), metadata=None if kind else JSON_TEXT)
        for name, kind in parts
    ]
    return pa.struct(fields)


_RULES: dict[str, t.Callable[[Json], pa.DataType | None]] = {
    "boolean": lambda _: pa.bool_(),
    "integer": _integer,
    "number": _number,
    "string": _string,
    "array": _array,
    "object": _object,
}
