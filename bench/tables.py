"""The tables that are moved, made by Postgres from row numbers alone.

The same rows come out every time. Two numbers make a row: `n` is its own, and `h`, of
31 bits, looks random.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_HASH = "((n * 2654435761) % 2147483647)::int"
_WORDS = (
    "amber birch cedar delta ember fjord grove heath inlet jetty knoll larch maple "
    "north ochre pearl quartz ridge slate thorn umber vale willow yarrow"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        kind: Its type in Postgres.
        rule: Its value, in SQL; empty where rows come from elsewhere.
    """

    name: str
    kind: str
    rule: str = ""

    @property
    def digits(self) -> tuple[int, int] | None:
        """Precision and scale of a numeric."""
        if not self.kind.startswith("numeric"):
            return None
        precision, scale = self.kind.removeprefix("numeric(").rstrip(")").split(",")
        return int(precision), int(scale)


@dataclass(frozen=True, slots=True)
class Table:
    """A table; its first column is the key where it is named `id`."""

    name: str
    columns: tuple[Column, ...]

    def ddl(self) -> str:
        """Return the statement that creates it in Postgres."""
        parts = [f"{column.name} {column.kind}" for column in self.columns]
        if self.columns[0].name == "id":
            parts.append("PRIMARY KEY (id)")
        return f"CREATE TABLE {self.name} ({', '.join(parts)})"

    def fill(self, rows: int) -> str:
        """Return the statement that makes its rows."""
        values = ", ".join(column.rule for column in self.columns)
        return (
            f"INSERT INTO {self.name} SELECT {values} FROM (SELECT n, {_HASH} AS h "  # noqa: S608 our own rules
            f"FROM generate_series(1, {rows}::bigint) n) numbers"
        )


def _choice(words: str, number: str = "h") -> str:
    count = len(words.split())
    return f"(string_to_array('{words}', ' '))[1 + {number} % {count}]"


def _sentence(length: int, number: str = "h") -> str:
    words = (_choice(_WORDS, f"{number} / {3**place}") for place in range(length))
    return " || ' ' || ".join(words)


_DAY = "DATE '2015-01-01' + h % 3650"
_MOMENT = "TIMESTAMPTZ '2015-01-01 00:00:00.123456Z' + n * INTERVAL '1.000007 s'"
_LATER = "TIMESTAMPTZ '2024-01-01 00:00:00Z' + h * INTERVAL '10 ms'"
_MONEY = "(h % 99999989) / 100.0"

ORDERS = Table(
    "orders",
    (
        Column("id", "bigint", "n"),
        Column("customer_id", "integer", "h % 1000003"),
        Column("product_id", "integer", "h % 50021"),
        Column("quantity", "integer", "1 + h % 50"),
        Column("barcode", "bigint", "4000000000000 + h * 397::bigint"),
        Column("price", "numeric(12,2)", _MONEY),
        Column(
            "discount",
            "numeric(12,2)",
            "CASE WHEN h % 5 > 0 THEN (h % 9973) / 100.0 END",
        ),
        Column("tax", "numeric(12,2)", "(h % 2000003) / 100.0"),
        Column("weight", "double precision", "(h % 1000003) / 8.0"),
        Column("ordered_on", "date", _DAY),
        Column("delivered_on", "date", f"CASE WHEN h % 3 > 0 THEN {_DAY} + 7 END"),
        Column("created_at", "timestamptz", _MOMENT),
        Column("updated_at", "timestamptz", _LATER),
        Column("is_paid", "boolean", "h % 4 > 0"),
        Column("country", "text", _choice("DE FR NL PL UA")),
        Column("status", "text", _choice("new packed shipped returned")),
        Column("reference", "text", "left(md5(n::text), 8)"),
        Column("note", "text", _sentence(5)),
    ),
)

NARROW = Table(
    "narrow",
    (
        Column("id", "bigint", "n"),
        Column("measured_at", "timestamptz", _MOMENT),
        # Seven does not divide powers of two: all bits of the mantissa are in use.
        Column("value", "double precision", "h / 7::double precision"),
    ),
)

# Keys of one length: Postgres sorts by length first, others by letters alone.
NESTED = Table(
    "nested",
    (
        Column("id", "bigint", "n"),
        Column(
            "customer",
            "jsonb",
            f"jsonb_build_object('name', {_choice(_WORDS)}, 'vips', h % 9 = 0, "
            f"'home', jsonb_build_object('city', {_choice(_WORDS, 'h / 3')}, "
            "'code', h % 99999, 'spot', jsonb_build_array(h % 180, h % 90)))",
        ),
        Column(
            "lines",
            "jsonb",
            "jsonb_build_array("
            "jsonb_build_object('item', h % 50021, 'size', 1 + h % 5, 'gift', null), "
            f"jsonb_build_object('item', h % 50023, 'text', {_sentence(3)}))",
        ),
        Column(
            "tags", "text[]", f"ARRAY[{_choice(_WORDS)}, {_choice(_WORDS, 'h / 9')}]"
        ),
        Column("scores", "integer[]", "ARRAY[h % 7, h % 11, h % 13]"),
    ),
)

# Quotes, backslashes, line ends and letters of two to four bytes, as people write them.
_PROSE = f"{_sentence(8)} || E' \"ü\\\\\\n—😀 ' || md5(h::text)"

TEXTS = Table(
    "texts",
    (
        Column("id", "bigint", "n"),
        Column("title", "text", _sentence(6)),
        Column("author", "text", f"{_choice(_WORDS)} || ' Łódź'"),
        Column("body", "text", f"repeat({_PROSE}, 20)"),
        Column("reply", "text", f"CASE WHEN h % 2 = 0 THEN repeat({_PROSE}, 8) END"),
        Column("url", "text", "'https://example.org/' || md5(n::text) || '?q=' || h"),
    ),
)

_WIDE = (
    ("integer", "h / {k}"),
    ("bigint", "n * {k}"),
    ("numeric(12,2)", "(h / {k}) / 100.0"),
    ("text", "left(md5((h / {k})::text), 12)"),
    ("date", "DATE '2015-01-01' + (h / {k}) % 3650"),
    ("double precision", "h / {k}::double precision"),
    ("boolean", "(h / {k}) % 2 = 0"),
    ("timestamptz", "TIMESTAMPTZ '2024-01-01Z' + (h / {k}) * INTERVAL '1 ms'"),
    ("text", "CASE WHEN (h / {k}) % 3 > 0 THEN (h / {k})::text END"),
)


# A row of Postgres must fit into a page of 8 kB, so the widest tables are sparse.
_FULL = 300


def wide(columns: int) -> Table:
    """Return a table of so many columns, of all common types in turn.

    Beyond 300 columns, three of four values are null.
    """
    return Table(f"wide_{columns}", tuple(_wide(columns)))


def _wide(columns: int) -> Iterator[Column]:
    yield Column("id", "bigint", "n")
    for number in range(1, columns):
        kind, rule = _WIDE[number % len(_WIDE)]
        if columns > _FULL:
            rule = f"CASE WHEN (h::bigint + {{k}}) % 4 = 0 THEN {rule} END"
        yield Column(f"c{number}", kind, rule.format(k=number))


LINEITEM = Table(
    "lineitem",
    (
        Column("l_orderkey", "bigint"),
        Column("l_partkey", "bigint"),
        Column("l_suppkey", "bigint"),
        Column("l_linenumber", "bigint"),
        Column("l_quantity", "numeric(15,2)"),
        Column("l_extendedprice", "numeric(15,2)"),
        Column("l_discount", "numeric(15,2)"),
        Column("l_tax", "numeric(15,2)"),
        Column("l_returnflag", "text"),
        Column("l_linestatus", "text"),
        Column("l_shipdate", "date"),
        Column("l_commitdate", "date"),
        Column("l_receiptdate", "date"),
        Column("l_shipinstruct", "text"),
        Column("l_shipmode", "text"),
        Column("l_comment", "text"),
    ),
)

TABLES = {it.name: it for it in (ORDERS, NARROW, wide(200), NESTED, TEXTS, LINEITEM)}
