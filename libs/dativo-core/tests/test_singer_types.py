"""The builders say what the target reads back."""

from __future__ import annotations

import pytest
from dativo_core import singer_types as types
from jsonschema import Draft202012Validator

VALUES = [
    (types.boolean(), True),
    (types.integer(0, 9), 9),
    (types.signed(64), -(2**63)),
    (types.real(32), 1.5),
    (types.real(64), 1.5),
    (types.decimal(5, 2), "1.50"),
    (types.text(), "x"),
    (types.json_text(), "{}"),
    (types.binary(), "YQ=="),
    (types.uuid(), "00000000-0000-0000-0000-000000000000"),
    (types.date(), "2024-02-29"),
    (types.time(), "12:00:00"),
    (types.timestamp(zoned=True), "2024-02-29T12:00:00Z"),
    (types.timestamp(zoned=False), "2024-02-29T12:00:00"),
    (types.array(types.signed(32)), [1, None]),
]


@pytest.mark.parametrize(("schema", "value"), VALUES)
def test_takes_its_value_and_null(schema, value) -> None:
    """Each type is a valid JSON Schema for its values, and for null."""
    Draft202012Validator.check_schema(schema)
    assert list(Draft202012Validator(schema).iter_errors(value)) == []
    assert list(Draft202012Validator(schema).iter_errors(None)) == []


def test_bounds_choose_the_width() -> None:
    """A signed integer says its smallest and largest value."""
    found = types.signed(16)
    assert (found["minimum"], found["maximum"]) == (-32768, 32767)
