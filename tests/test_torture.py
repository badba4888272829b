"""The torture matrix: every type of PostgreSQL, through both programs, three engines.

`torture/matrix.yaml` lists types, values and what must become of them. Every value has
a row of its own. The rows go through `tap-postgres | target-dativo`; then the text that
DuckDB makes of each column of the Iceberg table must be the text that Postgres prints.

Each group of types has two tables: one with all values, and one without those that
become dead letters, whose blocks the target decodes on its fast lane only.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import hashlib
import json
import re
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from dativo_sandbox import lake
from pyiceberg.table import StaticTable
from tap_postgres.rules import RULES

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
# The same text from DuckDB. Its own casts leave out a zero before the point, and show
# a moment in the zone of the machine. It has no function for the bits of a float.
READ = {
    "binary": "lower(hex({}))",
    "decimal": r"regexp_replace(CAST({} AS VARCHAR), '^(-?)[.]', '\10.')",
    "double": "{}",
    "float": "{}",
    "timestamptz": "CAST(make_timestamp(epoch_us({})) AS VARCHAR)",
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


@dataclass(frozen=True)
class Case:
    """One value, its row, and what must become of it.

    Attributes:
        path: Where a dead letter must point to, below the column; None if it arrives.
        is_special: Whether the settings can turn it into null.
    """

    id: int
    value: str
    path: str | None = None
    is_special: bool = False

    def sql(self, kind):
        """Return the value as SQL."""
        if self.value.startswith("= "):
            return self.value[2:]
        return "'" + self.value.replace("'", "''") + f"'::{kind.type}"

    def is_dead(self, mode):
        """Tell whether the row must be among the dead letters."""
        return self.path is not None and not (self.is_special and mode == "null")


@dataclass(frozen=True)
class Kind:
    """A type, as one column."""

    group: str
    type: str
    column: str
    iceberg: str
    printed: str
    generated: str
    needs: dict
    cases: tuple[Case, ...]
    refused: tuple[str, ...]

    def __str__(self):
        return f"{self.group}-{self.column}"

    @property
    def definition(self):
        """The column in CREATE TABLE."""
        rule = f"GENERATED ALWAYS AS ({self.generated}) STORED"
        return f"{quoted(self.column)} {self.type} {rule if self.generated else ''}"


def read_matrix():
    """Return all types; every value of the matrix gets a number."""
    # This loader takes all scalars as text: NaN, 1e400 and 0001-01-01 among them.
    content = yaml.load(MATRIX.read_text(), yaml.BaseLoader)  # noqa: S506
    kinds, cases = [], 0
    for group, entries in content["types"].items():
        for entry in entries:
            found = list(read_cases(entry, cases + 1))
            cases += len(found)
            iceberg = entry.get("iceberg", "string")
            kind = Kind(
                group=group,
                type=entry["type"],
                column=entry.get("column") or slug(entry["type"]),
                iceberg=iceberg,
                printed=entry.get("print") or printed(iceberg),
                generated=entry.get("generated", ""),
                needs={
                    name: entry[name]
                    for name in ("since", "extension", "needs_xml")
                    if name in entry
                },
                cases=tuple(found),
                refused=tuple(entry.get("refused", ())),
            )
            kinds.append(kind)
    return content["setup"], kinds


def read_cases(entry, first):
    """Yield the values of an entry with their fates."""
    dead = entry.get("dead", {})
    paths = dead if isinstance(dead, dict) else dict.fromkeys(dead, "")
    listed = [
        *((value, None, False) for value in entry.get("values", ())),
        *((value, None, True) for value in entry.get("or_null", ())),
        *((value, path, False) for value, path in paths.items()),
        *((value, "", True) for value in entry.get("dead_or_null", ())),
    ]
    for number, (value, path, is_special) in enumerate(listed, first):
        yield Case(number, value, path, is_special)


def slug(text):
    """Name a column after its type."""
    return re.sub(r"\W+", "_", text.replace("[]", " list")).strip("_")


def quoted(name):
    """Quote a name, for Postgres and DuckDB alike."""
    return '"' + name.replace('"', '""') + '"'


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


def read(iceberg, value, depth=0):
    """Return the SQL for the text that DuckDB makes of the same value."""
    element = element_of(iceberg)
    if element is None:
        name = iceberg.partition("(")[0]
        return READ.get(name, "CAST({} AS VARCHAR)").replace("{}", value)
    inner = read(element, f"x{depth}", depth + 1)
    return f"list_transform({value}, lambda x{depth}: {inner})"


def element_of(iceberg):
    """Return what a list holds; None for what is not a list."""
    return iceberg[5:-1] if iceberg.startswith("list<") else None


SETUP, KINDS = read_matrix()
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

    def create(self):
        """Create and fill the tables, then make the database a hostile place."""
        self.database.execute(SETUP)
        for group in GROUPS:
            kinds = self.of(group)
            columns = ", ".join(kind.definition for kind in kinds)
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
                            f"VALUES ({case.id}, {case.sql(kind)})"
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


def parsed(kind, text):
    """Read the JSON that Postgres prints of a list."""
    is_list = element_of(kind.iceberg) is not None
    return json.loads(text) if is_list and text is not None else text


@dataclass
class Lake:
    """What a load has left: tables, as read by two engines, and dead letters."""

    types: dict
    rows: dict
    pyiceberg: dict
    dead: dict
    adopted: dict = field(default_factory=dict)


def read_lake(server, warehouse, tables):
    """Read all there is."""
    found = Lake({}, {}, {}, read_dead_letters(warehouse))
    locations = lake.tables(warehouse)
    with lake.lake(warehouse) as engine:
        for table in tables:
            kinds = server.of(table)
            iceberg = StaticTable.from_metadata(locations["lake", f"public_{table}"])
            types = {f.name: str(f.field_type) for f in iceberg.schema().fields}
            found.types[table] = types
            summaries = [snapshot.summary for snapshot in iceberg.snapshots()]
            found.adopted[table] = sum(
                int(s.get("dativo.adopted-files") or 0) for s in summaries
            )
            found.rows[table] = texts(engine, f"lake.public_{table}", kinds)
            engine.register("arrow", iceberg.scan().to_arrow())
            found.pyiceberg[table] = texts(engine, "arrow", kinds)
    return found


def texts(engine, relation, kinds):
    """Return the text of every value, by row and column."""
    selected = ", ".join(read(kind.iceberg, quoted(kind.column)) for kind in kinds)
    rows = engine.execute(f"SELECT id, {selected} FROM {relation}").fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    return {
        key: {
            str(kind): as_bits(kind.iceberg, value)
            for kind, value in zip(kinds, values, strict=True)
        }
        for key, *values in rows
    }


def as_bits(iceberg, value):
    """Turn floats into their bits; all else is text already."""
    if isinstance(value, list):
        return [as_bits(element_of(iceberg), item) for item in value]
    if isinstance(value, float):
        return struct.pack({"float": ">f", "double": ">d"}[iceberg], value).hex()
    return value


def read_dead_letters(warehouse):
    """Return (row, stage, path) of every dead letter, by table."""
    found = collections.defaultdict(list)
    for file in sorted(warehouse.glob("_dead_letters/**/*.jsonl")):
        for line in file.read_text().split("\n"):
            if line:
                letter = json.loads(line)
                record = letter.get("record", "").encode()
                record = record or base64.b64decode(letter["record_base64"])
                key = int(re.search(rb'"id":(\d+)', record)[1])
                table = letter["stream"].removeprefix("public-")
                found[table].append((key, letter["stage"], letter["path"]))
    return found


class Pipe:
    """Both programs as processes, with a pipe between them."""

    def __init__(self, folder, database, tap=(), target=()):
        self.warehouse = folder / "warehouse"
        self._folder = folder
        self._tap = self._write("tap", {**database.tap_config(), **dict(tap)})
        self._target = self._write(
            "target",
            {
                "warehouse": str(self.warehouse),
                "dead_letter": {"max_ratio": 1, "max_records": 10_000},
                **dict(target),
            },
        )

    def discover(self):
        """Return the catalog of the matrix."""
        done = subprocess.run(
            self._command("tap_postgres", self._tap, "--discover"),
            check=True,
            capture_output=True,
        )
        return only("full", json.loads(done.stdout))

    def run(self, catalog, state=None):
        """Run the pipe once and return the last state that the target confirms."""
        options = ["--catalog", self._write("catalog", catalog)]
        options += ["--state", self._write("state", state)] if state else []
        with subprocess.Popen(
            self._command("tap_postgres", self._tap, *options), stdout=subprocess.PIPE
        ) as tap:
            target = subprocess.run(
                self._command("target_parquet_iceberg", self._target),
                stdin=tap.stdout,
                stdout=subprocess.PIPE,
                check=False,
            )
        assert (tap.returncode, target.returncode) == (0, 0)
        return json.loads(target.stdout.splitlines()[-1])

    def _command(self, module, config, *options):
        return [sys.executable, "-m", module, "--config", config, *options]

    def _write(self, name, content):
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


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
    first = Pipe(tmp_path_factory.mktemp("incremental"), server.database)
    catalog = first.discover()
    by_change = json.loads(json.dumps(catalog))
    for entry in by_change["streams"]:
        entry |= {"replication_method": "INCREMENTAL", "replication_key": "changed"}
    state = first.run(by_change)
    server.fill(lambda case: not case.id % 2)
    server.print()
    first.run(by_change, state)

    full = Pipe(tmp_path_factory.mktemp("full"), server.database)
    full.run(catalog)

    null = Pipe(tmp_path_factory.mktemp("null"), server.database, NULL_SETTINGS)
    null.run(only("null", catalog))

    maps = {"stream_maps": {f"public-{table}": {"id": "id"} for table in GROUPS}}
    mapped = Pipe(tmp_path_factory.mktemp("mapped"), server.database, maps, maps)
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
        pipe = Pipe(folder, server.database, tap, targets[lane])
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


def checksum(rows):
    """Return the number of rows and a hash of them."""
    content = json.dumps(sorted(rows.items())).encode()
    return len(rows), hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", [k for k in KINDS if k.refused], ids=str)
def test_postgres_itself_refuses_what_no_column_can_hold(server, kind):
    """So nothing downstream has to: NUL in text, days that never were."""
    for value in kind.refused:
        with server.session() as cursor:
            sql = Case(0, value).sql(kind)
            with pytest.raises(Exception, match=r"SQLSTATE: (2[23]|42601|54000)"):
                cursor.execute(f"SELECT {sql}")


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


@dataclass
class Totals:
    """A line at the end of the whole test run."""

    line: str

    def pytest_terminal_summary(self, terminalreporter):
        """Print it."""
        terminalreporter.section("torture matrix")
        terminalreporter.write_line(self.line)


def test_nothing_differs(server, lakes, request):
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
    request.config.pluginmanager.register(Totals(line))

    assert found == []
    written = {key for rows in server.expected.values() for key in rows}
    assert written == {case.id for case in cases}
