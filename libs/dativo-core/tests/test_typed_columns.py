"""A source's columns get the table's types, or go the way of records."""

from __future__ import annotations

import json
import math
import struct
from datetime import date, datetime, time, timezone
from decimal import Decimal
from random import Random

import pyarrow as pa
import pytest
from dativo_core.arrow_types import FIELD_ID, file_schema
from dativo_core.typed_columns import recorded, typed

DAY = pa.date32()
MOMENT = pa.timestamp("us")
CLOCK = pa.time64("us")


def one(array, kind):
    """Return the values of a column in another type, and those that do not fit."""
    batch = pa.RecordBatch.from_arrays([array], names=["c"])
    rows, others = typed(batch, pa.schema([("c", kind)]))
    assert rows.schema.field("c").type == kind
    return rows.column(0).to_pylist(), None if others is None else others.num_rows


def of(numbers, kind):
    """Return a column of raw numbers."""
    width = pa.int32() if kind == DAY else pa.int64()
    return pa.array(numbers, width).view(kind)


@pytest.mark.parametrize(
    ("array", "kind", "good", "bad"),
    [
        (pa.array([1, None], pa.int16()), pa.int32(), [1, None], None),
        (pa.array(["1.50", None]), pa.decimal128(9, 3), [Decimal("1.500"), None], None),
        (
            pa.array(["1.5", "NaN", None]),
            pa.decimal128(9, 3),
            [Decimal("1.500"), None],
            1,
        ),
        (of([0, None], DAY), DAY, [date(1970, 1, 1), None], None),
        (of([0, -719163, 2932897, None], DAY), DAY, [date(1970, 1, 1), None], 2),
        (of([0, 2**62], MOMENT), MOMENT, [datetime(1970, 1, 1)], 1),  # noqa: DTZ001
        (of([0, 86_400_000_000], CLOCK), CLOCK, [time(0)], 1),
        (pa.array(["a"]), pa.string(), ["a"], None),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, pa.DataType) else "",
)
def test_what_fits_and_what_does_not(array, kind, good, bad) -> None:
    """Values beyond a column are taken out, nulls are not."""
    assert one(array, kind) == (good, bad)


def test_all_nan_are_one_nan() -> None:
    """A sign or a payload would make two tables of one, bit for bit."""
    odd = pa.array([0xFFF8000000000001], pa.uint64()).view(pa.float64())
    batch = pa.RecordBatch.from_arrays([odd], names=["c"])
    rows, _ = typed(batch, pa.schema([("c", pa.float64())]))
    usual = pa.array([float("nan")]).view(pa.uint64())
    assert rows.column(0).view(pa.uint64()) == usual


LISTS = [
    ("[1, null]", pa.int32(), [1, None]),
    ("[true]", pa.bool_(), [True]),
    ('["NaN", 1, -0.0]', pa.float64(), None),
    ('["1.5"]', pa.decimal128(5, 2), [Decimal("1.50")]),
    ('["AP8="]', pa.binary(), [b"\x00\xff"]),
    ('["2024-02-29"]', DAY, [date(2024, 2, 29)]),
    (
        '["2024-02-29T01:02:03+00:00"]',
        pa.timestamp("us", "UTC"),
        [datetime(2024, 2, 29, 1, 2, 3, tzinfo=timezone.utc)],
    ),
    ('["23:59:59"]', CLOCK, [time(23, 59, 59)]),
    ("[[1], []]", pa.list_(pa.int64()), [[1], []]),
]
UNFIT = [
    ("[[1]]", pa.int32()),
    ("[1.5]", pa.int32()),
    ("[true]", pa.int64()),
    ("[1]", pa.string()),
    ("1", pa.int32()),
    ('["NaN"]', pa.decimal128(5, 2)),
    ('["infinity"]', DAY),
    ('["24:00:00"]', CLOCK),
    ('["123456.7"]', pa.decimal128(5, 2)),
    ('[{"a": 1}]', pa.struct([("a", pa.int64())])),
]


@pytest.mark.parametrize(("text", "kind", "values"), LISTS)
def test_lists_come_as_json(text, kind, values) -> None:
    """Each in its own type, the others untouched."""
    found, bad = one(pa.array([text, None]), pa.list_(kind))
    assert (bad, found[1]) == (None, None)
    assert values is None or found[0] == values


@pytest.mark.parametrize(("text", "kind"), UNFIT)
def test_lists_that_fit_no_column(text, kind) -> None:
    """One of them costs one row, not the block."""
    found, bad = one(pa.array([text, None, "[null]"]), pa.list_(kind))
    assert (found, bad) == ([None, [None]], 1)


@pytest.mark.parametrize(("code", "kind"), [("d", pa.float64()), ("f", pa.float32())])
def test_lists_of_numbers_keep_every_bit(code, kind) -> None:
    """Whatever their exponent; zero keeps its sign."""
    random = Random(7)  # noqa: S311 the same numbers each time
    size = struct.calcsize(code)
    drawn = [struct.unpack(code, random.randbytes(size))[0] for _ in range(20_000)]
    numbers = [*filter(math.isfinite, drawn), -0.0, 5e-324 if code == "d" else 1e-45]
    found, bad = one(pa.array([json.dumps(numbers)]), pa.list_(kind))
    assert bad is None
    assert struct.pack(f"{len(numbers)}{code}", *found[0]) == struct.pack(
        f"{len(numbers)}{code}", *numbers
    )


def test_records_get_the_texts_of_postgres() -> None:
    """Also for what Python and Arrow have no words for."""
    epoch = 946_684_800_000_000
    days = of([-2147472692, -2147472691, -735160, 2932897, 0, None], DAY)
    micros = [
        -(2**63) + epoch - 1,
        -(2**63) + epoch,
        -62_198_755_200_000_000,
        1_500_000,
    ]
    assert recorded(days).to_pylist() == [
        "infinity",
        "-infinity",
        "0044-03-15 BC",
        "10000-01-01",
        "1970-01-01",
        None,
    ]
    moments = recorded(of(micros, MOMENT)).to_pylist()
    assert moments[:2] == ['"infinity"', '"-infinity"']
    assert moments[2:] == ['"0002-01-01T00:00:00 BC"', '"1970-01-01T00:00:01.5"']
    zoned = pa.array([0], pa.timestamp("us", "UTC"))
    assert recorded(zoned).to_pylist() == ['"1970-01-01T00:00:00+00:00"']
    clocks = of([86_400_000_000, 1, None], CLOCK)
    assert recorded(clocks).to_pylist() == ["24:00:00", "00:00:00.000001", None]
    assert recorded(pa.array([b"\xff", None])).to_pylist() == ["/w==", None]
    assert recorded(pa.array([1])).to_pylist() == [1]


def test_field_ids_are_those_of_a_new_table() -> None:
    """All columns first, then what is inside them."""
    integer = {"type": ["integer", "null"]}
    items = {"type": "array", "items": integer}
    part = {"type": "object", "properties": {"a": items, "b": integer}}
    schema = file_schema({"l": items, "o": part, "free": {}})
    ids = {field.name: field.metadata[FIELD_ID] for field in schema}
    assert ids == {"l": b"1", "o": b"2", "free": b"3"}
    assert schema.field("l").type.value_field.metadata[FIELD_ID] == b"4"
    inner = {field.name: field.metadata[FIELD_ID] for field in schema.field("o").type}
    assert inner == {"a": b"5", "b": b"6"}
    deepest = schema.field("o").type.field("a").type.value_field
    assert deepest.metadata[FIELD_ID] == b"7"


@pytest.mark.parametrize(
    ("wanted", "good", "bad"),
    [
        (pa.date32(), ["2024-02-29", "0001-01-01", None], ["0000-00-00", "0000-05-05"]),
        (
            pa.timestamp("us"),
            ["2024-02-29T00:00:00.5", "9999-12-31T23:59:59.999999"],
            ["2024-00-01T00:00:00", "0000-01-01T00:00:00"],
        ),
        (
            pa.timestamp("us", "UTC"),
            ["2024-02-29T00:00:00+00:00"],
            ["0000-00-00T00:00"],
        ),
        (pa.bool_(), ["true", "false", None], ["2"]),
        (pa.int32(), ["-2147483648", "7"], ["2147483648", "x"]),
    ],
)
def test_text_becomes_what_it_spells(wanted, good, bad):
    """One value that spells nothing costs its own row only, and keeps its text."""
    schema = pa.schema([pa.field("a", wanted)])

    whole, none = typed(pa.record_batch({"a": pa.array(good, pa.string())}), schema)
    assert none is None
    assert whole.num_rows == len(good)

    mixed = pa.array([value for pair in zip(good, bad, strict=False) for value in pair])
    rows, others = typed(pa.record_batch({"a": mixed}), schema)
    kept = min(len(good), len(bad))
    assert rows.column(0).equals(whole.column(0).slice(0, kept))
    assert others.column(0).to_pylist() == bad[:kept]
