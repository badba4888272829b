"""One number for all rows of a table, the same in Postgres and in DuckDB.

Every value becomes a text that both engines spell alike, all values of a row become
one MD5, and the sum over the rows does not depend on their order. Doubles are compared
bit by bit, moments by their microseconds, decimals to nine digits behind the point.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pyarrow as pa

if t.TYPE_CHECKING:
    import duckdb
    from tables import Column, Table

Facts: t.TypeAlias = "tuple[str, ...]"

NULL = "~"
_DIGITS = 15

_POSTGRES = {
    "double precision": "('x' || encode(float8send({c}), 'hex'))::bit(64)::text",
    "timestamptz": "(extract(epoch FROM {c}) * 1000000)::bigint::text",
    "boolean": "{c}::int::text",
    "jsonb": "replace({c}::text, ' ', '')",
    "text[]": "array_to_string({c}, ',', '~')",
    "integer[]": "array_to_string({c}, ',', '~')",
    "numeric": "{c}::numeric(38,9)::text",
}
_ELEMENTS = "array_to_string([coalesce(CAST(x AS VARCHAR), '~') FOR x IN {c}], ',')"
_DUCKDB = {
    "bigint": "CAST({c} AS BIGINT)",
    "integer": "CAST({c} AS INTEGER)",
    "double precision": "CAST(CAST({c} AS DOUBLE) AS BIT)",
    "date": "CAST({c} AS DATE)",
    "timestamptz": "epoch_us({c})",
    "boolean": "CAST(CAST({c} AS BOOLEAN) AS INTEGER)",
    "jsonb": "replace({c}, ' ', '')",
    "text[]": _ELEMENTS,
    "integer[]": _ELEMENTS,
    "numeric": "CAST({c} AS DECIMAL(38, 9))",
}
# Where a result is CSV, a moment is text as well.
_MOMENT_IN_TEXT = "epoch_us(CAST({c} AS TIMESTAMPTZ))"


def in_postgres(table: Table) -> str:
    """Return what to select in Postgres: the number of rows, and their checksum."""
    values = ", ".join(_postgres(column) for column in table.columns)
    row = f"array_to_string(ARRAY[{values}], '|', '{NULL}')"
    number = f"('x' || left(md5({row}), {_DIGITS}))::bit({4 * _DIGITS})::bigint"
    return f"count(*)::text, sum({number})::text"


def in_duckdb(table: Table, *, is_text: bool = False) -> str:
    """Return what to select in DuckDB.

    Args:
        table: The table as it is at the source.
        is_text: Whether all values of the result are text.
    """
    values = ", ".join(
        f"coalesce(CAST({_duckdb(column, is_text)} AS VARCHAR), '{NULL}')"
        for column in table.columns
    )
    number = f"CAST('0x' || left(md5(concat_ws('|', {values})), {_DIGITS}) AS BIGINT)"
    return f"CAST(count(*) AS VARCHAR), CAST(sum({number}) AS VARCHAR)"


def in_lake(engine: duckdb.DuckDBPyConnection, rows: str) -> Facts:
    """Return number and checksum of rows, and how many leaves their types have.

    Blanks in texts do not count, since JSON may be kept with or without them.
    """
    values = ", ".join(
        f"replace(\"{name}\", ' ', '')" if kind == "VARCHAR" else f'"{name}"'
        for name, kind in _described(engine, rows)
    )
    sql = f"SELECT count(*), sum(hash(({values}))) FROM {rows}"  # noqa: S608 our own
    [found] = engine.execute(sql).fetchall()
    stored = engine.execute(f"SELECT * FROM {rows} LIMIT 0").to_arrow_table().schema  # noqa: S608 our own
    return (*map(str, found), str(sum(_leaves(kind) for kind in stored.types)))


def in_file(engine: duckdb.DuckDBPyConnection, singer: str, rows: str) -> Facts:
    """Return number and checksum of a Singer file's records, and its SCHEMA's leaves.

    Args:
        engine: It has the rows of the file's only stream, as they were stored.
        singer: The file.
        rows: The stored rows, which say what types the records are read with.
    """
    described = _described(engine, rows)
    fields = ", ".join(f'"{name}" {kind}' for name, kind in described)
    columns = f"{{type: 'VARCHAR', record: 'STRUCT({fields})'}}"
    lines = f"read_json('{singer}', format = 'nd', columns = {columns})"
    records = f"(SELECT unnest(record) FROM {lines} WHERE type = 'RECORD')"  # noqa: S608 our own
    with Path(singer).open(encoding="utf-8") as file:
        declared = json.loads(next(file))["schema"]
    return (*in_lake(engine, records)[:2], str(_declared(declared)))


def _leaves(kind: pa.DataType) -> int:
    if pa.types.is_list(kind):
        return _leaves(kind.value_type)
    return sum(_leaves(part.type) for part in kind) if pa.types.is_struct(kind) else 1


def _declared(schema: dict[str, t.Any]) -> int:
    if schema.get("items"):
        return _declared(schema["items"])
    return sum(map(_declared, schema.get("properties", {}).values())) or 1


def _described(engine: duckdb.DuckDBPyConnection, rows: str) -> list[tuple[str, str]]:
    described = engine.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()  # noqa: S608 our own
    return [(name, kind) for name, kind, *_ in described]


def _postgres(column: Column) -> str:
    return _POSTGRES.get(_family(column), "{c}::text").format(c=column.name)


def _duckdb(column: Column, is_text: bool) -> str:
    family = _family(column)
    rule = _DUCKDB.get(family, "{c}")
    if is_text and family == "timestamptz":
        rule = _MOMENT_IN_TEXT
    return rule.format(c=column.name)


def _family(column: Column) -> str:
    return column.kind.partition("(")[0]
