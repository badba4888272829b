"""What a contract calls personal is in no dead letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dativo_core.errors import ConfigurationError
from target_parquet_iceberg import contracts
from target_parquet_iceberg.privacy import marks_of

ASSETS = Path(__file__).parents[3] / "assets"
CONTRACT = """
apiVersion: v3.0.2
kind: DataContract
schema:
- name: customers
  physicalName: stripe.Customers
  properties:
  - {name: id}
  - {name: email, classification: restricted}
  - {name: phone, tags: [PII]}
  - {name: country, classification: Public}
  - name: address
    properties:
    - {name: street, classification: confidential}
  - name: friends
    items:
      properties:
      - {name: name, tags: [pii]}
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a contract, some levels down."""
    place = tmp_path / "contracts" / "stripe" / "v1.0"
    place.mkdir(parents=True)
    (place / "customers.yaml").write_text(CONTRACT)
    return tmp_path / "contracts"


def test_marks_are_found_under_both_names(folder) -> None:
    """Classifications beyond internal and the tag, at any depth."""
    found = contracts.read(str(folder))
    assert found.keys() == {"customers", "stripe_customers"}
    [customers] = found["customers"]["anyOf"]
    assert customers["properties"] == {
        "id": {"properties": {}},
        "email": {"x-pii": True},
        "phone": {"x-pii": True},
        "country": {"properties": {}},
        "address": {"properties": {"street": {"x-pii": True}}},
        "friends": {
            "properties": {},
            "items": {"properties": {"name": {"x-pii": True}}},
        },
    }


def test_our_own_contracts_are_read() -> None:
    """Those that the repository ships mark what identifies a customer."""
    found = contracts.read(str(ASSETS))
    marks = marks_of(found["customers"])
    assert {"address", "email", "name", "phone"} <= set(marks.properties)
    assert not marks_of(found["flights"])


@pytest.mark.parametrize("stream", ["customers", "public-customers"])
@pytest.mark.parametrize("has_schema", [True, False])
def test_dead_letters_are_masked(lake, say, folder, stream, has_schema) -> None:
    """With or without a SCHEMA, and whatever the database schema before the name."""
    head = say.schema(stream, ("id",), id="integer", email="string", country="string")
    record = say.record(stream, id="x", email="ada@example.com", country="UK")
    lines = [head, record] if has_schema else [record]
    settings = {"contracts": str(folder), "dead_letter": {"max_ratio": 1}}
    lake.load(*lines, say.state(n=1), **settings)
    [letter] = lake.dead()
    assert json.loads(letter["record"]) == {"id": "x", "email": "***", "country": "UK"}
    assert letter["masked"] == ["email"]


@pytest.mark.parametrize("private", ["a", "b"])
def test_contracts_for_tables_of_one_name_add_up(lake, say, tmp_path, private) -> None:
    """Nobody can tell whose table it is, so each of them rules over the stream."""
    folder = tmp_path / "several"
    folder.mkdir()
    for name in "ab":
        kind = "restricted" if name == private else "public"
        content = CONTRACT.replace("restricted", kind)
        (folder / f"{name}.yaml").write_text(content)
    head = say.schema("shop-customers", ("id",), id="integer", email="string")
    record = say.record("shop-customers", id="x", email="ada@example.com")
    settings = {"contracts": str(folder), "dead_letter": {"max_ratio": 1}}
    lake.load(head, record, say.state(n=1), **settings)
    [letter] = lake.dead()
    assert json.loads(letter["record"]) == {"id": "x", "email": "***"}


def test_without_the_setting_nothing_is_read() -> None:
    """It is optional."""
    assert contracts.read(None) == {}


@pytest.mark.parametrize(
    "content", ["a: [", "schema: 7", "- 1", "schema: [7]", b"\xff\xfe\x00"]
)
def test_what_is_no_contract_is_named(tmp_path, content) -> None:
    """A wrong file must not leave personal data unmasked."""
    file = tmp_path / "wrong.yml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError, match=r"wrong\.yml"):
        contracts.read(str(tmp_path))


def test_a_folder_that_is_not_there(tmp_path) -> None:
    """The setting is named."""
    with pytest.raises(ConfigurationError, match="contracts"):
        contracts.read(str(tmp_path / "nowhere"))
