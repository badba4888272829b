"""Every JSON Schema becomes one column type, by rule."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_parquet_iceberg.schema import JSON_TEXT, column, columns

NULL = {"type": "null"}
WIDE = {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}
DECIMAL = {"type": "string", "format": "x-singer.decimal"}
MOMENT = {"type": "string", "format": "date-time"}
UTC = pa.timestamp("us", tz="UTC")

RULES = [
    ({"type": "boolean"}, pa.bool_(), "boolean"),
    ({"type": "integer"}, pa.int64(), "integer"),
    ({"type": "integer", "minimum": 0}, pa.int64(), "integer"),
    ({"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}, pa.int32(), None),
    ({"type": "integer", "minimum": -(2**31), "maximum": 2**31}, pa.int64(), None),
    ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, pa.int64(), None),
    (WIDE, pa.decimal128(38, 0), "integer"),
    ({"type": "integer", "maximum": 2**64 - 1}, pa.decimal128(38, 0), "integer"),
    ({"type": "integer", "maximum": 1.8446744073709552e19}, pa.decimal128(38, 0), None),
    ({"type": "integer", "minimum": -(2**63) - 1}, pa.decimal128(38, 0), None),
    ({"type": "number"}, pa.float64(), "number"),
    ({"type": "number", "format": "float"}, pa.float32(), "number"),
    ({"type": ["integer", "number", "null"]}, pa.float64(), "number"),
    ({"type": "number", "multipleOf": 0.01}, pa.decimal128(38, 2), "number"),
    ({"type": "number", "multipleOf": 1e-05}, pa.decimal128(38, 5), "number"),
    ({"type": "number", "multipleOf": 0.5}, pa.float64(), "number"),
    ({"type": "number", "multipleOf": 1}, pa.float64(), "number"),
    ({"type": "number", "multipleOf": 1e-40}, pa.float64(), "number"),
    ({**DECIMAL, "precision": 10, "scale": 2}, pa.decimal128(10, 2), "string"),
    ({**DECIMAL, "precision": 10}, pa.decimal128(10, 0), "string"),
    (DECIMAL, pa.string(), "string"),
    ({"type": "string", "format": "singer.decimal"}, pa.string(), "string"),
    ({**DECIMAL, "precision": 39, "scale": 2}, pa.string(), "string"),
    ({**DECIMAL, "precision": 5, "scale": 9}, pa.string(), "string"),
    ({**DECIMAL, "precision": 5, "scale": "2"}, pa.string(), "string"),
    ({"type": "string", "format": "date"}, pa.date32(), "string"),
    ({"type": "string", "format": "time"}, pa.time64("us"), "string"),
    (MOMENT, UTC, "string"),
    ({**MOMENT, "x-timezone": False}, pa.timestamp("us"), "string"),
    ({"type": "string", "contentEncoding": "base64"}, pa.binary(), "string"),
    ({"type": "string", "format": "email"}, pa.string(), "string"),
    ({"type": "string", "format": ["x"]}, pa.string(), "string"),
    ({"type": ["null", "string"]}, pa.string(), "string"),
    ({"type": "array", "items": {"type": "integer"}}, pa.list_(pa.int64()), "array"),
    ({"type": "array"}, pa.string(), "json"),
    ({"type": "array", "items": {}}, pa.string(), "json"),
    ({"type": "object"}, pa.string(), "json"),
    ({"type": "object", "properties": {}}, pa.string(), "json"),
    (
        {"type": "object", "properties": {"a": MOMENT}},
        pa.struct([("a", UTC)]),
        "object",
    ),
    ({"type": ["string", "integer"]}, pa.string(), "json"),
    ({}, pa.string(), "json"),
    (True, pa.string(), "json"),
    (NULL, pa.string(), "json"),
    ({"type": None}, pa.string(), "json"),
    ({"$ref": "#/x"}, pa.string(), "json"),
    ({"anyOf": [MOMENT, NULL]}, UTC, "string"),
    ({"oneOf": [NULL, {"type": "integer"}]}, pa.int64(), "integer"),
    ({"anyOf": [{"type": ["integer", "null"]}, {"type": ["null"]}]}, pa.int64(), None),
    ({"anyOf": [MOMENT, {"type": "string"}]}, pa.string(), "string"),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, pa.string(), "json"),
    ({"anyOf": [{"anyOf": [MOMENT, NULL]}, NULL]}, UTC, "string"),
    ({"anyOf": "x"}, pa.string(), "json"),
]


@pytest.mark.parametrize(("given_schema", "arrow_type", "kind"), RULES)
def test_rule(given_schema, arrow_type, kind) -> None:
    """Each rule of the table gives its type, and the JSON kind of the values."""
    found = column("c", given_schema)
    assert arrow_type == found.type
    assert kind in {None, found.kind}


def test_nested_free_form_part_is_marked_as_json() -> None:
    """What has no type inside an object is JSON text, and says so."""
    found = column("c", {"type": "object", "properties": {"a": {}, "b": MOMENT}})
    assert {f.name: f.metadata for f in found.type} == {"a": JSON_TEXT, "b": None}


def test_columns_keep_order_and_description() -> None:
    """Columns come in the order of the schema, each with its description."""
    parts = {"b": {"type": "string", "description": "B."}, "a": True}
    found = columns({"properties": parts})
    assert [(c.name, c.doc) for c in found] == [("b", "B."), ("a", "")]


@pytest.mark.parametrize("schema", [{}, {"properties": None}, {"properties": [1]}])
def test_no_properties_no_columns(schema) -> None:
    """A schema without usable properties has no columns, and is no crash."""
    assert columns(schema) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "format",
                    "anyOf",
                    "items",
                    "properties",
                    "minimum",
                    "maximum",
                    "precision",
                    "scale",
                    "multipleOf",
                    "description",
                    "contentEncoding",
                ]
            ),
            inner
            | st.sampled_from(
                ["string", "integer", "number", "array", "object", "date"]
            ),
            max_size=4,
        )
    ),
)


@given(JSON)
def test_no_schema_breaks_it(schema) -> None:
    """Whatever a tap calls a schema, the outcome is a column."""
    assert isinstance(column("c", schema).type, pa.DataType)
