"""Stream maps and flattening change what they are told to, and nothing else."""

from __future__ import annotations

import json

import pytest

NUMBERS = (
    b'{"type":"RECORD","stream":"s","record":{"id":1,"c":12345678901234567890.12,'
    b'"j":{"a":[1.10,123456789012345678901234567890]},"f":1e3}}'
)
SAME = {"stream_maps": {"s": {"id": "id"}}}
FLAT = {"flattening_enabled": True, "flattening_max_depth": 0}


def schema(say):
    """Return a schema with exact, free-form and floating parts."""
    cents = {"type": ["number", "null"], "multipleOf": 0.01}
    return say.schema("s", ("id",), id="integer", c=cents, j={}, f="number")


@pytest.mark.parametrize("how", [{}, SAME, FLAT])
def test_values_are_the_same_with_and_without_maps(lake, say, how) -> None:
    """Decimals and huge integers keep their digits on the way through the SDK."""
    assert lake.load(schema(say), NUMBERS, **how).code == 0
    ((cents, text, number),) = lake.query("SELECT c::VARCHAR, j, f FROM lake.s")
    assert (cents, number) == ("12345678901234567890.12", 1000.0)
    expected = '{"a":[1.10,123456789012345678901234567890]}'
    assert expected == text.replace(" ", "")


def test_alias_copy_and_removal(lake, say) -> None:
    """Streams are renamed, copied and dropped, with versions and schemas."""
    maps = {
        "s": {"__alias__": "t", "id": "id", "double": "int(id * 2)"},
        "copy": {"__source__": "s", "id": "id"},
        "gone": None,
    }
    lines = [say.schema("s", id="integer"), say.schema("gone", ("id",), id="integer")]
    lines += [say.record("s", 1, id=2), say.record("gone", id=1), say.activate("s", 1)]
    outcome = lake.load(*lines, say.activate("other", 1), stream_maps=maps)
    assert outcome.code == 0
    assert lake.query("SELECT id, double FROM lake.t") == [(2, 4)]
    assert lake.query("SELECT id FROM lake.copy") == [(2,)]
    assert lake.dead() == []


def test_bad_records_are_dead_letters_with_maps_too(lake, say) -> None:
    """What the mapper cannot read is refused later, not fatal and not lost."""
    lines = [
        say.schema("s", ("id",), id="integer"),
        say.record("unknown", id=1),
        b'{"type":"RECORD","stream":"s","record":[1]}',
        b'{"type":"RECORD","stream":"s","record":{"id":"\xff"}}',
        say.record("s", id=1),
    ]
    assert lake.load(*lines, **SAME).code == 0
    found = sorted((letter["stream"], letter["stage"]) for letter in lake.dead())
    assert found == [("s", "parse"), ("s", "parse"), ("unknown", "schema")]


def test_failing_expression_is_a_configuration_error(lake, say) -> None:
    """An expression that fails on a record names the stream and the fault."""
    maps = {"s": {"id": "id", "x": "id.upper()"}}
    outcome = lake.load(
        say.schema("s", ("id",), id="integer"), say.record("s", id=1), stream_maps=maps
    )
    assert (outcome.code, len(outcome.errors)) == (78, 1)
    assert "Stream 's': a stream map failed" in outcome.errors[0]


def test_flattening(lake, say) -> None:
    """Objects become columns."""
    inner = {"type": "object", "properties": {"a": {"type": "integer"}}}
    lines = [say.schema("s", ("id",), id="integer", o=inner)]
    lines += [say.record("s", id=1, o={"a": 7})]
    assert lake.load(*lines, flattening_enabled=True, flattening_max_depth=1).code == 0
    assert lake.query("SELECT o__a FROM lake.s") == [(7,)]


def test_schema_may_come_again_with_maps(lake, say) -> None:
    """A second SCHEMA of a mapped stream replaces the first."""
    lines = [say.schema("s", ("id",), id="integer"), say.record("s", id=1)]
    lines += [say.schema("s", ("id",), id="integer", v="string")]
    lines += [json.dumps(say.record("s", id=2, v="x")).encode()]
    assert lake.load(*lines, stream_maps={"s": {"id": "id + 0"}}).code == 0
    assert lake.query("SELECT id FROM lake.s ORDER BY id") == [(1,), (2,)]
