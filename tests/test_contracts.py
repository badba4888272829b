"""The data contracts of the demo tables: valid, and what the database really has."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml
from dativo_sandbox import flights

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from dativo_sandbox.database import Database
    from dativo_sandbox.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assets" / "postgres" / "v1.0"
PROGRAMS = Path(sys.executable).parent
NOT_NULL = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND is_nullable = 'NO'
"""


@pytest.fixture(scope="session")
def odcs():
    """The official JSON Schema of the Open Data Contract Standard v3.0.2."""
    file = resources.files("open_data_contract_standard") / "schema.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    assert schema["properties"]["apiVersion"]["default"] == "v3.0.2"
    return jsonschema.validators.validator_for(schema)(
        schema, format_checker=jsonschema.FormatChecker()
    )


@pytest.fixture(scope="session")
def demo(postgres_server: PostgresServer) -> Iterator[Database]:
    """The database of the demo, as the demo loads it."""
    database = postgres_server.create_database("contracts")
    flights.load(database)
    yield database
    postgres_server.drop_database(database.name)


@pytest.fixture(scope="session")
def discovered(demo, tmp_path_factory):
    """The streams that tap-postgres finds there, by the name of their table."""
    config = tmp_path_factory.mktemp("contracts") / "tap.json"
    config.write_text(json.dumps(demo.tap_config()))
    command = [PROGRAMS / "tap-postgres", "--config", config, "--discover"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    streams = json.loads(done.stdout)["streams"]
    return {stream["table_name"]: stream for stream in streams}


@pytest.fixture(scope="session")
def not_null(demo):
    """The columns, with their tables, for which the database refuses nulls."""
    return {tuple(row) for row in demo.query(NOT_NULL)}


def read(name):
    """Return the contract of a table."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def table(name):
    """Return the one table of a contract."""
    [found] = read(name)["schema"]
    return found


def logical(schema):
    """Return what a contract says of a column that a tap describes so."""
    kind = schema["type"][0]
    if schema.get("format") == "date-time":
        return "date", None
    if kind == "integer":
        return kind, f"i{(schema['maximum'] + 1).bit_length()}"
    return kind, {"double": "f64"}.get(schema.get("format"))


def test_every_table_has_one_contract():
    """Neither a table of the demo without a contract, nor a contract without one."""
    assert {path.stem for path in FOLDER.iterdir()} == set(flights.KEYS)
    assert len({read(name)["id"] for name in flights.KEYS}) == len(flights.KEYS)


@pytest.mark.parametrize("name", flights.KEYS)
def test_a_contract_is_valid(odcs, name):
    """It follows the standard's own schema, which refuses words it does not know."""
    contract = read(name)
    assert [error.message for error in odcs.iter_errors(contract)] == []
    assert (contract["apiVersion"], contract["version"]) == ("v3.0.2", "1.0.0")
    assert (
        contract["name"] == table(name)["name"] == table(name)["physicalName"] == name
    )


def test_the_rules_refuse_what_they_should(odcs):
    """A misspelt word in a column is an error, so the test above proves something."""
    contract = read("airlines")
    contract["schema"][0]["properties"][0]["requierd"] = True
    assert not odcs.is_valid(contract)


@pytest.mark.parametrize("name", flights.KEYS)
def test_every_part_is_described(name):
    """A reader learns what the table is for, its limits, and what a column means."""
    contract = read(name)
    assert set(contract["description"]) == {"purpose", "usage", "limitations"}
    parts = [table(name), *table(name)["properties"]]
    assert all(part["description"].endswith(".") for part in parts)


@pytest.mark.parametrize("name", flights.KEYS)
def test_columns_are_those_of_the_database(discovered, name):
    """Same names in the same order, same types in its words and in the standard's."""
    metadata = {
        tuple(entry["breadcrumb"]): entry["metadata"]
        for entry in discovered[name]["metadata"]
    }
    expected = [
        (column, metadata["properties", column]["sql-datatype"], *logical(schema))
        for column, schema in discovered[name]["schema"]["properties"].items()
    ]
    assert [promised(column) for column in table(name)["properties"]] == expected


def promised(column):
    """Return name and types; of a date's format the database knows nothing."""
    options = column.get("logicalTypeOptions", {})
    width = None if column["logicalType"] == "date" else options.get("format")
    return column["name"], column["physicalType"], column["logicalType"], width


@pytest.mark.parametrize("name", flights.KEYS)
def test_keys_and_required_columns_are_those_of_the_database(
    discovered, not_null, name
):
    """The tap finds the same key in the same order; required is what is never null."""
    columns = table(name)["properties"]
    keys = {c["primaryKeyPosition"]: c["name"] for c in columns if c.get("primaryKey")}
    assert [keys[n + 1] for n in range(len(keys))] == discovered[name]["key_properties"]
    required = {(name, c["name"]) for c in columns if c.get("required")}
    assert required == {pair for pair in not_null if pair[0] == name}
