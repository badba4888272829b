"""The torture matrix of MySQL: every type, through both programs, three engines.

`torture/mysql.yaml` lists types, values and what must become of them. Rows are taken
apart by columns and by PyMySQL, sent as records and in files, in full and incremental
loads; the text that DuckDB makes of each column of the Iceberg table must be the text
that the server prints.
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tap_mysql.rules import RULES
from torture.harness import (
    WAYS,
    Pipe,
    checksum,
    lines_alike,
    read_lake,
    read_matrix,
)

MATRIX = Path(__file__).parent / "torture/mysql.yaml"
PYMYSQL = {"row_reader": "pymysql"}
# Full and incremental loads by records and by files; with the setting that makes nulls;
# with stream maps; through files that the target cannot take as they are; and all rows
# taken apart by PyMySQL.
MODES = [
    "full",
    "incremental",
    "null",
    "mapped",
    "adopted",
    "adopted_later",
    "reread",
    "pymysql",
    "pymysql_later",
    "pymysql_adopted",
]
SAME = [mode for mode in MODES if mode not in {"full", "null", "mapped"}]
# Everything in which sessions of a server may differ from what the tap needs.
HOSTILE = {
    "time_zone": "Europe/Moscow",
    "sql_mode": "ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES",
}
# What the server prints of a value `v`, by the type that it has in the table: of floats
# the number, from which Python makes the bits; of times no zeros that stand at the end.
_TEXT = "CONVERT(v USING utf8mb4)"
_SHORT = (
    f"IF(LOCATE('.', {_TEXT}), TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {_TEXT})),"
    f" {_TEXT})"
)
PRINTED = {
    "binary": "LOWER(HEX(v))",
    "float": "CAST(v AS DOUBLE)",
    "double": "CAST(v AS DOUBLE)",
    "timestamp": _SHORT,
    "timestamptz": _SHORT,
}


def printed(iceberg):
    """Return the SQL for what the server prints of `v`."""
    return PRINTED.get(iceberg, _TEXT)


SETUP, KINDS = read_matrix(MATRIX, printed)
GROUPS = list(dict.fromkeys(kind.group for kind in KINDS))
TABLES = [f"{group}{suffix}" for group in GROUPS for suffix in ("", "_clean")]


def quoted(name):
    """Quote a name, for MySQL."""
    return "`" + name.replace("`", "``") + "`"


def literal(value):
    """Return a value as SQL."""
    if value.startswith("= "):
        return value[2:]
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def definition(kind):
    """Return the column in CREATE TABLE."""
    if kind.generated:
        expression, _, way = kind.generated.rpartition(" ")
        return f"{quoted(kind.column)} {kind.type} AS ({expression}) {way}"
    return f"{quoted(kind.column)} {kind.type}"


def printed_of(kind):
    """Return the SQL for what the server prints of a column."""
    return re.sub(r"\bv\b", lambda _: f"t.{quoted(kind.column)}", kind.printed)


def bits(kind, value):
    """Turn floats into their bits, as text; all else is text already."""
    if value is None or kind.iceberg not in {"float", "double"}:
        return None if value is None else str(value)
    return struct.pack({"float": ">f", "double": ">d"}[kind.iceberg], value).hex()


def tables_of(mode):
    """Return the tables that a load reads."""
    return GROUPS if mode == "mapped" else TABLES


@dataclass
class Server:
    """A database that holds the matrix, and what the server prints of it."""

    database: object
    expected: dict = field(default_factory=dict)
    kinds = KINDS
    schema = "torture"

    def create(self):
        """Create and fill the tables."""
        for table in TABLES:
            columns = ", ".join(definition(kind) for kind in self.of(table))
            self.database.execute(
                f"CREATE TABLE {table} (id bigint PRIMARY KEY, changed timestamp(6) "
                f"NOT NULL DEFAULT NOW(6), {columns}, KEY (changed))"
            )
        self.fill(lambda case: case.id % 2)

    def fill(self, wanted):
        """Insert the rows of some cases."""
        with self.session() as cursor:
            for kind in KINDS:
                for case in filter(wanted, kind.cases):
                    tables = [kind.group]
                    if case.path is None:
                        tables.append(f"{kind.group}_clean")
                    for table in tables:
                        cursor.execute(
                            f"INSERT INTO {table} (id, {quoted(kind.column)}) "
                            f"VALUES ({case.id}, {literal(case.value)})"
                        )

    def print(self):
        """Remember what the server prints of every value."""
        with self.session() as cursor:
            for table in TABLES:
                kinds = self.of(table)
                texts = ", ".join(map(printed_of, kinds))
                cursor.execute(f"SELECT id, {texts} FROM {table} t")
                self.expected[table] = {
                    key: {
                        str(kind): bits(kind, value)
                        for kind, value in zip(kinds, row, strict=True)
                    }
                    for key, *row in cursor.fetchall()
                }

    @contextlib.contextmanager
    def session(self):
        """Open a session that takes zero dates."""
        with self.database.cursor() as cursor:
            cursor.execute("SET sql_mode = ''")
            yield cursor

    def of(self, table):
        """Return the columns of a table."""
        group = table.removesuffix("_clean")
        return [kind for kind in KINDS if kind.group == group]


@pytest.fixture(scope="module")
def server(mariadb_server):
    """Create the database in a hostile place; half of the rows are there."""
    everything = mariadb_server.database()
    before = {n: everything.query(f"SELECT @@global.{n}")[0][0] for n in HOSTILE}
    for name, value in HOSTILE.items():
        everything.execute(f"SET GLOBAL {name} = '{value}'")
    created = Server(mariadb_server.create_database("torture"))
    created.create()
    yield created
    for name, value in before.items():
        everything.execute(f"SET GLOBAL {name} = '{value}'")
    mariadb_server.drop_database("torture")


@pytest.fixture(scope="module")
def lakes(server, tmp_path_factory):
    """Load the matrix in all ways and read what arrived."""

    def pipe(name, tap=(), target=(), *, files=False):
        folder = tmp_path_factory.mktemp(name)
        config = dict(tap)
        if files:
            storage = {"root": f"file://{folder}/warehouse/_staging"}
            encoding = {"format": "parquet", "compression": "zstd"}
            config["batch_config"] = {"encoding": encoding, "storage": storage}
        return Pipe("tap_mysql", folder, server.database, config, target)

    first, first_rows = pipe("incremental"), pipe("pymysql_later", PYMYSQL)
    catalog = first.discover()
    by_change = json.loads(json.dumps(catalog))
    for entry in by_change["streams"]:
        entry |= {"replication_method": "INCREMENTAL", "replication_key": "changed"}
    states = [one.run(by_change) for one in (first, first_rows)]
    server.fill(lambda case: not case.id % 2)
    server.print()
    for one, state in zip((first, first_rows), states, strict=True):
        one.run(by_change, state)

    maps = {"stream_maps": {f"torture-{table}": {"id": "id"} for table in GROUPS}}
    groups = [e for e in catalog["streams"] if e["table_name"] in GROUPS]
    loads = {
        "full": (pipe("full"), catalog),
        "null": (pipe("null", {"zero_dates": "null"}), catalog),
        "mapped": (pipe("mapped", maps, maps), {"streams": groups}),
        "adopted": (pipe("adopted", files=True), catalog),
        "adopted_later": (pipe("adopted_later", files=True), by_change),
        "reread": (
            pipe("reread", (), {"streams": {"*": {"sort_by": ["id"]}}}, files=True),
            catalog,
        ),
        "pymysql": (pipe("pymysql", PYMYSQL), catalog),
        "pymysql_adopted": (pipe("pymysql_adopted", PYMYSQL, files=True), catalog),
    }
    for load, chosen in loads.values():
        load.run(chosen)
    found = {
        mode: read_lake(server, load.warehouse, tables_of(mode))
        for mode, (load, _) in loads.items()
    }
    found["incremental"] = read_lake(server, first.warehouse, TABLES)
    found["pymysql_later"] = read_lake(server, first_rows.warehouse, TABLES)
    return found


def differences(server, found, kind, mode):
    """Yield a line for each value that is not what the server prints."""
    special = {case.id for case in kind.cases if case.is_special}
    for table in tables_of(mode):
        if table.removesuffix("_clean") != kind.group:
            continue
        for key, row in found.rows[table].items():
            wanted = server.expected[table][key][str(kind)]
            if mode == "null" and key in special:
                wanted = None
            if row[str(kind)] != wanted:
                yield (
                    f"{table}.{kind.column} {key}: the server prints "
                    f"{str(wanted)[:200]!r}, found {str(row[str(kind)])[:200]!r}"
                )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("group", GROUPS)
def test_every_value_is_what_the_server_prints(server, lakes, group, mode):
    """In the column's own rows and, as null, in those of the other columns."""
    found = [
        line
        for kind in server.of(group)
        for line in differences(server, lakes[mode], kind, mode)
    ]

    assert found == []


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_column_has_the_type_that_the_matrix_says(lakes, kind):
    """And the documentation: a rule that names one Iceberg type means this one."""
    for mode in MODES:
        for table, types in lakes[mode].types.items():
            if table.removesuffix("_clean") == kind.group:
                assert types[kind.column] == kind.iceberg
    documented = {name: rule.iceberg for rule in RULES for name in rule.types}
    promise = documented.get(kind.type, "")
    assert " " in promise or promise in {"", kind.iceberg}


@pytest.mark.parametrize("mode", MODES)
def test_every_row_arrives_or_is_a_dead_letter(server, lakes, mode):
    """Once, and a dead letter points to the value."""
    for table in tables_of(mode):
        dead = [
            (case.id, "cast", kind.column)
            for kind in server.of(table)
            for case in kind.cases
            if case.is_dead(mode) and case.id in server.expected[table]
        ]
        assert sorted(lakes[mode].dead[table]) == sorted(dead)
        arrived = set(server.expected[table]) - {key for key, *_ in dead}
        assert set(lakes[mode].rows[table]) == arrived


@pytest.mark.parametrize("mode", MODES)
def test_pyiceberg_reads_what_duckdb_reads(lakes, mode):
    """As many rows, and the same checksum of the text of all values."""
    for table, rows in lakes[mode].rows.items():
        assert checksum(lakes[mode].pyiceberg[table]) == checksum(rows)


@pytest.mark.parametrize("mode", SAME)
def test_every_way_gives_the_same_rows(lakes, mode):
    """Bit for bit, by checksums of what DuckDB reads; and each way is what it says."""
    for table in TABLES:
        rows = lakes[mode].rows[table]
        assert checksum(rows) == checksum(lakes["full"].rows[table])
        # Iceberg's other writers respell such names in a file: ours does what they do.
        has_plain_names = not table.startswith("names")
        is_adopted = "adopted" in mode and bool(rows) and has_plain_names
        assert bool(lakes[mode].adopted[table]) == is_adopted, table


@pytest.mark.usefixtures("lakes")
@pytest.mark.parametrize("way", WAYS)
def test_a_record_alone_has_the_bytes_of_one_in_a_block(server, tmp_path, way):
    """Whatever its type: what no stream map touches is the same, byte for byte."""
    blocks, records = lines_alike("tap_mysql", tmp_path, server, way)

    assert len(blocks) == sum(map(len, server.expected.values()))
    assert records == blocks


def test_matrix_has_every_type_of_the_table():
    """A new rule must be tortured; what only MySQL has is said in the docs."""
    tortured = {kind.type.split("(")[0].split(" ")[0] for kind in KINDS}
    documented = {name for rule in RULES for name in rule.types}

    assert documented - tortured == {
        "other", "vector", "geomcollection", "multilinestring", "multipolygon",
    }  # fmt: skip


def test_nothing_differs(server, lakes, record_property):
    """The totals, printed."""
    cases = [case for kind in KINDS for case in kind.cases]
    dead = sum(case.is_dead("full") for case in cases)
    found = [
        line
        for mode in MODES
        for kind in KINDS
        for line in differences(server, lakes[mode], kind, mode)
    ]
    line = (
        f"MySQL: {len(KINDS)} types, {len(cases)} values, {len(MODES)} ways: "
        f"{len(cases) - dead} arrive exactly, {dead} are dead letters, or null on "
        f"request; {len(found)} differences."
    )
    record_property("torture matrix", line)

    assert found == []
