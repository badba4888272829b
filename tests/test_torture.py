"""The torture matrix: every type of PostgreSQL, through both programs, three engines.

`torture/matrix.yaml` lists types, values and what must become of them. Every value has
a row of its own. The rows go through `tap-postgres | target-dativo`; then the text that
DuckDB makes of each column of the Iceberg table must be the text that Postgres prints.

Each group of types has two tables: one with all values, and one without those that
become dead letters, whose blocks the target decodes on its fast lane only.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tap_postgres.rules import RULES
from torture.harness import (
    WAYS,
    Case,
    Pipe,
    checksum,
    element_of,
    lines_alike,
    parsed,
    quoted,
    read_lake,
    read_matrix,
)

MATRIX = Path(__file__).parent / "torture/matrix.yaml"
# Full and incremental loads; with the settings that make nulls; and with stream maps,
# which send every record through the SDK's own path, in the tap and in the target.
MODES = ["full", "incremental", "null", "mapped"]
# The same through files of BATCH messages: adopted as they are, read because the table
# has an order that they have not, and read row by row because the target maps them.
LANES = ["adopted", "adopted_later", "reread", "remapped"]
MODES += LANES
NULL_SETTINGS = {"special_dates": "null", "non_finite_floats": "null"}

# Everything in which sessions of a database may differ from what the tap needs.
HOSTILE = {
    "DateStyle": "'German, DMY'",
    "TimeZone": "'America/New_York'",
    "IntervalStyle": "'sql_standard'",
    "extra_float_digits": "-15",
    "bytea_output": "'escape'",
    "xmlbinary": "'hex'",
    "standard_conforming_strings": "off",
    "backslash_quote": "on",
}
# How Postgres prints values for the comparison; the documented form of the values.
SESSION = {
    "DateStyle": "'ISO, YMD'",
    "TimeZone": "'UTC'",
    "IntervalStyle": "'iso_8601'",
    "extra_float_digits": "1",
    "bytea_output": "'hex'",
    "xmlbinary": "'base64'",
    "standard_conforming_strings": "on",
}
# What Postgres prints of a value `v`, by the type that it has in the table: floats as
# their bits, since every engine has a text of its own for them.
PRINTED = {
    "float": "encode(float4send(v), 'hex')",
    "double": "encode(float8send(v), 'hex')",
    "timestamptz": "(v AT TIME ZONE 'UTC')::text",
}
# Types without input function, or for the server's own catalogs only.
INTERNAL = {
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
}


def definition(kind):
    """Return the column in CREATE TABLE."""
    rule = f"GENERATED ALWAYS AS ({kind.generated}) STORED"
    return f"{quoted(kind.column)} {kind.type} {rule if kind.generated else ''}"


def literal(case, kind):
    """Return a value as SQL."""
    if case.value.startswith("= "):
        return case.value[2:]
    return "'" + case.value.replace("'", "''") + f"'::{kind.type}"


def printed(iceberg):
    """Return the SQL for what Postgres prints of `v`: elements of lists one by one."""
    element = element_of(iceberg)
    if element is None:
        return PRINTED.get(iceberg) or (
            "encode(v, 'hex')" if iceberg == "binary" else "v::text"
        )
    return (
        f"CASE WHEN v IS NOT NULL THEN to_json(ARRAY(SELECT {printed(element)} "
        "FROM unnest(v) WITH ORDINALITY u(v, n) ORDER BY n))::text END"
    )


SETUP, KINDS = read_matrix(MATRIX, printed)
GROUPS = list(dict.fromkeys(kind.group for kind in KINDS))
TABLES = [f"{group}{suffix}" for group in GROUPS for suffix in ("", "_clean")]


def tables_of(mode):
    """Return the tables that a load reads."""
    if mode == "mapped":
        return GROUPS
    special = {k.group for k in KINDS if any(c.is_special for c in k.cases)}
    return [
        table
        for table in TABLES
        if mode != "null" or table.removesuffix("_clean") in special
    ]


@dataclass
class Server:
    """A database that holds the matrix, and what Postgres prints of it."""

    database: object
    kinds: list
    expected: dict = field(default_factory=dict)
    schema = "public"

    def create(self):
        """Create and fill the tables, then make the database a hostile place."""
        self.database.execute(SETUP)
        for group in GROUPS:
            kinds = self.of(group)
            columns = ", ".join(definition(kind) for kind in kinds)
            for suffix in ("", "_clean"):
                self.database.execute(
                    f"CREATE TABLE {group}{suffix} (id int8 PRIMARY KEY, changed "
                    f"timestamptz NOT NULL DEFAULT clock_timestamp(), {columns})"
                )
        self.fill(lambda case: case.id % 2)
        for name, value in HOSTILE.items():
            self.database.execute(
                f"ALTER DATABASE {self.database.name} SET {name} = {value}"
            )

    def fill(self, wanted):
        """Insert the rows of some cases."""
        with self.session() as cursor:
            for kind in self.kinds:
                column = quoted(kind.column)
                for case in filter(wanted, kind.cases):
                    tables = [kind.group]
                    if case.path is None:
                        tables.append(f"{kind.group}_clean")
                    for table in tables:
                        cursor.execute(
                            f"INSERT INTO {table} (id, {column}) "
                            f"VALUES ({case.id}, {literal(case, kind)})"
                        )

    def print(self):
        """Remember what Postgres prints of every value."""
        with self.session() as cursor:
            for table in TABLES:
                kinds = self.of(table)
                texts = ", ".join(
                    f"(SELECT {kind.printed} FROM (VALUES (t.{quoted(kind.column)})) "
                    "_(v))"
                    for kind in kinds
                )
                cursor.execute(f"SELECT id, {texts} FROM {table} t")
                self.expected[table] = {
                    key: {
                        str(kind): parsed(kind, text)
                        for kind, text in zip(kinds, row, strict=True)
                    }
                    for key, *row in cursor.fetchall()
                }

    @contextlib.contextmanager
    def session(self):
        """Open a session with settings of its own."""
        with self.database.cursor() as cursor:
            for name, value in SESSION.items():
                cursor.execute(f"SET {name} = {value}")
            yield cursor

    def of(self, table):
        """Return the columns of a table."""
        group = table.removesuffix("_clean")
        return [kind for kind in self.kinds if kind.group == group]


@pytest.fixture(scope="module")
def server(postgres_server):
    """Create the database; half of the rows are there."""
    database = postgres_server.create_database("torture")
    version = int(database.query("SHOW server_version_num")[0][0])
    extensions = {
        name for [name] in database.query("SELECT name FROM pg_available_extensions")
    }
    has_xml = bool(
        database.query("SELECT FROM pg_proc WHERE proname = 'xmlcomment'")
        and can_make_xml(database)
    )
    kinds = []
    for kind in KINDS:
        extension = kind.needs.get("extension", "")
        if extension in extensions:
            database.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        if (
            version >= int(kind.needs.get("since", 0))
            and (not extension or extension in extensions)
            and (has_xml or "needs_xml" not in kind.needs)
        ):
            kinds.append(kind)
    created = Server(database, kinds)
    created.create()
    yield created
    postgres_server.drop_database("torture")


def can_make_xml(database):
    """Tell whether the server was built with libxml."""
    try:
        return bool(database.query("SELECT '<a/>'::xml::text"))
    except Exception:  # noqa: BLE001 the driver has a class for each SQLSTATE
        return False


@pytest.fixture(scope="module")
def lakes(server, tmp_path_factory):
    """Load the matrix in all ways and read what arrived."""
    first = Pipe(
        "tap_postgres", tmp_path_factory.mktemp("incremental"), server.database
    )
    catalog = only("full", first.discover())
    by_change = json.loads(json.dumps(catalog))
    for entry in by_change["streams"]:
        entry |= {"replication_method": "INCREMENTAL", "replication_key": "changed"}
    state = first.run(by_change)
    server.fill(lambda case: not case.id % 2)
    server.print()
    first.run(by_change, state)

    full = Pipe("tap_postgres", tmp_path_factory.mktemp("full"), server.database)
    full.run(catalog)

    null = Pipe(
        "tap_postgres", tmp_path_factory.mktemp("null"), server.database, NULL_SETTINGS
    )
    null.run(only("null", catalog))

    maps = {"stream_maps": {f"public-{table}": {"id": "id"} for table in GROUPS}}
    mapped = Pipe(
        "tap_postgres", tmp_path_factory.mktemp("mapped"), server.database, maps, maps
    )
    mapped.run(only("mapped", catalog))
    return {
        **load_lanes(server, tmp_path_factory, catalog, by_change),
        "full": read_lake(server, full.warehouse, TABLES),
        "incremental": read_lake(server, first.warehouse, TABLES),
        "null": read_lake(server, null.warehouse, tables_of("null")),
        "mapped": read_lake(server, mapped.warehouse, GROUPS),
    }


def load_lanes(server, tmp_path_factory, catalog, by_change):
    """Load the matrix by way of files."""
    targets = {
        "adopted": {},
        "adopted_later": {},
        "reread": {"streams": {"*": {"sort_by": ["id"]}}},
        "remapped": {"stream_maps": {f"public-{t}": {"id": "id"} for t in TABLES}},
    }
    found = {}
    for lane in LANES:
        folder = tmp_path_factory.mktemp(lane)
        storage = {"root": f"file://{folder}/warehouse/_staging"}
        encoding = {"format": "parquet", "compression": "zstd"}
        tap = {"batch_config": {"encoding": encoding, "storage": storage}}
        pipe = Pipe("tap_postgres", folder, server.database, tap, targets[lane])
        pipe.run(by_change if lane == "adopted_later" else catalog)
        found[lane] = read_lake(server, pipe.warehouse, TABLES)
        assert [p for p in pipe.warehouse.glob("_staging/**/*") if p.is_file()] == []
    return found


def only(mode, catalog):
    """Return the catalog without the tables that a mode does not read."""
    chosen = tables_of(mode)
    return {"streams": [e for e in catalog["streams"] if table_of(e) in chosen]}


def table_of(entry):
    """Return the table of a stream."""
    return entry["tap_stream_id"].removeprefix("public-")


def differences(server, found, kind, mode):
    """Yield a line for each value that is not what Postgres prints."""
    special = {case.id: case for case in kind.cases if case.is_special}
    for table in tables_of(mode):
        if table.removesuffix("_clean") != kind.group:
            continue
        for key, row in found.rows[table].items():
            wanted = server.expected[table][key][str(kind)]
            if mode == "null" and key in special:
                wanted = None
            if row[str(kind)] != wanted:
                label = next((c.value for c in kind.cases if c.id == key), "null")
                yield (
                    f"{table}.{kind.column} {label[:60]!r}: Postgres prints "
                    f"{str(wanted)[:200]!r}, found {str(row[str(kind)])[:200]!r}"
                )


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(mode, kind) for mode in MODES for kind in KINDS if kind.group in tables_of(mode)],
    ids=str,
)
def test_every_value_is_what_postgres_prints(server, lakes, kind, mode):
    """In the column's own rows and, as null, in those of the other columns."""
    if kind not in server.kinds:
        pytest.skip(f"This server has no {kind.type}: {kind.needs}.")

    assert list(differences(server, lakes[mode], kind, mode)) == []


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_column_has_the_type_that_the_matrix_says(server, lakes, kind):
    """And the documentation: a rule that names one Iceberg type means this one."""
    if kind not in server.kinds:
        pytest.skip(f"This server has no {kind.type}: {kind.needs}.")

    for mode in MODES:
        for table, types in lakes[mode].types.items():
            if table.removesuffix("_clean") == kind.group:
                assert types[kind.column] == kind.iceberg
    documented = {name: rule.iceberg for rule in RULES for name in rule.types}
    promise = documented.get(kind.type, "")
    assert " " in promise or promise in {"", kind.iceberg}


@pytest.mark.parametrize(
    ("mode", "table"), [(mode, table) for mode in MODES for table in tables_of(mode)]
)
def test_every_row_arrives_or_is_a_dead_letter(server, lakes, table, mode):
    """Once, and a dead letter points to the value."""
    dead = [
        (case.id, "cast", ".".join(filter(None, (kind.column, case.path))))
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


@pytest.mark.parametrize("lane", LANES)
def test_every_lane_gives_the_same_rows(lakes, lane):
    """Bit for bit, by checksums of what DuckDB reads; and each lane is what it says."""
    for table in TABLES:
        assert checksum(lakes[lane].rows[table]) == checksum(lakes["full"].rows[table])
        # Iceberg's other writers respell such names in a file: ours does what they do.
        has_plain_names = not table.startswith("names")
        is_adopted = (
            lane.startswith("adopted")
            and bool(lakes[lane].rows[table])
            and has_plain_names
        )
        assert bool(lakes[lane].adopted[table]) == is_adopted, table


@pytest.mark.parametrize("kind", [k for k in KINDS if k.refused], ids=str)
def test_postgres_itself_refuses_what_no_column_can_hold(server, kind):
    """So nothing downstream has to: NUL in text, days that never were."""
    for value in kind.refused:
        with server.session() as cursor:
            sql = literal(Case(0, value), kind)
            with pytest.raises(Exception, match=r"SQLSTATE: (2[23]|42601|54000)"):
                cursor.execute(f"SELECT {sql}")


@pytest.mark.usefixtures("lakes")
@pytest.mark.parametrize("way", WAYS)
def test_a_record_alone_has_the_bytes_of_one_in_a_block(server, tmp_path, way):
    """Whatever its type: what no stream map touches is the same, byte for byte."""
    blocks, records = lines_alike("tap_postgres", tmp_path, server, way)

    assert len(blocks) == sum(map(len, server.expected.values()))
    assert records == blocks


def test_matrix_has_every_type_of_the_server(server):
    """A type of a newer Postgres must be added."""
    with server.session() as cursor:
        cursor.execute(
            "SELECT typname::text FROM pg_type t WHERE typtype IN ('b', 'r', 'm') "
            "AND typnamespace = 'pg_catalog'::regnamespace "
            "AND NOT EXISTS (SELECT FROM pg_type i WHERE i.typarray = t.oid) "
            "AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_class c "
            "ON c.oid = a.attrelid WHERE a.atttypid = t.oid AND c.relkind = 'r' "
            "AND c.relnamespace = 'public'::regnamespace)"
        )
        missing = {name for [name] in cursor.fetchall()}

    unavailable = {kind.type for kind in KINDS} - {kind.type for kind in server.kinds}
    assert missing - INTERNAL - unavailable == set()


def test_nothing_differs(server, lakes, record_property):
    """The totals, printed."""
    cases = [case for kind in server.kinds for case in kind.cases]
    dead = sum(case.is_dead("full") for case in cases)
    null = sum(case.is_special for case in cases)
    found = [
        line
        for mode in MODES
        for kind in server.kinds
        for line in differences(server, lakes[mode], kind, mode)
    ]
    line = (
        f"{len(server.kinds)} types, {len(cases)} values: "
        f"{len(cases) - dead} arrive exactly, {dead} are dead letters, {null} are null "
        f"on request; {len(found)} differences."
    )
    record_property("torture matrix", line)

    assert found == []
    written = {key for rows in server.expected.values() for key in rows}
    assert written == {case.id for case in cases}
