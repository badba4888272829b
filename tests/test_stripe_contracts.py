"""The contracts of Stripe's tables: valid, and what the tap really sends."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tap_stripe import versions
from tap_stripe.tap import TapStripe

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "stripe" / "v1.0"
TABLES = ["charges", "customers", "invoices", "subscriptions"]
PHYSICAL = {
    "text": ("string", "string"),
    "integer": ("integer", "long"),
    "number": ("number", "double"),
    "boolean": ("boolean", "boolean"),
    "moment": ("date", "timestamptz"),
    "object": ("object", "string"),
    "list": ("array", "string"),
    "texts": ("array", "list<string>"),
}
PERSONAL = {"email", "name", "phone", "address", "billing_details", "customer_email"}


@pytest.fixture(scope="module")
def streams():
    """The streams of the tap, by name."""
    return TapStripe(config={}, setup_mapper=False).streams


def read(name):
    """Return the contract of a table."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def test_every_table_has_one_contract():
    """The four objects of the mission."""
    assert sorted(path.stem for path in FOLDER.iterdir()) == TABLES
    assert len({read(name)["id"] for name in TABLES}) == len(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_a_contract_is_valid(odcs, name):
    """It follows the standard's own schema, which refuses words it does not know."""
    contract = read(name)
    assert [error.message for error in odcs.iter_errors(contract)] == []
    contract["schema"][0]["properties"][0]["requierd"] = True
    assert not odcs.is_valid(contract)


@pytest.mark.parametrize("name", TABLES)
def test_columns_and_keys_are_those_that_the_tap_sends(streams, name):
    """Same names in the same order, with their types and the same key."""
    [table] = read(name)["schema"]
    stream = streams[name]
    line = versions.load(versions.NEWEST)
    kinds = versions.columns(stream.resource, line, accounts=False)

    found = [
        (c["name"], c["logicalType"], c["physicalType"]) for c in table["properties"]
    ]
    assert found == [(column, *PHYSICAL[kind]) for column, kind in kinds.items()]
    assert list(stream.schema["properties"]) == [column for column, *_ in found]
    keys = [c["name"] for c in table["properties"] if c.get("primaryKey")]
    assert keys == stream.primary_keys == stream.schema["required"]


@pytest.mark.parametrize("name", TABLES)
def test_every_part_is_described_and_persons_are_marked(name):
    """What it means, who owns it, how long it is kept, what is about a person."""
    contract = read(name)
    [table] = contract["schema"]
    assert set(contract["description"]) == {"purpose", "usage", "limitations"}
    assert contract["team"][0]["role"] == "owner"
    assert contract["slaProperties"][0]["property"] == "retention"
    parts = [table, *table["properties"]]
    assert all(part["description"].endswith(".") for part in parts)
    columns = {column["name"]: column for column in table["properties"]}
    assert columns["created"]["partitioned"] is True
    for column in PERSONAL & columns.keys():
        assert columns[column]["classification"] == "restricted"
        assert columns[column]["tags"] == ["pii"]
