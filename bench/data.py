"""The table that is moved: 18 typed columns, made by Postgres from row numbers alone.

The same rows come out every time, at about 540 bytes a RECORD line.
"""

from __future__ import annotations

import typing as t

from contenders import ORDER_FACTS

if t.TYPE_CHECKING:
    from dativo_sandbox.database import Database

TABLE = "orders"
DECIMALS = ("price", "discount", "tax")
DIGITS = (12, 2)

# A number of 31 bits that looks random, made from the row's number n.
_HASH = "((n * 2654435761) % 2147483647)::int"
_WORDS = (
    "amber birch cedar delta ember fjord grove heath inlet jetty knoll larch maple "
    "north ochre pearl quartz ridge slate thorn umber vale willow yarrow"
)


def _choice(words: str, number: str = "h") -> str:
    count = len(words.split())
    return f"(string_to_array('{words}', ' '))[1 + {number} % {count}]"


def _sentence(length: int) -> str:
    return " || ' ' || ".join(_choice(_WORDS, f"h / {3**n}") for n in range(length))


_COLUMNS = (
    ("id", "bigint", "n"),
    ("customer_id", "integer", "h % 1000003"),
    ("product_id", "integer", "h % 50021"),
    ("quantity", "integer", "1 + h % 50"),
    ("barcode", "bigint", "4000000000000 + h * 397::bigint"),
    ("price", "numeric(12,2)", "(h % 99999989) / 100.0"),
    ("discount", "numeric(12,2)", "CASE WHEN h % 5 > 0 THEN (h % 9973) / 100.0 END"),
    ("tax", "numeric(12,2)", "(h % 2000003) / 100.0"),
    ("weight", "double precision", "(h % 1000003) / 8.0"),
    ("ordered_on", "date", "DATE '2015-01-01' + h % 3650"),
    (
        "delivered_on",
        "date",
        "CASE WHEN h % 3 > 0 THEN DATE '2015-01-08' + h % 3650 END",
    ),
    (
        "created_at",
        "timestamptz",
        "TIMESTAMPTZ '2015-01-01 00:00:00.123456Z' + n * INTERVAL '1.000007 s'",
    ),
    (
        "updated_at",
        "timestamptz",
        "TIMESTAMPTZ '2024-01-01 00:00:00Z' + h * INTERVAL '10 ms'",
    ),
    ("is_paid", "boolean", "h % 4 > 0"),
    ("country", "text", _choice("DE FR NL PL UA")),
    ("status", "text", _choice("new packed shipped returned")),
    ("reference", "text", "left(md5(n::text), 8)"),
    ("note", "text", _sentence(5)),
)


def create(database: Database, rows: int) -> None:
    """Create and fill the table; its after-care must not fall into the first run."""
    columns = ", ".join(f"{name} {kind}" for name, kind, _ in _COLUMNS)
    values = ", ".join(rule for _, _, rule in _COLUMNS)
    database.execute(f"CREATE TABLE {TABLE} ({columns}, PRIMARY KEY (id))")
    database.execute(
        f"INSERT INTO {TABLE} SELECT {values} FROM (SELECT n, {_HASH} AS h "  # noqa: S608 our own rules
        f"FROM generate_series(1, {rows}::bigint) n) numbers"
    )
    database.execute(f"VACUUM (ANALYZE) {TABLE}")


def facts(database: Database) -> tuple[t.Any, ...]:
    """Return what every contender's result must agree with."""
    [found] = database.query(f"SELECT {ORDER_FACTS} FROM {TABLE}")  # noqa: S608 our own
    return found
