"""The value table: how each type is asked for, sent and stored.

One row of `RULES` a family of types. Discovery, reading and the documentation use it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from dativo_core import singer_types as st

from tap_mysql.my_types import MAX_DECIMAL_PRECISION, MyType

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_core.record_lines import Rendering

    from tap_mysql.my_types import Options

Form: t.TypeAlias = t.Literal[
    "digits",
    "text",
    "float",
    "double",
    "flag",
    "moment",
    "utc",
    "bytes",
    "geometry",
]
"""What is left to do with the bytes that the server sends.

- `digits`: nothing: they are ASCII, and JSON as they are.
- `text`: make sure that they are UTF-8.
- `float`, `double`: read the number, of which 32 bits or 64 count.
- `flag`: 0 and 1 are false and true.
- `moment`, `utc`: spell the time as ISO 8601 does, with the zone for `utc`.
- `bytes`: nothing.
- `geometry`: WKB, behind the four bytes that name the reference system.
"""

_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_GEOMETRIES = (
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
)
# Zero, in part or whole, before the year 1, or a day that its month does not have.
REAL_DATE = (
    "{c} >= '0001-01-01' AND MONTH({c}) > 0 "
    "AND DAYOFMONTH({c}) BETWEEN 1 AND DAYOFMONTH(LAST_DAY({c}))"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Attributes:
        types: Values of `DATA_TYPE`, or `other`.
        schema: JSON Schema of a value.
        rendering: How the value becomes JSON.
        form: What makes the value of what the server sends.
        iceberg: Type of the table's column.
        policy: What a reader of the table must know.
        select: SQL expression of a column `{c}`.
        dated: Whether the option for zero dates applies.
        cursor: Whether values grow, so that the column can mark progress.
        keyed: Whether the order of values is that of their spelling in SQL, so that
            a load can resume behind one.
    """

    types: tuple[str, ...]
    schema: Callable[[MyType, Options], st.Schema]
    rendering: Rendering
    form: Form
    iceberg: str
    policy: str
    select: str = "{c}"
    dated: bool = False
    cursor: bool = False
    keyed: bool = False


def _always(schema: st.Schema) -> Callable[[MyType, Options], st.Schema]:
    return lambda _type, _options: dict(schema)


def _integer(my_type: MyType, _options: Options) -> st.Schema:
    bits = _INTEGER_BITS[my_type.name]
    return st.integer(0, 2**bits - 1) if my_type.is_unsigned else st.signed(bits)


def _tiny(my_type: MyType, options: Options) -> st.Schema:
    is_flag = my_type.is_flag and options.tinyint1 == "boolean"
    return st.boolean() if is_flag else _integer(my_type, options)


def _bits(my_type: MyType, _options: Options) -> st.Schema:
    return st.integer(0, 2 ** (my_type.precision or 1) - 1)


def _decimal(my_type: MyType, _options: Options) -> st.Schema:
    precision = my_type.precision or 10
    if precision > MAX_DECIMAL_PRECISION:
        return st.text()
    return st.decimal(precision, my_type.scale or 0)


def _dated(schema: st.Schema) -> Callable[[MyType, Options], st.Schema]:
    return lambda _type, options: (
        st.text() if options.zero_dates == "text" else dict(schema)
    )


RULES: tuple[Rule, ...] = (
    Rule(
        types=("tinyint",),
        schema=_tiny,
        rendering="json",
        form="digits",
        iceberg="int",
        policy="Exact. `tinyint(1)` too, unless `tinyint1` is `boolean`: then other "
        "values than 0 and 1 go to the dead letters.",
        cursor=True,
        keyed=True,
    ),
    Rule(
        types=("smallint", "mediumint", "int"),
        schema=_integer,
        rendering="json",
        form="digits",
        iceberg="int, or long for an unsigned `int`",
        policy="Exact, signed or not; `zerofill` adds no zeros.",
        cursor=True,
        keyed=True,
    ),
    Rule(
        types=("bigint",),
        schema=_integer,
        rendering="json",
        form="digits",
        iceberg="long, or decimal(38, 0) if unsigned",
        policy="Exact, all 64 bits, signed or not.",
        cursor=True,
        keyed=True,
    ),
    Rule(
        types=("bit",),
        schema=_bits,
        rendering="json",
        form="digits",
        iceberg="int, long, or decimal(38, 0) for 64 bits",
        policy="The number that the bits are, from `bit(1)` to `bit(64)`.",
        select="CAST({c} AS UNSIGNED)",
    ),
    Rule(
        types=("decimal",),
        schema=_decimal,
        rendering="plain",
        form="digits",
        iceberg="decimal(p, s), or string beyond 38 digits",
        policy="Digit for digit, up to decimal(65, 30).",
        cursor=True,
        keyed=True,
    ),
    Rule(
        types=("float",),
        schema=_always(st.real(32)),
        rendering="float",
        form="float",
        iceberg="float",
        policy="Round-trips exactly: all 32 bits, not the six digits that the server "
        "prints.",
        # Widened on the server, it is printed with all its digits; + would lose -0.
        select="{c} * 1e0",
    ),
    Rule(
        types=("double",),
        schema=_always(st.real(64)),
        rendering="float",
        form="double",
        iceberg="double",
        policy="Round-trips exactly.",
        select="{c} * 1e0",
        cursor=True,
    ),
    Rule(
        types=("year",),
        schema=_always(st.integer(0, 2155)),
        rendering="json",
        form="digits",
        iceberg="int",
        policy="The year; 0 is MySQL's zero year.",
        select="CAST({c} AS UNSIGNED)",
    ),
    Rule(
        types=("date",),
        schema=_dated(st.date()),
        rendering="plain",
        form="digits",
        iceberg="date",
        policy="Years 1 to 9999; zero dates, whole or in part, and days that do not "
        "exist go to the dead letters, become null or stay text, by `zero_dates`.",
        dated=True,
        cursor=True,
        keyed=True,
    ),
    Rule(
        types=("datetime",),
        schema=_dated(st.timestamp(zoned=False)),
        rendering="plain",
        form="moment",
        iceberg="timestamp",
        policy="Microseconds, without a zone; zero dates as above.",
        dated=True,
        cursor=True,
        keyed=True,
    ),
    Rule(
        types=("timestamp",),
        schema=_dated(st.timestamp(zoned=True)),
        rendering="plain",
        form="utc",
        iceberg="timestamptz",
        policy="Microseconds in UTC; zero dates as above.",
        dated=True,
        cursor=True,
        keyed=True,
    ),
    Rule(
        types=("time",),
        schema=_always(st.text()),
        rendering="plain",
        form="digits",
        iceberg="string",
        policy="A signed duration as the server prints it, `-838:59:59.999999` to "
        "`838:59:59.999999`: no time of day could hold it.",
        keyed=True,
    ),
    Rule(
        types=("char", "varchar"),
        schema=_always(st.text()),
        rendering="text",
        form="text",
        iceberg="string",
        policy="As it is, from any character set; `char(n)` comes without trailing "
        "blanks, as the server gives it.",
        cursor=True,
        keyed=True,
    ),
    Rule(
        types=("tinytext", "text", "mediumtext", "longtext"),
        schema=_always(st.text()),
        rendering="text",
        form="text",
        iceberg="string",
        policy="As it is, from any character set.",
    ),
    Rule(
        types=("enum", "set"),
        schema=_always(st.text()),
        rendering="text",
        form="text",
        iceberg="string",
        policy="The label; of a set, the labels with commas between them, in the order "
        "of the declaration.",
    ),
    Rule(
        types=("json",),
        schema=_always(st.json_text()),
        rendering="text",
        form="text",
        iceberg="string",
        policy="The document as text: digit for digit in MariaDB, as MySQL prints it "
        "in MySQL.",
    ),
    Rule(
        types=("binary", "varbinary"),
        schema=_always(st.binary()),
        rendering="plain",
        form="bytes",
        iceberg="binary",
        policy="Exact, in base64 on the way; `binary(n)` keeps its trailing zeros.",
        keyed=True,
    ),
    Rule(
        types=("tinyblob", "blob", "mediumblob", "longblob", "vector"),
        schema=_always(st.binary()),
        rendering="plain",
        form="bytes",
        iceberg="binary",
        policy="Exact, in base64 on the way.",
    ),
    Rule(
        types=_GEOMETRIES,
        schema=_always(st.binary()),
        rendering="plain",
        form="geometry",
        iceberg="binary",
        policy="WKB, x before y, in base64 on the way; with a reference system other "
        "than 0 it is EWKB, which names it.",
    ),
    Rule(
        types=("uuid",),
        schema=_always(st.uuid()),
        rendering="plain",
        form="digits",
        iceberg="string",
        policy="Exact, in lower case; engines disagree on Iceberg's own type.",
        keyed=True,
    ),
    Rule(
        types=("inet4", "inet6", "other"),
        schema=_always(st.text()),
        rendering="text",
        form="text",
        iceberg="string",
        policy="As the server prints it.",
    ),
)
_RULES = {name: rule for rule in RULES for name in rule.types}


def rule_of(my_type: MyType) -> Rule:
    """Return the row of the table for a type."""
    return _RULES.get(my_type.name, _RULES["other"])
