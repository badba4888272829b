"""Many records at once: what the fast lane takes, it decodes as the exact lane does."""

from __future__ import annotations

import json
import struct
import typing as t

import pytest
from dativo_core.scratch import Scratch
from hypothesis import given
from hypothesis import strategies as st
from target_parquet_iceberg.decode import Decoder
from target_parquet_iceberg.fast_lane import FastLane
from target_parquet_iceberg.intake import StreamIntake
from target_parquet_iceberg.messages import Record, Schema
from target_parquet_iceberg.plan import plan
from target_parquet_iceberg.runs import Run
from target_parquet_iceberg.schema import columns
from target_parquet_iceberg.settings import with_defaults

NUMBER = {"type": "number"}
# Exponents that no Decimal has.
TINY, HUGE = "e-999999999999999999999", "e+999999999999999999999"

# JSON Schema of a value, and JSON that it takes in one notation or another.
LEAVES: list[tuple[dict[str, t.Any], list[str]]] = [
    ({"type": "boolean"}, ["true", "false"]),
    ({"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}, ["7", "-1"]),
    ({"type": "integer"}, ["9007199254740993", "-9223372036854775808", "1.0"]),
    ({"type": "integer", "minimum": 0, "maximum": 2**64 - 1}, ["18446744073709551615"]),
    ({"type": "number", "format": "float"}, ["0.1", "3", "16777217"]),
    ({"type": "number"}, ["0.1", "-0.0", "1e300", '"NaN"', '"-Infinity"', "12e-1"]),
    ({"type": "number"}, [f"1{TINY}", f"-12.5{TINY}", f"0{HUGE}", f"-0.0{HUGE}"]),
    ({"type": "number", "multipleOf": 0.01}, ["1.10", "12", "0.5", "1e-2"]),
    (
        {"type": "string", "format": "singer.decimal", "precision": 9, "scale": 2},
        ['"1.10"', '"-1234567.89"', '"0"', "1.5", '"+1e3"'],
    ),
    (
        {"type": "string", "format": "singer.decimal", "precision": 38, "scale": 30},
        ['"0.000000000000000000000000000001"', '"-12345678"'],
    ),
    ({"type": "string", "format": "date"}, ['"2024-02-29"', '"2024-02-29T00:00:00Z"']),
    ({"type": "string", "format": "time"}, ['"12:30:59.5"', '"12:30"']),
    (
        {"type": "string", "format": "date-time"},
        ['"2024-02-29T12:30:00.123456+01:30"', '"2024-02-29"', '"2024-02-29T00:00Z"'],
    ),
    ({"type": "string", "format": "date-time", "x-timezone": False}, ['"2024-02-29"']),
    ({"type": "string", "contentEncoding": "base64"}, ['"YQ=="', '""']),
    ({"type": "string"}, ['"a"', '"\\u00e9\\n"', '""', '"null"']),
    ({"type": "string", "enum": ["a", "b"]}, ['"a"', '"b"']),
    ({"type": "string", "format": "uuid"}, [f'"{"ab" * 4}-abcd-abcd-abcd-{"a" * 12}"']),
    ({"type": "integer", "enum": [1, 2]}, ["1", "2"]),
    ({}, ['{"a": 1.10}', "[1, null]", '"x"', "1e2", "123456789012345678901234567890"]),
]
ODD = [
    *("null", "true", "1", "1.5", '"1.5"', '"a"', "[]", "{}", '{"z": 1}', "[null]"),
    *(f"1{TINY}", f"0{HUGE}", f"1{HUGE}"),
    *('"2024-13-01"', "1e999", "340282356779733661637539395458142568448", '"\\ud800"'),
]


class Case(t.NamedTuple):
    """A schema, and a strategy of JSON texts, most of which it takes."""

    schema: dict[str, t.Any]
    texts: st.SearchStrategy[str]


@st.composite
def cases(draw: st.DrawFn, depth: int = 2) -> Case:
    """Draw a schema, nested or not, with its values."""
    kinds = ["leaf", "leaf", *(["object", "array"] if depth else [])]
    kind = draw(st.sampled_from(kinds))
    case = {"leaf": leaf, "object": an_object, "array": an_array}[kind](draw, depth - 1)
    schema, texts = case
    if "type" in schema and draw(st.booleans()):
        enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        schema = {**schema, **enum, "type": [schema["type"], "null"]}
        texts |= st.just("null")
    return Case(schema, texts)


def leaf(draw: st.DrawFn, _depth: int) -> Case:
    """Draw a value without parts."""
    schema, texts = draw(st.sampled_from(LEAVES))
    return Case(schema, st.sampled_from(texts))


def an_array(draw: st.DrawFn, depth: int) -> Case:
    """Draw a list of values of one kind."""
    inner = draw(cases(depth))
    texts = st.lists(inner.texts, max_size=3).map(lambda them: f"[{','.join(them)}]")
    return Case({"type": "array", "items": inner.schema}, texts)


def an_object(draw: st.DrawFn, depth: int) -> Case:
    """Draw an object, closed or not, some of its fields required."""
    inner = {name: draw(cases(depth)) for name in draw(st.sets(NAMES, min_size=1))}
    needed = draw(st.sets(st.sampled_from(sorted(inner))))
    schema = {
        "type": "object",
        "properties": {name: case.schema for name, case in inner.items()},
        "required": sorted(needed),
        "additionalProperties": draw(st.booleans()),
    }
    given_fields = {name: case.texts for name, case in inner.items() if name in needed}
    others = {name: case.texts for name, case in inner.items() if name not in needed}
    texts = st.fixed_dictionaries(given_fields, optional=others)
    return Case(schema, texts.map(spelled))


NAMES = st.sampled_from(["a", "b", "ü c"])


def spelled(fields: dict[str, str]) -> str:
    """Write an object of JSON texts."""
    return f"{{{', '.join(f'{json.dumps(k)}:{v}' for k, v in fields.items())}}}"


@st.composite
def blocks(draw: st.DrawFn) -> tuple[dict[str, t.Any], list[str]]:
    """Draw the schema of a stream with a key, and records, one of them odd or none."""
    inner = {name: draw(cases()) for name in draw(st.sets(NAMES, min_size=1))}
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            **{name: case.schema for name, case in inner.items()},
        },
        "required": draw(st.sampled_from([[], ["id"], sorted(inner)])),
        "additionalProperties": draw(st.booleans()),
    }
    texts = {name: case.texts for name, case in inner.items()}
    rows = draw(st.lists(st.fixed_dictionaries(texts), min_size=1, max_size=4))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(rows) - 1))
        rows[place][draw(st.sampled_from([*inner, "z"]))] = draw(st.sampled_from(ODD))
    lines = [spelled({"id": str(number), **row}) for number, row in enumerate(rows)]
    return schema, lines


def lane(schema: dict[str, t.Any]) -> tuple[FastLane, Decoder]:
    """Return both lanes of a stream."""
    planned = plan(Schema("s", schema, ("id",)), with_defaults({}))
    intake = StreamIntake(planned, Scratch())
    return intake._lane, intake._decoder


def run_of(*records: str | bytes, version: str = "") -> Run:
    """Return records as lines of a stream `s`."""
    raw = [r.encode() if isinstance(r, str) else r for r in records]
    end = version.encode()
    lines = [b'{"type":"RECORD","stream":"s","record":%b%b}\n' % (r, end) for r in raw]
    return Run("s", b"".join(lines), len(lines))


def bits(value: t.Any) -> t.Any:
    """Return floats as their bits, wherever they are."""
    if isinstance(value, dict):
        return {name: bits(part) for name, part in value.items()}
    if isinstance(value, list):
        return [bits(part) for part in value]
    return struct.pack(">d", value) if isinstance(value, float) else value


@given(block=blocks())
def test_what_the_fast_lane_takes_is_what_the_exact_lane_makes(block) -> None:
    """Bit for bit the same rows, no reject, the same undeclared fields."""
    schema, lines = block
    fast, decoder = lane(schema)
    parsed = fast.run(run_of(*lines))
    one_by_one = fast.records([Record("s", x.encode(), None, None) for x in lines])
    assert (parsed is None) == (one_by_one is None)
    if parsed is None:
        return
    found, again = fast.table([parsed]), fast.table([one_by_one])
    if found is None:
        return
    exact = decoder.decode([line.encode() for line in lines])
    assert exact.rejects == ()
    assert exact.rows.schema == found.schema
    assert found.validate(full=True) is None
    expected = [bits(row) for row in exact.rows.to_pylist()]
    assert expected == [bits(row) for row in found.to_pylist()]
    assert expected == [bits(row) for row in again.to_pylist()]
    assert +exact_counts(exact) == +exact_counts(parsed)


def an_object_of(schema):
    """Return the schema of an object with one field."""
    return {"type": "object", "properties": {"x": schema}}


def a_list_of(schema):
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


@pytest.mark.parametrize(
    ("token", "stored"),
    [
        ("1e-400", 0.0),
        (f"1{TINY}", 0.0),
        (f"-12.5{TINY}", -0.0),
        (f"0{HUGE}", 0.0),
        (f"-0.0{HUGE}", -0.0),
        ("1e400", None),
        (f"1{HUGE}", None),
        (f"-1{HUGE}", None),
    ],
)
@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (NUMBER, "%s"),
        (an_object_of(NUMBER), '{"x": %s}'),
        (a_list_of(NUMBER), "[%s]"),
        (a_list_of(an_object_of(a_list_of(NUMBER))), '[{"x": [%s]}]'),
    ],
)
def test_a_double_beyond_any_decimal_is_the_same_in_both_lanes(
    token, stored, schema, text
) -> None:
    """The nearest double, wherever it is, or a dead letter that names its place."""
    fast, decoder = lane({"properties": {"id": {"type": "integer"}, "a": schema}})
    line = f'{{"id": 1, "a": {text % token}}}'

    parsed = fast.run(run_of(line))
    table = None if parsed is None else fast.table([parsed])
    exact = decoder.decode([line.encode()])

    if stored is None:
        assert table is None
        [reject] = exact.rejects
        assert (reject.stage, reject.found) == ("cast", "Decimal")
        assert reject.path.startswith("a")
        return
    assert exact.rejects == ()
    assert bits(table["a"].to_pylist()) == bits(exact.rows["a"].to_pylist())
    assert bits(innermost(exact.rows["a"][0].as_py())) == bits(stored)


def innermost(value: t.Any) -> t.Any:
    """Return what lists and objects hold in the end."""
    while isinstance(value, list | dict):
        [value] = value.values() if isinstance(value, dict) else value
    return value


@pytest.mark.parametrize("token", [f"1{TINY}", f"-1.50{TINY}", f"0{HUGE}", f"1{HUGE}"])
def test_free_json_keeps_exponents_that_no_decimal_has(token) -> None:
    """Digit for digit, beside other numbers."""
    schema = an_object_of({})
    fast, decoder = lane({"properties": {"id": {"type": "integer"}, "a": schema}})
    line = f'{{"id": 1, "a": {{"x": [{token}, 1.10]}}}}'

    assert fast.run(run_of(line)) is None
    exact = decoder.decode([line.encode()])

    assert exact.rows["a"].to_pylist() == [{"x": f"[{token},1.10]"}]


@pytest.mark.parametrize("token", [f"1{TINY}", f"1{HUGE}"])
def test_no_decimal_is_made_of_an_exponent_that_none_has(token) -> None:
    """It would be rounded, or have no end."""
    schema = an_object_of({"type": "number", "multipleOf": 0.01})
    fast, decoder = lane({"properties": {"id": {"type": "integer"}, "a": schema}})
    line = f'{{"id": 1, "a": {{"x": {token}}}}}'

    assert fast.run(run_of(line)) is None
    [reject] = decoder.decode([line.encode()]).rejects

    assert (reject.stage, reject.path) == ("cast", "a.x")
    assert reject.expected == "decimal(38, 2)"


def exact_counts(block: t.Any) -> t.Counter[str]:
    """Return what was not declared, counted."""
    return t.Counter(block.undeclared)


@pytest.mark.parametrize(("schema", "texts"), LEAVES)
@pytest.mark.parametrize("is_nested", [False, True])
def test_faultless_records_are_taken(schema, texts, is_nested) -> None:
    """The fast lane is no lane for nobody: what is as declared, it decodes."""
    inner = {"type": "object", "properties": {"x": {"type": "array", "items": schema}}}
    text = f'{{"x": [{texts[0]}]}}' if is_nested else texts[0]
    fast, _ = lane({"properties": {"id": {}, "a": inner if is_nested else schema}})
    parsed = fast.run(run_of(*[f'{{"id": 1, "a": {text}}}'] * 3))
    if is_nested and not schema:  # a list of anything is text
        return
    assert parsed is not None
    assert fast.table([parsed]).num_rows == 3


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"RECORD","stream":"s","record":{"id":1}}{"type":"RECORD",'
        b'"stream":"s","record":{"id":1}}\n',
        b'{"type":"RECORD","stream":"s","record":{"id":1},"type":"STATE"}\n',
        b'{"type":"RECORD","stream":"s","record":{"id":1},"stream":"t"}\n',
        b'{"type":"RECORD","stream":"s","record":{"id":1},"version":"x"}\n',
        b'{"type":"RECORD","stream":"s","record":{"id":1},"value":1}\n',
        b'{"type":"RECORD","stream":"s","record":{"id":null}}\n',
        b'{"type":"RECORD","stream":"s","record":null}\n',
        b'{"type":"RECORD","stream":"s"}\n',
        b'{"type":"RECORD","stream":"s","record":{"id":1}} }\n',
    ],
)
def test_run_with_anything_else_is_left(text) -> None:
    """Two values on one line, another type at its end, a null key: not for it."""
    fast, _ = lane({"properties": {"id": {"type": "integer"}}})
    assert fast.run(run_of('{"id": 1}')) is not None
    assert fast.run(Run("s", run_of('{"id": 1}').text + text, 2)) is None


def test_run_of_two_versions_is_left() -> None:
    """Where a full load begins, rows before it may have to go."""
    fast, _ = lane({"properties": {"id": {"type": "integer"}}})
    first = run_of('{"id": 1}', version=',"version":1')
    other = run_of('{"id": 1}', version=',"version":2')
    assert fast.run(first).version == 1
    assert fast.run(Run("s", first.text + other.text, 2)) is None


def test_undeclared_fields_are_learned_from_the_exact_lane() -> None:
    """They cost the fast lane one block, and are counted in all that follow."""
    fast, decoder = lane({"properties": {"id": {"type": "integer"}}})
    run = run_of('{"id": 1, "new": [1]}', '{"id": 2}')
    assert fast.run(run) is None
    decoder.decode([b'{"id": 1, "new": [1]}'])
    assert dict(fast.run(run).undeclared) == {"new": 1}


def test_decoder_and_fast_lane_name_columns_alike() -> None:
    """A name that msgspec cannot take leaves all to the exact lane."""
    decoder = Decoder(columns({"properties": {'"': {}}}), [])
    assert FastLane("s", decoder).run(run_of('{"\\"": 1}')) is None
