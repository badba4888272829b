"""The value table: how each Postgres type is asked for, sent and stored.

One row of `RULES` a family of types. Discovery, reading and the documentation use it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from dativo_core import singer_types as st

from tap_postgres.pg_types import numeric_digits

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_core.record_lines import Rendering

    from tap_postgres.pg_types import Options, PgType

_AS_TEXT = "{c}::text"
AS_JSON = "to_json({c})::text"
# JSON parsers read -0 as the integer 0.
_FLOATS = "regexp_replace(to_json({c})::text, '([[,])-0(?=[],])', '\\1-0.0', 'g')"
# A cast to text would add /32 or /128 to a host.
_INET = "textin(inet_out({c}))"
_FINITE_DATE = "{c} >= '0001-01-01' AND {c} < '10000-01-01'"
_FINITE_FLOAT = "{c} NOT IN ('NaN', 'Infinity', '-Infinity')"
_BASE64 = "translate(encode({c}, 'base64'), E'\\n', '')"
# More dimensions than declared go out nested, for the target to refuse.
_EACH_ELEMENT = (
    "CASE WHEN array_ndims({c}) > 1 THEN to_json({c}::text[]) "
    "WHEN {c} IS NOT NULL THEN to_json(ARRAY(SELECT {element} "
    "FROM generate_subscripts({c}, 1) AS _at ORDER BY _at)) END::text"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Attributes:
        types: Names in `pg_type`, or the family: enum, composite, range, other.
        schema: JSON Schema of a value.
        select: SQL expression of a column `{c}`.
        rendering: How the selected value becomes JSON.
        array: SQL expression of a column of arrays of such values, as JSON text.
        iceberg: Type of the table's column.
        policy: What a reader of the table must know.
        finite: SQL condition under which the value exists in JSON and Iceberg.
        option: Name of the option that turns other values to null.
        cursor: Whether values grow, so that the column can mark progress.
        native: SQL expression for a BATCH file, where it is not `select`.
    """

    types: tuple[str, ...]
    schema: Callable[[PgType, Options], st.Schema]
    select: str
    rendering: Rendering
    array: str
    iceberg: str
    policy: str
    finite: str = ""
    option: str = ""
    cursor: bool = False
    native: str = ""


def _always(schema: st.Schema) -> Callable[[PgType, Options], st.Schema]:
    return lambda _type, _options: dict(schema)


def _numeric(pg_type: PgType, _options: Options) -> st.Schema:
    digits = numeric_digits(pg_type.modifier)
    return st.decimal(*digits) if digits else st.text()


RULES: tuple[Rule, ...] = (
    Rule(
        types=("bool",),
        schema=_always(st.boolean()),
        select="{c}",
        rendering="json",
        array=AS_JSON,
        iceberg="boolean",
        policy="As it is.",
    ),
    Rule(
        types=("int2",),
        schema=_always(st.signed(16)),
        select="{c}",
        rendering="json",
        array=AS_JSON,
        iceberg="int",
        policy="Exact.",
        cursor=True,
    ),
    Rule(
        types=("int4",),
        schema=_always(st.signed(32)),
        select="{c}",
        rendering="json",
        array=AS_JSON,
        iceberg="int",
        policy="Exact.",
        cursor=True,
    ),
    Rule(
        types=("int8",),
        schema=_always(st.signed(64)),
        select="{c}",
        rendering="json",
        array=AS_JSON,
        iceberg="long",
        policy="Exact, all 64 bits.",
        cursor=True,
    ),
    Rule(
        types=("oid",),
        schema=_always(st.integer(0, 2**32 - 1)),
        select="{c}::int8",
        rendering="json",
        array="to_json({c}::int8[])::text",
        iceberg="long",
        policy="Exact, unsigned 32 bits.",
    ),
    Rule(
        types=("float4",),
        schema=_always(st.real(32)),
        select="{c}",
        rendering="float",
        array=_FLOATS,
        iceberg="float",
        policy="Round-trips exactly; NaN and infinity travel as strings.",
        finite=_FINITE_FLOAT,
        option="non_finite_floats",
        cursor=True,
    ),
    Rule(
        types=("float8",),
        schema=_always(st.real(64)),
        select="{c}",
        rendering="float",
        array=_FLOATS,
        iceberg="double",
        policy="Round-trips exactly; NaN and infinity travel as strings.",
        finite=_FINITE_FLOAT,
        option="non_finite_floats",
        cursor=True,
    ),
    Rule(
        types=("numeric",),
        schema=_numeric,
        select=_AS_TEXT,
        rendering="plain",
        array="to_json({c}::text[])::text",
        iceberg="decimal(p, s), or string without a precision of 38 or less",
        policy="Digit for digit; NaN and infinity go to the dead letters of a decimal.",
        finite="{c} NOT IN ('NaN', 'Infinity', '-Infinity')",
        cursor=True,
    ),
    Rule(
        types=("money",),
        schema=lambda _type, options: st.decimal(19, options.money_scale),
        select="{c}::numeric::text",
        rendering="plain",
        array="to_json({c}::numeric[]::text[])::text",
        iceberg="decimal(19, s)",
        policy="The amount without its currency, at the server's scale.",
    ),
    Rule(
        types=("text", "varchar", "bpchar", "name"),
        schema=_always(st.text()),
        select="{c}",
        rendering="text",
        array=AS_JSON,
        iceberg="string",
        policy="As it is; char(n) keeps its trailing blanks.",
        cursor=True,
    ),
    Rule(
        types=("bytea",),
        schema=_always(st.binary()),
        select=_BASE64,
        rendering="plain",
        array=_EACH_ELEMENT.replace("{element}", _BASE64.replace("{c}", "{c}[_at]")),
        iceberg="binary",
        policy="Exact, in base64 on the way.",
        native="{c}",
    ),
    Rule(
        types=("uuid",),
        schema=_always(st.uuid()),
        select=_AS_TEXT,
        rendering="plain",
        array=AS_JSON,
        iceberg="string",
        policy="Exact, in lower case; engines disagree on Iceberg's own type.",
        cursor=True,
    ),
    Rule(
        types=("date",),
        schema=_always(st.date()),
        select=_AS_TEXT,
        rendering="plain",
        array=AS_JSON,
        iceberg="date",
        policy="Years 1 to 9999; others and infinity go to the dead letters, or null.",
        finite=_FINITE_DATE,
        option="special_dates",
        cursor=True,
        native="{c}",
    ),
    Rule(
        types=("timestamp",),
        schema=_always(st.timestamp(zoned=False)),
        select=AS_JSON,
        rendering="json",
        array=AS_JSON,
        iceberg="timestamp",
        policy="Microseconds; years 1 to 9999, others to the dead letters, or null.",
        finite=_FINITE_DATE,
        option="special_dates",
        cursor=True,
        native="{c}",
    ),
    Rule(
        types=("timestamptz",),
        schema=_always(st.timestamp(zoned=True)),
        select=AS_JSON,
        rendering="json",
        array=AS_JSON,
        iceberg="timestamptz",
        policy="Microseconds in UTC; years 1 to 9999, others to the dead letters, "
        "or null.",
        finite=_FINITE_DATE,
        option="special_dates",
        cursor=True,
        native="{c}",
    ),
    Rule(
        types=("time",),
        schema=_always(st.time()),
        select=_AS_TEXT,
        rendering="plain",
        array=AS_JSON,
        iceberg="time",
        policy="Microseconds; 24:00:00 goes to the dead letters.",
        native="{c}",
    ),
    Rule(
        types=("timetz", "interval", "bit", "varbit"),
        schema=_always(st.text()),
        select=_AS_TEXT,
        rendering="plain",
        array=AS_JSON,
        iceberg="string",
        policy="As Postgres prints it; intervals in ISO 8601.",
    ),
    Rule(
        types=("inet",),
        schema=_always(st.text()),
        select=_INET,
        rendering="plain",
        array=AS_JSON,
        iceberg="string",
        policy="As Postgres prints it.",
    ),
    Rule(
        types=("cidr", "macaddr", "macaddr8", "pg_lsn"),
        schema=_always(st.text()),
        select=_AS_TEXT,
        rendering="plain",
        array=AS_JSON,
        iceberg="string",
        policy="As Postgres prints it.",
    ),
    Rule(
        types=("json", "jsonb"),
        schema=_always(st.json_text()),
        select=_AS_TEXT,
        rendering="text",
        array="to_json({c}::text[])::text",
        iceberg="string",
        policy="The document as text, digit for digit.",
    ),
    Rule(
        types=("hstore", "composite"),
        schema=_always(st.json_text()),
        select=AS_JSON,
        rendering="text",
        array=_EACH_ELEMENT.replace("{element}", "to_json({c}[_at])::text"),
        iceberg="string",
        policy="A JSON object as text.",
    ),
    Rule(
        types=("enum",),
        schema=_always(st.text()),
        select=_AS_TEXT,
        rendering="text",
        array=AS_JSON,
        iceberg="string",
        policy="The label.",
    ),
    Rule(
        types=("range",),
        schema=_always(st.text()),
        select=_AS_TEXT,
        rendering="text",
        array=AS_JSON,
        iceberg="string",
        policy="As Postgres prints it, ranges and multiranges alike.",
    ),
    Rule(
        types=("other",),
        schema=_always(st.text()),
        select=_AS_TEXT,
        rendering="text",
        array="to_json({c}::text[])::text",
        iceberg="string",
        policy="As Postgres prints it: geometry, full text, XML, paths, and the rest.",
    ),
)
_RULES = {name: rule for rule in RULES for name in rule.types}


def rule_of(pg_type: PgType) -> Rule:
    """Return the row of the table for a type that is not an array."""
    return _RULES.get(pg_type.name, _RULES["other"])
