"""A catalog keeps what a schema says, whatever the SDK knows of it."""

from __future__ import annotations

import copy

from dativo_core.exact_schema import ExactSchema, read_catalog

SCHEMA = {
    "type": "object",
    "properties": {
        "price": {"type": ["number", "null"], "x-precision": 38, "x-scale": 9},
        "at": {"type": ["string", "null"], "format": "date-time", "x-timezone": False},
    },
}


def catalog(metadata, **entry):
    """Return a catalog file with one stream."""
    given = {"tap_stream_id": "a", "stream": "a", "schema": SCHEMA, **entry}
    return {"streams": [{**given, "metadata": metadata}]}


def entry(metadata, **more):
    """Return that stream as it was read."""
    return read_catalog(catalog(metadata, **more))["a"]


def test_a_schema_comes_out_as_it_went_in():
    """With keywords that the SDK does not know; nobody can change it from outside."""
    given = copy.deepcopy(SCHEMA)
    schema = ExactSchema.from_dict(given)
    given["properties"].clear()
    schema.to_dict()["properties"].clear()
    assert schema.to_dict() == SCHEMA


def test_a_catalog_file_keeps_its_schemas():
    """Also when it is written again."""
    found = read_catalog(catalog([])).to_dict()
    assert found["streams"][0]["schema"] == SCHEMA


def test_a_method_chosen_in_the_metadata_counts():
    """Singer's place for it; the stream's own breadcrumb is the empty one."""
    chosen = {"replication-method": "INCREMENTAL", "replication-key": "at"}
    column = {
        "breadcrumb": ["properties", "at"],
        "metadata": {"inclusion": "available"},
    }
    found = entry([{"breadcrumb": [], "metadata": chosen}, column])
    assert (found.replication_method, found.replication_key) == ("INCREMENTAL", "at")


def test_else_that_of_the_entry_itself():
    """As taps of the SDK write it."""
    told = {"replication_method": "FULL_TABLE", "replication_key": "at"}
    found = entry([{"breadcrumb": [], "metadata": {"selected": True}}], **told)
    assert (found.replication_method, found.replication_key) == ("FULL_TABLE", "at")
    assert entry([]).replication_method is None


def test_a_catalog_without_streams_is_an_empty_one():
    """And a stream without a schema has none."""
    assert read_catalog({}) == {}
    bare = catalog([])
    del bare["streams"][0]["schema"]
    bare["streams"][0]["schema"] = {}
    assert read_catalog(bare)["a"].schema.to_dict() == {}
