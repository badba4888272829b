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
from decimal import Decimal

import pyarrow as pa

from target_parquet_iceberg import rules
from target_parquet_iceberg.rules import ANY, Rule, kinds_of, options_of

Json: t.TypeAlias = dict[str, t.Any]

MAX_PRECISION = 38
DECIMAL_FORMATS = frozenset({"x-singer.decimal", "singer.decimal"})
UTC_MICROS = pa.timestamp("us", tz="UTC")
WALL_MICROS = pa.timestamp("us")


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


def _text_if_nested(schema: t.Any) -> pa.DataType | None:
    found = arrow(schema)
    return None if found is not None and pa.types.is_nested(found) else found


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


def paths(path: tuple[str, ...], kind: pa.DataType) -> list[tuple[str, ...]]:
    """Return the names of a field and of all its parts, each from the top down."""
    if pa.types.is_list(kind):
        return [path, *paths((*path, "element"), kind.value_type)]
    if pa.types.is_struct(kind):
        return [path, *(p for f in kind for p in paths((*path, f.name), f.type))]
    return [path]


JSON_TEXT = {b"dativo.json": b"1"}
_RULES: dict[str, t.Callable[[Json], pa.DataType | None]] = {
    "boolean": lambda _: pa.bool_(),
    "integer": _integer,
    "number": _number,
    "string": _string,
    "array": _array,
    "object": _object,
}
