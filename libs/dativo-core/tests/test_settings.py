"""Wrong settings are named in the user's words."""

from __future__ import annotations

import pytest
from dativo_core.errors import ConfigurationError
from dativo_core.settings import accept, problems

SCHEMA = {
    "properties": {
        "host": {"type": "string"},
        "port": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
        "mode": {"enum": ["a", "b", None]},
        "name": {"type": "string", "pattern": "^x"},
        "box": {
            "properties": {"path": {"type": "string"}},
            "additionalProperties": False,
        },
    },
    "required": ["host"],
}
PROBLEMS = [
    ({"host": "h"}, []),
    ({}, ["Setting 'host' is missing."]),
    ({"host": 1}, ["Setting 'host' must be of type string."]),
    ({"host": "h", "port": 0}, ["Setting 'port' must be at least 1."]),
    ({"host": "h", "port": 10}, ["Setting 'port' must be at most 9."]),
    ({"host": "h", "port": "1"}, ["Setting 'port' must be of type integer."]),
    ({"host": "h", "mode": "c"}, ["Setting 'mode' must be one of: a or b or None."]),
    ({"host": "h", "name": "y"}, ["Setting 'name' is not valid (pattern)."]),
    ({"host": "h", "hots": 1}, ["There is no setting 'hots'. Did you mean 'host'?"]),
    ({"host": "h", "zzz": 1}, ["There is no setting 'zzz'."]),
    (
        {"host": "h", "box": {"paht": "x"}},
        ["There is no setting 'box.paht'. Did you mean 'box.path'?"],
    ),
]


@pytest.mark.parametrize(("config", "expected"), PROBLEMS)
def test_problems(config, expected) -> None:
    """Each problem is a sentence that names the setting, never its value."""
    assert expected == problems(config, SCHEMA)


def test_accept_raises_or_returns() -> None:
    """Strictly all problems are one error; otherwise they are returned."""
    assert len(accept({"x": 1}, SCHEMA, plugin="tap-x", strict=False)) == 2
    with pytest.raises(ConfigurationError, match=r"tap-x: .*'x'.*'host'.*--about"):
        accept({"x": 1}, SCHEMA, plugin="tap-x", strict=True)
    assert accept({"host": "h"}, SCHEMA, plugin="tap-x", strict=True) == []


@pytest.mark.parametrize(
    ("text", "number"), [("0.5", 0.5), ("30", 30), ("x", None), ("nan", None)]
)
def test_a_number_from_the_environment(text, number) -> None:
    """It comes as a text, and the SDK leaves it so; what is none is refused."""
    schema = {"properties": {"share": {"type": ["number", "null"]}}}
    config = {"share": text}
    found = accept(config, schema, plugin="tap-x", strict=False)
    assert config == {"share": text if number is None else number}
    assert found == ["Setting 'share' must be of type number."] * (number is None)
