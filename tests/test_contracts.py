"""The data contracts of the demo tables: valid, kept by the database, and in force."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import PROGRAMS, Pipeline
from dativo_sandbox import flights, mariadb_flights, nycflights
from dativo_sandbox.lake import lake

ROOT = Path(__file__).resolve().parent.parent
NOT_NULL = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = '{}' AND is_nullable = 'NO'
"""
# What a table of the target cannot hold, and beside it what identifies an aircraft.
UNFIT = """
CREATE TABLE flights (id int PRIMARY KEY, tailnum varchar(6), time_hour timestamp NULL);
{}INSERT INTO flights VALUES (1, 'N380HA', '{}')
"""


@dataclass(frozen=True)
class Source:
    """A kind of database whose demo tables have contracts.

    Attributes:
        server: The fixture that runs one.
        empty: The fixture that makes an empty database.
        load: What makes the tables.
        schema: What the tables are in.
        no_moment: A timestamp that is none.
        freely: The statement that makes the server take it.
    """

    kind: str
    server: str
    empty: str
    load: t.Callable
    schema: str
    no_moment: str
    freely: str = ""

    @property
    def tap(self):
        """The command of the tap."""
        return f"tap-{self.kind}"

    @property
    def folder(self):
        """Where the contracts are."""
        return ROOT / "assets" / self.kind / "v1.0"

    def contract(self, table):
        """Return the contract of a table."""
        text = (self.folder / f"{table}.yaml").read_text(encoding="utf-8")
        return yaml.safe_load(text)

    def promised(self, table):
        """Return what the contract says of its one table."""
        [found] = self.contract(table)["schema"]
        return found


POSTGRES = Source(
    "postgres", "postgres_server", "database", flights.load, "public", "infinity"
)
MYSQL = Source(
    "mysql",
    "mariadb_server",
    "mariadb",
    mariadb_flights.load,
    "contracts",
    "0000-00-00",
    "SET sql_mode = '';",
)


@pytest.fixture(scope="session", params=[POSTGRES, MYSQL], ids=lambda s: s.kind)
def source(request):
    """The kinds of database, one after the other."""
    return request.param


@pytest.fixture(scope="session")
def demo(source, request):
    """A database with the tables, as the sandbox loads them."""
    server = request.getfixturevalue(source.server)
    database = server.create_database("contracts")
    source.load(database)
    yield database
    server.drop_database(database.name)


@pytest.fixture(scope="session")
def discovered(source, demo, tmp_path_factory):
    """The streams that the tap finds there, by the name of their table."""
    config = tmp_path_factory.mktemp("contracts") / "tap.json"
    config.write_text(json.dumps(demo.tap_config()))
    command = [PROGRAMS / source.tap, "--config", config, "--discover"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    streams = json.loads(done.stdout)["streams"]
    return {stream["table_name"]: stream for stream in streams}


@pytest.fixture(scope="session")
def not_null(source, demo):
    """The columns, with their tables, for which the database refuses nulls."""
    return {tuple(row) for row in demo.query(NOT_NULL.format(source.schema))}


@pytest.fixture(scope="session")
def loaded(source, demo, tmp_path_factory):
    """The lake into which all tables went, with the contracts in force."""
    folder = tmp_path_factory.mktemp("loaded")
    pipeline = Pipeline(folder, demo, source.tap)
    pipeline.target["contracts"] = str(source.folder)
    pipeline.run()
    assert pipeline.dead_letters() == []
    with lake(pipeline.warehouse) as engine:
        yield engine


def columns_of(stream):
    """Return the columns that a tap describes: names, types, and the standard's."""
    metadata = {tuple(e["breadcrumb"]): e["metadata"] for e in stream["metadata"]}
    return [
        (
            column,
            plain(metadata["properties", column]["sql-datatype"]),
            *logical(schema),
        )
        for column, schema in stream["schema"]["properties"].items()
    ]


def plain(declared):
    """Return a type without the width at which MariaDB would print its numbers."""
    return re.sub(r"(int|year)\(\d+\)", r"\1", declared)


def logical(schema):
    """Return what a contract says of a column that a tap describes so."""
    kind = schema["type"][0]
    if schema.get("format") == "date-time":
        return "date", "zoned" if schema.get("x-timezone", True) else "local"
    if schema.get("format") == "x-singer.decimal":
        return "number", None
    if kind == "integer":
        return kind, width(schema["minimum"], schema["maximum"])
    return kind, {"double": "f64"}.get(schema.get("format"))


def width(least, most):
    """Return the standard's word for the smallest type of a range."""
    bits = most.bit_length() + (least < 0)
    return f"{'i' if least < 0 else 'u'}{max(8, 1 << (bits - 1).bit_length())}"


def columns_in(table):
    """Return the same of the columns that a contract promises."""
    return [
        (c["name"], c["physicalType"], c["logicalType"], promised_format(c))
        for c in table["properties"]
    ]


def promised_format(column):
    """Return the width of a number, or whether a date has a zone."""
    found = column.get("logicalTypeOptions", {}).get("format")
    if column["logicalType"] == "date":
        return "zoned" if found.endswith("XXX") else "local"
    return found


def test_every_table_has_one_contract(source):
    """Neither a table of the demo without a contract, nor a contract without one."""
    assert {path.stem for path in source.folder.iterdir()} == set(nycflights.TABLES)


def test_every_contract_has_a_name_of_its_own():
    """Also beside the other database's contract for a table of the same name."""
    ids = [s.contract(n)["id"] for s in (POSTGRES, MYSQL) for n in nycflights.TABLES]
    assert len(set(ids)) == len(ids) == 10


@pytest.mark.parametrize("name", nycflights.TABLES)
def test_a_contract_is_valid(source, odcs, name):
    """It follows the standard's own schema, which refuses words it does not know."""
    contract = source.contract(name)
    assert [error.message for error in odcs.iter_errors(contract)] == []
    assert (contract["apiVersion"], contract["version"]) == ("v3.0.2", "1.0.0")
    table = source.promised(name)
    assert contract["name"] == table["name"] == table["physicalName"] == name


def test_the_rules_refuse_what_they_should(source, odcs):
    """A misspelt word in a column is an error, so the test above proves something."""
    contract = source.contract("airlines")
    contract["schema"][0]["properties"][0]["requierd"] = True
    assert not odcs.is_valid(contract)


@pytest.mark.parametrize("name", nycflights.TABLES)
def test_every_part_is_described(source, name):
    """A reader learns what the table is for, its limits, and what a column means."""
    assert set(source.contract(name)["description"]) == {
        "purpose",
        "usage",
        "limitations",
    }
    table = source.promised(name)
    parts = [table, *table["properties"]]
    assert all(part["description"].endswith(".") for part in parts)


@pytest.mark.parametrize("name", nycflights.TABLES)
def test_columns_are_those_of_the_database(source, discovered, name):
    """Same names in the same order, same types in its words and in the standard's."""
    assert columns_in(source.promised(name)) == columns_of(discovered[name])


@pytest.mark.parametrize(
    "change",
    [
        {"name": "callsign"},
        {"physicalType": "blob"},
        {"logicalType": "boolean"},
        {"logicalTypeOptions": {"format": "i8"}},
    ],
)
def test_a_table_that_does_not_fit_is_found(source, discovered, change):
    """Whatever a contract says of a column, the test above would see it."""
    table = copy.deepcopy(source.promised("flights"))
    flight = next(c for c in table["properties"] if c["name"] == "flight")
    flight |= change
    assert columns_in(table) != columns_of(discovered["flights"])


@pytest.mark.parametrize("name", nycflights.TABLES)
def test_keys_and_required_columns_are_those_of_the_database(
    source, discovered, not_null, name
):
    """The tap finds the same key in the same order; required is what is never null."""
    columns = source.promised(name)["properties"]
    keys = {c["primaryKeyPosition"]: c["name"] for c in columns if c.get("primaryKey")}
    assert [keys[n + 1] for n in range(len(keys))] == discovered[name]["key_properties"]
    required = {(name, c["name"]) for c in columns if c.get("required")}
    assert required == {pair for pair in not_null if pair[0] == name}


@pytest.mark.parametrize("name", nycflights.TABLES)
def test_every_value_arrives_under_its_contract(source, loaded, name):
    """The table has the promised columns, and the values of the published file."""
    published = nycflights.read(name)
    table = f"lake.{source.schema}_{name}"
    loaded.register("published", published)

    described = loaded.execute(f"DESCRIBE {table}").fetchall()
    columns = ", ".join(published.column_names)
    both = f"SELECT {columns} FROM {{}} EXCEPT ALL SELECT {columns} FROM {{}}"
    missing = loaded.execute(both.format("published", table)).fetchall()
    unknown = loaded.execute(both.format(table, "published")).fetchall()

    promised = [column["name"] for column in source.promised(name)["properties"]]
    assert [column for column, *_ in described] == promised
    assert (missing, unknown) == ([], [])


@pytest.mark.parametrize(
    ("classification", "kept"), [("public", "N380HA"), ("restricted", "***")]
)
def test_a_contract_rules_over_dead_letters(
    source, request, tmp_path, classification, kept
):
    """Found by the name of the table, it says what of a row may be shown."""
    database = request.getfixturevalue(source.empty)
    database.execute(UNFIT.format(source.freely, source.no_moment))
    contract = source.contract("flights")
    columns = {c["name"]: c for c in contract["schema"][0]["properties"]}
    columns["tailnum"]["classification"] = classification
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "flights.yaml").write_text(yaml.safe_dump(contract))
    pipeline = Pipeline(tmp_path, database, source.tap)
    pipeline.target["contracts"] = str(folder)
    pipeline.run()
    [letter] = pipeline.dead_letters()
    assert letter["path"] == "time_hour"
    assert json.loads(letter["record"])["tailnum"] == kept
