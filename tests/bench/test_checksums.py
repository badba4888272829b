"""A result counts only if every value of it is the source's."""

from __future__ import annotations

import json
import typing as t

import checksums
import limit
import pyarrow.parquet as pq
import pytest
import sources
import tables
from dativo_sandbox import lake

if t.TYPE_CHECKING:
    from pathlib import Path

    from dativo_sandbox.database import Database

ROWS = 20


# Twelve columns have all types of two hundred.
SHORT = {**tables.TABLES, "wide_200": tables.wide(12)}


@pytest.fixture(scope="module", params=sorted(SHORT))
def made(request, postgres_server, tmp_path_factory):
    """A table with its facts, and the Parquet file that the limit makes of it."""
    table = SHORT[request.param]
    database: Database = postgres_server.create_database(f"bench_{table.name}")
    facts = sources.fill(database, table, ROWS)
    file = tmp_path_factory.mktemp(table.name) / "rows.parquet"
    limit.write(database.dsn, table, str(file))
    yield table, facts, file
    postgres_server.drop_database(database.name)


@pytest.fixture(scope="module")
def engine():
    """DuckDB as the benchmark opens it."""
    with lake.connect() as engine:
        yield engine


@pytest.fixture
def found(engine):
    """What DuckDB says of rows."""

    def ask(
        table: tables.Table, rows: str, *, is_text: bool = False
    ) -> tuple[str, str]:
        facts = checksums.in_duckdb(table, is_text=is_text)
        return engine.execute(f"SELECT {facts} FROM {rows}").fetchone()

    return ask


def test_the_same_rows_have_the_same_checksum_in_both_engines(made, found):
    """Doubles, moments, JSON, arrays and odd letters included."""
    table, facts, file = made

    assert facts == found(table, f"'{file}'")
    assert int(facts[0]) == pq.read_metadata(file).num_rows > 0


def test_rows_in_any_order_have_the_same_checksum(made, found):
    """Contenders keep no order, and need not."""
    table, facts, file = made
    key = table.columns[0].name

    assert facts == found(table, f"(FROM '{file}' ORDER BY {key} DESC)")


# No contender writes arrays as CSV.
FLAT = sorted(tables.TABLES.keys() - {"nested"})


@pytest.mark.parametrize("made", FLAT, indirect=True)
def test_csv_of_the_same_rows_has_the_same_checksum(made, found, engine, tmp_path):
    """A result of texts is read with the types of the source."""
    table, facts, file = made
    csv = tmp_path / "rows.csv"
    engine.execute(f"COPY (FROM '{file}') TO '{csv}' (HEADER)")

    rows = f"read_csv('{csv}', all_varchar = true)"

    assert facts == found(table, rows, is_text=True)


def test_one_other_value_in_any_column_is_noticed(made, found):
    """The smallest change that each type allows, in one row, gives another number."""
    table, facts, file = made
    key = table.columns[0].name
    for column in table.columns:
        other = CHANGED[column.kind.partition("(")[0]].format(c=column.name)
        changed = f"CASE WHEN {key} = (SELECT min({key}) FROM '{file}') THEN {other} "
        rows = (
            f"(SELECT * REPLACE ({changed} ELSE {column.name} END AS {column.name}) "
            f"FROM '{file}')"
        )

        count, checksum = found(table, rows)

        assert count == facts[0], column
        assert checksum != facts[1], column


# The smallest change that a column's type allows.
CHANGED = {
    "bigint": "{c} + 1",
    "integer": "{c} + 1",
    "numeric": "coalesce({c}, 0) + CAST(0.01 AS DECIMAL(12, 2))",
    "double precision": "nextafter({c}, 1e300::DOUBLE)",
    "date": "CASE WHEN {c} IS NULL THEN DATE '2000-01-01' ELSE {c} + 1 END",
    "timestamptz": "{c} + INTERVAL 1 MICROSECOND",
    "boolean": "NOT {c}",
    "text": "CASE WHEN {c} IS NULL THEN '' END",
    "jsonb": "replace({c}, 'e', 'E')",
    "text[]": "list_reverse({c})",
    "integer[]": "list_append({c}, NULL)",
}


def test_the_widest_table_fits_into_pages(postgres_server):
    """Postgres refuses rows of more than 8 kB, and tables of more columns."""
    database = postgres_server.create_database("bench_widest")

    count, _ = sources.fill(database, tables.wide(1600), ROWS)

    assert count == str(ROWS)
    postgres_server.drop_database(database.name)


def test_two_values_that_change_places_are_noticed(made, found):
    """All values of a row go into one number, not each column by itself."""
    table, facts, file = made
    key = table.columns[0].name
    last = table.columns[-1].name
    swapped = f"first_value({last}) OVER (ORDER BY {key} DESC)"

    rows = f"(SELECT * REPLACE ({swapped} AS {last}) FROM '{file}')"

    assert found(table, rows)[1] != facts[1]


SCHEMA = {
    "properties": {
        "id": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "inner": {"properties": {"tags": {"items": {"type": "integer"}}}},
        "free": {"type": "object"},
    }
}


def written(path: Path, records: list[dict[str, t.Any]]) -> str:
    """Write a stream of Singer."""
    messages = [
        {"type": "SCHEMA", "stream": "t", "schema": SCHEMA, "key_properties": []},
        *({"type": "RECORD", "stream": "t", "record": record} for record in records),
        {"type": "STATE", "value": {}},
    ]
    path.write_text("".join(f"{json.dumps(it)}\n" for it in messages))
    return str(path)


def test_records_of_a_file_are_compared_with_what_was_stored(engine, tmp_path):
    """Nested values and nulls count, blanks in JSON do not."""
    records = [
        {
            "id": n,
            "at": "2026-01-01T00:00:00Z",
            "inner": {"tags": [n, None]},
            "free": {},
        }
        for n in range(3)
    ]
    singer = written(tmp_path / "rows.singer", records)
    stored = (
        "(SELECT range AS id, TIMESTAMPTZ '2026-01-01 00:00:00Z' AS at, "
        "{'tags': [range, NULL]} AS inner, '{ }' AS free FROM range(3))"
    )
    expected = checksums.in_file(engine, singer, stored)

    assert checksums.in_lake(engine, stored) == expected
    assert checksums.in_lake(engine, stored.replace("NULL", "0")) != expected
    assert checksums.in_lake(engine, stored.replace("'{ }'", "NULL")) != expected


def test_a_column_that_was_dropped_is_noticed(engine, tmp_path):
    """What is left may be right, and is not all."""
    singer = written(tmp_path / "rows.singer", [{"id": 1, "inner": {"tags": [1]}}])
    stored = "(SELECT 1::BIGINT AS id, {'tags': [1::BIGINT]} AS inner)"

    found = checksums.in_lake(engine, stored)
    expected = checksums.in_file(engine, singer, stored)

    assert found[:2] == expected[:2]
    assert (found[2], expected[2]) == ("2", "4")
