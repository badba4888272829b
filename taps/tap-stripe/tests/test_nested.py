"""Nested objects with the types that Stripe documents, where somebody wants them."""

from __future__ import annotations

import json

import pytest
from tap_stripe import nested
from tap_stripe.resources import BY_NAME, RESOURCES
from tap_stripe.versions import LINES, NEWEST, load

TREE = {
    "city": "text",
    "from": "text",
    "deep": {"at": "integer", "ratio": "number", "is_on": "boolean"},
    "parts": [{"amount": "integer"}],
    "words": "texts",
    "metadata": "object",
    "any": "json",
    "empty": {},
}
FITTING = [
    None,
    {},
    {"city": "Oslo", "from": "cus_1", "deep": None, "any": 1},
    {"deep": {"at": 1, "ratio": 1, "is_on": True}, "parts": [{"amount": 5}, {}, None]},
    {"words": ["a", None], "metadata": {"x": {"y": 1}}, "empty": {"z": []}},
]
STRANGE = [
    {"town": "Oslo"},
    {"city": 5},
    {"from": {"id": "cus_1"}},
    {"deep": {"at": "soon"}},
    {"deep": {"at": 1.5}},
    {"parts": {"amount": 5}},
    {"parts": [{"amount": 5, "new": 1}]},
    [],
]


@pytest.mark.parametrize("value", FITTING, ids=json.dumps)
def test_what_is_documented_fits(value):
    """Everything may be null, or not there."""
    assert nested.Fit(TREE)(json.dumps(value).encode())


@pytest.mark.parametrize("value", STRANGE, ids=json.dumps)
def test_what_is_not_documented_does_not(value):
    """An unknown field, another kind, an object in place of an id."""
    assert not nested.Fit(TREE)(json.dumps(value).encode())


def test_a_tree_is_a_schema():
    """Objects of no known shape have no properties: a target keeps them as JSON."""
    found = nested.schema(TREE)
    fields = found["properties"]
    assert found["type"] == ["object", "null"]
    assert fields["deep"]["properties"]["ratio"] == {"type": ["number", "null"]}
    assert fields["parts"]["items"]["properties"].keys() == {"amount"}
    assert fields["metadata"] == fields["empty"] == {"type": ["object", "null"]}
    assert fields["any"] == {}


@pytest.mark.parametrize("version", LINES)
def test_all_shapes_belong_to_columns(version):
    """Of each line and stream: objects are objects, lists are lists, all can check."""
    line = load(version)
    for resource in RESOURCES:
        for name, tree in nested.load(resource, version).items():
            kind = line.objects[resource.object][name]
            assert kind == ("list" if isinstance(tree, list) else "object")
            assert nested.Fit(tree)(b"null")
    assert "city" in nested.load(BY_NAME["customers"], version)["address"]


def test_a_run_sends_what_it_declares(stripe):
    """The same values as without; what is not as documented is in `_extra`."""
    plain = {r["id"]: r for r in stripe.run("customers").records("customers")}
    odd = next(iter(plain))
    change = {"op": "update", "type": "customer", "id": odd}
    address = {"city": "Oslo", "planet": "Earth"}
    stripe.server.mutate(ops=[{**change, "set": {"address": address}}])

    run = stripe.run("customers", typed_nested=True)

    [schema] = run.of("SCHEMA", "customers")
    columns = schema["schema"]["properties"]
    assert columns["address"]["properties"]["city"] == {"type": ["string", "null"]}
    typed = {r["id"]: r for r in run.records("customers")}
    assert typed.pop(odd)["_extra"] == {"address": address}
    assert all(row == plain[key] for key, row in typed.items())
    assert LINES[-1] == NEWEST
