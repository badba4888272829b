"""Blocks of records become columns; two lanes, one meaning."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
import typing as t
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_parquet_iceberg import values as values_module
from target_parquet_iceberg.decode import Decoder
from target_parquet_iceberg.schema import column, columns
from target_parquet_iceberg.values import Unfit, fit

UTC = timezone.utc
DECLARED: dict[str, dict[str, t.Any]] = {
    "boolean": {"type": "boolean"},
    "int": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer"},
    "wide": {"type": "integer", "minimum": 0, "maximum": 2**64 - 1},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number"},
    "cents": {"type": "number", "multipleOf": 0.01},
    "money": {"type": "string", "format": "singer.decimal", "precision": 9, "scale": 2},
    "share": {
        "type": "string",
        "format": "singer.decimal",
        "precision": 38,
        "scale": 38,
    },
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "moment": {"type": "string", "format": "date-time"},
    "wall": {"type": "string", "format": "date-time", "x-timezone": False},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "text": {"type": "string"},
    "json": {},
    "list": {"type": "array", "items": {"type": "integer"}},
    "struct": {"type": "object", "properties": {"a": {"type": "number"}, "b": {}}},
}
KINDS = {
    name: {**kind, "type": [kind["type"], "null"]} if kind else kind
    for name, kind in DECLARED.items()
}
TINY = "e-999999999999999999999"
DIGITS = st.text("0123456789", min_size=1, max_size=45)
NUMBERS = st.builds(
    lambda sign, whole, rest: sign + (whole.lstrip("0") or "0") + rest,
    st.sampled_from(["", "-"]),
    DIGITS,
    st.just("")
    | DIGITS.map(lambda d: f".{d}")
    | st.integers(-400, 400).map(lambda e: f"e{e}")
    | st.sampled_from([".0E-99", "e+2"]),
)
CLOCKS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "12", "12:30", "12:30:59", "23:59:60", "24:00:00", "1:2:3"]),
    st.sampled_from(["", ".5", ".123456", ".1234567", ".123456000", ",5", "."]),
    st.sampled_from(
        ["", "Z", "z", "+01", "-0130", "+01:30", " +01", "+24:00", "+1:75"]
    ),
)
DATES = st.sampled_from(
    [
        "2024-02-29",
        "2023-02-29",
        "0000-01-01",
        "0001-01-01",
        "9999-12-31",
        "0000-00-00",
        "10000-01-01",
        "-0001-01-01",
        "1582-10-10",
        "20240101",
        "2024-1-1",
        "infinity",
    ]
)
MOMENTS = st.builds("{}{}{}".format, DATES, st.sampled_from("T _"), CLOCKS)
STRINGS = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "inf", "1_000", " 1 ", "\u0661", "+.5"]
    )
    | st.sampled_from(["5.", "0x1", "", "null", "\0", "YQ==", "YQ=", "Y Q==", "YR=="])
    | NUMBERS
    | CLOCKS
    | DATES
    | MOMENTS
    | st.binary(max_size=5).map(lambda data: base64.b64encode(data).decode())
)
TOKENS = (
    NUMBERS
    | st.sampled_from(["null", "true", "false", "-0", "-0.0", "3.4028235677973366e38"])
    | st.sampled_from(["1e999999999999999999999", "-1e-999999999999999999999"])
    | STRINGS.map(json.dumps)
    | st.sampled_from(["[]", "[1, null]", '["x"]', "{}", '{"a": 1.10, "b": [1.10, 2]}'])
    | st.sampled_from(
        [
            '{"b": 123456789012345678901234567890}',
            '{"a": {}}',
            f'{{"a": 1{TINY}}}',
            f'{{"b": [0.50, 1{TINY}]}}',
            '"\\ud800"',
        ]
    )
)


def decode(kind: str, *tokens: str | bytes):
    """Decode a block with one column `c`, a record for every JSON token."""
    raw = [t.encode() if isinstance(t, str) else t for t in tokens]
    lines = [b'{"n": %d, "c": %b}' % (i, token) for i, token in enumerate(raw)]
    parts = {"n": {"type": "integer"}, "c": KINDS[kind]}
    return Decoder(columns({"properties": parts}), ["n"]).decode(lines)


def values(block) -> list[t.Any]:
    """Return the values of column `c`, bit for bit comparable."""
    return [bits(value) for value in block.rows["c"].to_pylist()]


def bits(value: t.Any) -> t.Any:
    """Return floats as their bits: NaN equals itself, -0.0 does not equal 0.0."""
    return struct.pack(">d", value) if isinstance(value, float) else value


@pytest.mark.parametrize("kind", KINDS)
@given(tokens=st.lists(TOKENS, min_size=1, max_size=5))
def test_lanes_agree(kind, tokens) -> None:
    """A record decodes the same alone, among others, and by the slow lane only."""
    together = decode(kind, *tokens)
    assert len(tokens) == together.rows.num_rows + len(together.rejects)
    found = dict(zip(together.rows["n"].to_pylist(), values(together), strict=True))
    for index, token in enumerate(tokens):
        for neighbour in (None, "{", "1e999999", '"\\ud800"', b'"\xff"'):
            alone = decode(
                kind, *([token] if neighbour is None else [token, neighbour])
            )
            kept = dict(zip(alone.rows["n"].to_pylist(), values(alone), strict=True))
            assert found.get(index, "rejected") == kept.get(0, "rejected")
    slow = Decoder([column('"', {}), column("c", KINDS[kind])], [])
    for index, token in enumerate(tokens):
        kept = values(slow.decode([b'{"c": %b}' % token.encode()]))
        assert ([found[index]] if index in found else []) == kept


@pytest.mark.parametrize(
    ("kind", "token"),
    [
        ("money", '"1e-231"'),
        ("money", '"12345678.9e37"'),
        ("cents", "7.0748102192685348547505725158897961e-7"),
        ("share", '"4"'),
    ],
)
def test_decimal_that_does_not_fit_is_rejected(kind, token) -> None:
    """Arrow's own cast makes zeros of small numbers, and wraps large ones."""
    assert decode(kind, token).rows.num_rows == 0


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | STRINGS
ANY = st.recursive(
    SCALARS | st.decimals(allow_nan=True),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner)
    ),
)


@pytest.mark.parametrize("kind", KINDS)
@given(value=ANY)
def test_fit_refuses_or_fits(kind, value) -> None:
    """No value raises anything but Unfit, and what fits is what Arrow takes."""
    arrow_type = column("c", KINDS[kind]).type
    try:
        fitted = fit(value, arrow_type)
    except Unfit:
        return
    assert len(pa.array([fitted], arrow_type)) == 1


EXACT = {
    "boolean": (st.booleans(), lambda v: v),
    "int": (st.integers(-(2**31), 2**31 - 1), lambda v: v),
    "long": (st.integers(-(2**63), 2**63 - 1), lambda v: v),
    "wide": (st.integers(0, 2**64 - 1), lambda v: v),
    "double": (st.floats(allow_nan=False, allow_infinity=False), lambda v: v),
    "float": (st.floats(width=32, allow_nan=False, allow_infinity=False), lambda v: v),
    "money": (st.decimals(-9999999, 9999999, places=2), str),
    "date": (st.dates(), str),
    "time": (st.times(), str),
    "moment": (st.datetimes(timezones=st.just(UTC)), datetime.isoformat),
    "wall": (st.datetimes(), datetime.isoformat),
    "binary": (st.binary(), lambda v: base64.b64encode(v).decode()),
    "text": (st.text(st.characters(exclude_categories=["Cs"])), lambda v: v),
    "list": (st.lists(st.integers(-(2**63), 2**63 - 1)), lambda v: v),
}


@pytest.mark.parametrize("kind", EXACT)
@given(data=st.data())
def test_values_survive(kind, data) -> None:
    """What the source holds is what the column holds, to the last bit."""
    strategy, sent = EXACT[kind]
    wanted = data.draw(st.lists(strategy, min_size=1, max_size=4))
    block = decode(kind, *(json.dumps(sent(value)) for value in wanted))
    assert block.rejects == ()
    assert [bits(value) for value in wanted] == values(block)


@given(st.lists(st.decimals(-(10**30), 10**30, places=2), min_size=1, max_size=4))
def test_json_numbers_keep_their_digits(numbers) -> None:
    """A decimal that travels as a JSON number does not go through a double."""
    assert numbers == values(decode("cents", *map(str, numbers)))


COERCED = [
    ("long", "1.0", 1),
    ("long", "1e3", 1000),
    ("long", "-0", 0),
    ("long", "0e999999999", 0),
    ("double", "0e410", 0.0),
    ("wide", "18446744073709551615", Decimal(2**64 - 1)),
    ("money", "1.5", Decimal("1.50")),
    ("money", "1e3", Decimal(1000)),
    ("money", '"1.' + "0" * 60 + '"', Decimal(1)),
    ("cents", "7", Decimal(7)),
    ("double", '"NaN"', math.nan),
    ("double", '"-Infinity"', -math.inf),
    ("double", "-0.0", -0.0),
    ("float", "0.1", 0.10000000149011612),
    ("date", '"2024-02-29T00:00:00"', date(2024, 2, 29)),
    ("date", '"2024-02-29 00:00:00Z"', date(2024, 2, 29)),
    ("time", '"12:30"', time(12, 30)),
    ("time", '"12:30:00.120000000"', time(12, 30, 0, 120000)),
    ("moment", '"2024-02-29 12:00:00"', datetime(2024, 2, 29, 12, tzinfo=UTC)),
    ("moment", '"2024-02-29"', datetime(2024, 2, 29, tzinfo=UTC)),
    ("moment", '"2024-02-29T01:00:00+02:00"', datetime(2024, 2, 28, 23, tzinfo=UTC)),
    ("moment", '"2024-02-29T01:00:00.1234560Z"', None),
    ("wall", '"2024-02-29"', datetime(2024, 2, 29)),  # noqa: DTZ001
    ("wall", '"2024-02-29T12"', datetime(2024, 2, 29, 12)),  # noqa: DTZ001
    ("moment", '"2024-02-29T12:00"', datetime(2024, 2, 29, 12, tzinfo=UTC)),
    ("moment", '"2024-02-29T12:00:00z"', datetime(2024, 2, 29, 12, tzinfo=UTC)),
    ("moment", '"2024-02-29T12:00:00,0Z"', datetime(2024, 2, 29, 12, tzinfo=UTC)),
    ("json", '{"a": [1.10, "x"]}', '{"a": [1.10, "x"]}'),
    ("json", '"null"', '"null"'),
    ("json", "null", None),
    ("struct", '{"a": "NaN", "b": 1.10}', None),
    ("struct", '{"b": 123456789012345678901234567890}', None),
    ("text", '"a\\u0000b"', "a\0b"),
]
REFUSED = [
    ("long", "1.5"),
    ("long", "9223372036854775808"),
    ("long", "true"),
    ("long", '"1"'),
    ("long", "1e999999999"),
    ("int", "2147483648"),
    ("boolean", "1"),
    ("text", "1"),
    ("double", "1e400"),
    ("double", '"nan"'),
    ("double", "true"),
    ("float", "1e39"),
    ("float", "3.4028235677973366e38"),
    ("money", '"0.001"'),
    ("money", '"99999999.99"'),
    ("money", '"NaN"'),
    ("money", '"1_0"'),
    ("money", "true"),
    ("cents", "0.001"),
    ("cents", '"1.50"'),
    ("cents", '"Infinity"'),
    ("cents", '"1_0"'),
    ("cents", "[]"),
    ("date", '"2023-02-29"'),
    ("date", '"0000-01-01"'),
    ("date", '"0000-00-00"'),
    ("date", '"2024-02-29T12:00:00"'),
    ("date", "20240229"),
    ("time", '"24:00:00"'),
    ("time", '"-01:00:00"'),
    ("time", '"838:59:59"'),
    ("moment", '"0001-01-01T00:00:00+01:00"'),
    ("moment", '"9999-12-31T23:00:00-02:00"'),
    ("moment", '"2024-02-29T12:00:00.1234567Z"'),
    ("moment", '"2024-02-29T12:00:00+25:00"'),
    ("wall", '"2024-02-29T12:00:00Z"'),
    ("binary", '"***"'),
    ("binary", "1"),
    ("list", "[1.5]"),
    ("list", "{}"),
    ("struct", "[]"),
    ("struct", '{"a": "x"}'),
]


@pytest.mark.parametrize(("kind", "token", "expected"), COERCED)
def test_coerced(kind, token, expected) -> None:
    """The table of coercions holds, and accepts what it names."""
    block = decode(kind, token)
    assert block.rejects == ()
    if expected is not None or token == "null":
        assert [bits(expected)] == values(block)


@pytest.mark.parametrize(("kind", "token"), REFUSED)
def test_refused(kind, token) -> None:
    """What would need rounding or guessing is refused, with path and reason."""
    block = decode(kind, "null", token, "null")
    (reject,) = block.rejects
    assert (reject.index, reject.stage) == (1, "cast")
    assert reject.path.split(".")[0] == "c"
    assert block.indices.to_pylist() == [0, 2]


# An example for every row of the table in `values`: the row, column, sent, stored.
TABLE = [
    ("any", "long", None, None),
    ("any with `enum` or `const`", "named", "null", None),
    ("integer", "long", "1e3", 1000),
    ("decimal of numbers", "cents", "1e-2", Decimal("0.01")),
    ("decimal of strings", "money", '"+1e3"', Decimal(1000)),
    ("float, double", "double", "0.1000000000000000055511151231257827", 0.1),
    ("float, double", "double", '"Infinity"', math.inf),
    ("date", "date", '"2024-03-01T01:00:00+01:00"', date(2024, 3, 1)),
    ("time, timestamp", "time", '"12:30"', time(12, 30)),
    ("time, timestamp", "wall", '"2024-02-29T12:00:00.1234560"', None),
    ("timestamp", "wall", '"2024-02-29"', datetime(2024, 2, 29)),  # noqa: DTZ001
    ("timestamp", "moment", '"2024-02-29 12:00:00 +00"', None),
    ("timestamp with zone", "moment", '"2024-02-29T12:00:00-0100"', None),
]


def test_table_of_coercions_is_complete() -> None:
    """Every row of the table that the documentation shows has its example here."""
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", values_module.__doc__, re.MULTILINE)
    assert [row for row, *_ in TABLE] == [row for row, _ in rows[1:]]


STORED = {
    '"2024-02-29T12:00:00.1234560"': datetime(2024, 2, 29, 12, 0, 0, 123456),  # noqa: DTZ001
    '"2024-02-29 12:00:00 +00"': datetime(2024, 2, 29, 12, tzinfo=UTC),
    '"2024-02-29T12:00:00-0100"': datetime(2024, 2, 29, 13, tzinfo=UTC),
}


@pytest.mark.parametrize(("row", "kind", "token", "stored"), TABLE)
def test_row_of_the_table_holds(row, kind, token, stored) -> None:
    """In both lanes, the example of a row is stored as it says."""
    assert row
    kinds = {**KINDS, "named": {"type": ["string", "null"], "enum": ["a"]}}
    for more in ({}, {'"': {}}):  # such a name takes the slow lane
        decoder = Decoder(columns({"properties": {"c": kinds[kind], **more}}), [])
        line = b"{}" if token is None else b'{"c": %b}' % token.encode()
        block = decoder.decode([line])
        assert block.rejects == ()
        assert [bits(STORED.get(token, stored))] == values(block)


BROKEN = [
    ({"type": "string"}, "null", "no null", "null"),
    ({"type": "integer"}, "null", "no null", "null"),
    ({"type": "number", "multipleOf": 0.01}, "null", "no null", "null"),
    ({"type": "object"}, "null", "no null", "null"),
    ({"type": "array", "items": {"type": "integer"}}, "null", "no null", "null"),
    ({"type": "string", "enum": ["a", "b"]}, '"c"', 'one of "a", "b"', "another value"),
    ({"type": "integer", "enum": [1, 2]}, "3", "one of 1, 2", "another value"),
    ({"type": "number", "enum": [1.5]}, "1.25", "one of 1.5", "another value"),
    ({"type": "boolean", "const": True}, "false", "one of true", "another value"),
    ({"enum": [1, "1"]}, "true", 'one of 1, "1"', "another value"),
    ({"type": "string", "format": "uuid"}, '"x"', "string in format uuid", None),
    ({"type": "string", "format": "ipv4"}, '"1.2.3"', "string in format ipv4", None),
    ({"type": "string", "format": "ipv6"}, '"1"', "string in format ipv6", None),
    ({"type": "string", "format": "email"}, '"x"', "string in format email", None),
    ({"type": ["object", "array"]}, '"x"', "array or object", "str"),
    ({"type": ["integer", "string"]}, "1.5", "integer or string", "Decimal"),
    ({"type": "object"}, "[1]", "object", "list"),
    (
        {"anyOf": [{"type": "integer", "enum": [1]}, {"type": "boolean"}]},
        "2",
        "what one of 2 alternatives takes",
        "int",
    ),
]


@pytest.mark.parametrize(("kind", "token", "expected", "found"), BROKEN)
def test_broken_rule_is_a_reject_in_both_lanes(kind, token, expected, found) -> None:
    """What the SCHEMA forbids falls out at stage schema, and never shows its value."""
    for more in ({}, {'"': {}}):
        decoder = Decoder(columns({"properties": {"c": kind, **more}}), [])
        line = b'{"c": %b}' % token.encode()
        (reject,) = decoder.decode([line]).rejects
        assert (reject.stage, reject.path) == ("schema", "c")
        assert (expected, found or "another str") == (reject.expected, reject.found)
        assert decoder.decode([b"{}"]).rejects == ()
        free = columns({"properties": {"c": kind, **more}}, validate=False)
        assert Decoder(free, []).decode([line]).rejects == ()


NESTED = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": {"type": ["integer", "null"], "enum": [1, None]},
        "l": {"type": "array", "items": {"type": "string", "format": "uuid"}},
    },
}


@pytest.mark.parametrize(
    ("token", "path"),
    [("{}", "c.a"), ('{"a": 2}', "c.a"), ('{"a": 1, "l": ["x"]}', "c.l.0")],
)
def test_rules_hold_inside(token, path) -> None:
    """Nested fields are checked like others, and found by their path."""
    decoder = Decoder(columns({"properties": {"c": NESTED}}), [])
    (reject,) = decoder.decode([b'{"c": %b}' % token.encode()]).rejects
    assert ("schema", path) == (reject.stage, reject.path)


@pytest.mark.parametrize("names", [["c"], ["c", '"']])
def test_required_field_must_be_there(names) -> None:
    """Absent is not null; also where no column is there for the field."""
    parts = {name: {"type": ["integer", "null"]} for name in names}
    decoder = Decoder(
        columns({"properties": parts, "required": ["c"]}), [], also_required=["x"]
    )
    lines = [b'{"c": null, "x": 1}', b'{"x": 1}', b'{"c": 1}']
    block = decoder.decode(lines)
    assert block.indices.to_pylist() == [0]
    assert [reject.path for reject in block.rejects] == ["c", "x"]


@pytest.mark.parametrize("names", [["c"], ["c", '"']])
def test_undeclared_fields_are_counted(names) -> None:
    """Each by its name, in both lanes and inside objects; none costs a record."""
    inner = {"type": "object", "properties": {"a": {"type": "integer"}}}
    parts = {**{name: {"type": ["integer", "null"]} for name in names}, "o": inner}
    decoder = Decoder(columns({"properties": parts}), [])
    lines = [
        b'{"c": 1}',
        b'{"c": 2, "x": 1, "y": null}',
        b'{"c": 3.0, "x": 1, "o": {"a": 1, "z": 1}}',
        b'{"c": 4, "o": {"z": 1}}',
    ]
    for _ in range(2):
        block = decoder.decode(lines)
        assert values(block) == [1, 2, 3, 4]
        assert {k: v for k, v in block.undeclared.items() if v} == {
            "x": 2,
            "y": 1,
            "o.z": 2,
        }


def test_many_undeclared_fields_are_counted_too() -> None:
    """More names than the fast lane learns, and names that it cannot have."""
    decoder = Decoder([column("c", KINDS["long"])], [])
    lines = [b'{"c": 1, "x%d": 1}' % number for number in range(100)]
    block = decoder.decode([*lines, b'{"c": 1, "\\"": 1}'])
    assert block.rows.num_rows == 101
    assert sum(block.undeclared.values()) == 101


def test_closed_schema_refuses_undeclared_fields() -> None:
    """With additionalProperties false, another field is a reject that names it."""
    decoder = Decoder([column("c", KINDS["long"])], [], is_closed=True)
    (reject,) = decoder.decode([b'{"c": 1}', b'{"c": 1, "x": 1}']).rejects
    assert (reject.index, reject.stage, reject.path) == (1, "schema", "x")


def test_nested_reject_names_the_inner_path() -> None:
    """A bad value deep inside is found by its path and its own type."""
    (reject,) = decode("struct", '{"a": "x"}').rejects
    assert (reject.path, reject.expected, reject.found) == ("c.a", "number", "str")
    (reject,) = decode("list", '[1, "x"]').rejects
    assert (
        reject.path,
        reject.expected,
        reject.found,
    ) == ("c.1", "integer of 64 bits", "str")


@given(st.lists(st.sampled_from(["1", "2.0", '"x"', "null", "{", "1.5"]), max_size=30))
def test_one_bad_record_costs_one_reject(tokens) -> None:
    """Good records keep their order, and every other one is a reject of its own."""
    block = decode("long", *tokens)
    good = {"1": 1, "2.0": 2, "null": None}
    assert [good[token] for token in tokens if token in good] == values(block)
    bad = [index for index, token in enumerate(tokens) if token not in good]
    assert bad == [reject.index for reject in block.rejects]


@pytest.mark.parametrize(
    "line", [b"null", b"[]", b"1", b"", b"{", b'{"a": NaN}', b"\xff"]
)
def test_no_object_is_a_parse_reject(line) -> None:
    """What is no JSON object falls out at stage parse."""
    (reject,) = Decoder([column("a", KINDS["double"])], []).decode([line]).rejects
    assert reject.stage == "parse"


def test_null_keys_are_rejects_even_in_the_slow_lane() -> None:
    """A record without a key, or with null for it, is a reject of stage key."""
    parts = {"a": {"type": "integer"}, "b": {"type": "integer"}}
    decoder = Decoder(columns({"properties": parts}), ["a", "b"])
    lines = [b'{"a":1,"b":1}', b'{"b":1}', b'{"a":1.0,"b":null}', b"{}"]
    block = decoder.decode(lines)
    assert block.indices.to_pylist() == [0]
    found = [(r.index, r.stage, r.path) for r in block.rejects]
    assert found == [(1, "key", "a"), (2, "key", "b"), (3, "key", "a")]


NAMES = [
    '"',
    "\\",
    "a b",
    "a.b",
    "é",
    "日本",
    "",
    " ",
    "a\0b",
    "\n",
    "class",
    "f0",
    "__x",
]


@pytest.mark.parametrize("name", NAMES)
def test_column_names_are_free(name) -> None:
    """Any name finds its value, also where JSON writes it with escapes."""
    decoder = Decoder(
        [column("f1", {"type": "string"}), column(name, KINDS["long"])], []
    )
    lines = [
        json.dumps({name: 1}).encode(),
        json.dumps({name: 2}, ensure_ascii=False).encode(),
        b"".join([b'{"', *(b"\\u%04x" % ord(c) for c in name), b'": 3}']),
    ]
    assert decoder.decode(lines).rows[name].to_pylist() == [1, 2, 3]


def test_last_of_duplicate_keys_wins_in_both_lanes() -> None:
    """Twice the same key in a record: the last one counts, good or bad."""
    for kind, token in (("long", "2"), ("json", "2")):
        decoder = Decoder([column("c", KINDS[kind])], [])
        rows = decoder.decode([b'{"c": 1, "c": 2}', b'{"c": "x", "c": 2}']).rows
        assert [token, token] == list(map(str, rows["c"].to_pylist()))


def test_bad_utf8_in_free_json_costs_one_record() -> None:
    """One broken string in a free-form column does not refuse the whole block."""
    block = decode("json", b'{"x": 1}', b'"\xff"', b"2")
    assert values(block) == ['{"x": 1}', "2"]
    assert [reject.index for reject in block.rejects] == [1]


def test_five_thousand_columns() -> None:
    """A very wide stream works."""
    names = [f"column_{number}" for number in range(5000)]
    decoder = Decoder([column(name, KINDS["long"]) for name in names], [])
    line = json.dumps(dict.fromkeys(names, 7)).encode()
    assert sum(decoder.decode([line]).rows.to_pylist()[0].values()) == 5000 * 7


def test_ten_megabytes_of_text() -> None:
    """One huge value survives."""
    text = "é\0" * 5_000_000
    assert [text] == values(decode("text", json.dumps(text)))


def test_deep_nesting_is_no_crash() -> None:
    """Ten thousand brackets are kept as text or refused, never fatal."""
    deep = "[" * 10_000 + "]" * 10_000
    for kind in ("json", "list", "text"):
        block = decode(kind, deep, "null")
        assert block.rows.num_rows + len(block.rejects) == 2


@given(st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23)))
def test_offsets(offset) -> None:
    """A zone moves the moment, by the minute."""
    minutes = int(offset.total_seconds() // 60)
    zone = timezone(timedelta(minutes=minutes))
    moment = datetime(2024, 2, 29, 12, tzinfo=zone)
    for text in (moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S%z}"):
        assert [moment] == values(decode("moment", json.dumps(text)))
