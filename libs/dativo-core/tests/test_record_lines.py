"""RECORD lines are the rows, whatever the values are."""

from __future__ import annotations

import json
import math
import struct

import pyarrow as pa
import pytest
from dativo_core import record_lines
from dativo_core.record_lines import Envelope, render
from hypothesis import given
from hypothesis import strategies as st

NOW = "2024-02-29T12:00:00+00:00"
TEXT = st.none() | st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n\t\x00\x1f\x7f😀')
)
BIG = st.none() | st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(
    st.tuples(TEXT, BIG, st.none() | st.floats(), st.none() | st.booleans(), TEXT)
)


def lines(batch, renderings, envelope=None):
    """Return the messages of a batch, decoded."""
    envelope = envelope or Envelope("s", NOW)
    found = [
        json.loads(line)
        for _, block in render(batch, renderings, envelope)
        for line in bytes(block).splitlines()
    ]
    assert len(found) == batch.num_rows
    return found


def as_sent(value):
    """Return a float as JSON carries it."""
    if value is None or math.isfinite(value):
        return value
    return (
        "NaN"
        if math.isnan(value)
        else {1: "Infinity", -1: "-Infinity"}[int(math.copysign(1, value))]
    )


@given(ROWS)
def test_every_line_decodes_to_its_row(rows):
    """Text, big integers, floats, booleans and nulls come back unchanged."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    types = [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.large_string()]
    batch = pa.record_batch(
        [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)],
        names=['té"xt', "n", "f", "b", "plain"],
    )

    found = lines(batch, ["text", "json", "float", "json", "text"])

    assert [message["record"] for message in found] == [
        {'té"xt': a, "n": b, "f": as_sent(c), "b": d, "plain": e}
        for a, b, c, d, e in rows
    ]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_floats_of_32_bits_round_trip(values):
    """A 32-bit float is printed as short as it can be, and comes back as itself."""
    batch = pa.record_batch([pa.array(values, pa.float32())], names=["f"])

    found = [message["record"]["f"] for message in lines(batch, ["float"])]

    assert [struct.pack("f", value) for value in found] == [
        struct.pack("f", value) for value in values
    ]


def test_negative_zero_and_short_floats_keep_their_form():
    """-0.0 keeps its sign and 0.1 of 32 bits is not 0.10000000149."""
    batch = pa.record_batch([pa.array([-0.0, 0.1], pa.float32())], names=["f"])
    block = b"".join(
        bytes(block) for _, block in render(batch, ["float"], Envelope("s", NOW))
    )

    assert b'{"f":-0.0}' in block
    assert b'{"f":0.1}' in block


def test_plain_and_json_columns_are_not_escaped():
    """JSON is embedded as it is, plain text gets quotes, nulls get none."""
    batch = pa.record_batch(
        [pa.array(["[1,2]", None]), pa.array(["a", None])], names=["j", "p"]
    )

    found = [message["record"] for message in lines(batch, ["json", "plain"])]

    assert found == [{"j": [1, 2], "p": "a"}, {"j": None, "p": None}]


def test_the_envelope_surrounds_each_record():
    """Stream, time and version are in every message."""
    batch = pa.record_batch([pa.array([1])], names=["n"])

    found = lines(batch, ["json"], Envelope('a"b', NOW, version=7))

    assert found == [
        {
            "type": "RECORD",
            "stream": 'a"b',
            "record": {"n": 1},
            "time_extracted": NOW,
            "version": 7,
        }
    ]


def test_a_record_without_columns_is_still_a_record():
    """A table may have no columns, yet it has rows."""
    batch = pa.RecordBatch.from_struct_array(pa.array([{}, {}], pa.struct([])))

    assert [message["record"] for message in lines(batch, [])] == [{}, {}]


def test_blocks_are_bounded(monkeypatch):
    """A batch is cut so that no block grows far beyond the limit."""
    monkeypatch.setattr(record_lines, "MAX_BLOCK_BYTES", 1_000)
    batch = pa.record_batch([pa.array(["x" * 50] * 100)], names=["t"])

    blocks = list(render(batch, ["text"], Envelope("s", NOW)))

    assert sum(rows for rows, _ in blocks) == 100
    assert max(len(block) for _, block in blocks) <= 1_000


@pytest.mark.parametrize("offset", [0, 3])
def test_slices_and_wide_strings_give_the_same_lines(monkeypatch, offset):
    """A batch may be a view of a larger one, and need 64-bit offsets."""
    monkeypatch.setattr(record_lines, "_WIDE_BYTES", 0)
    batch = pa.record_batch([pa.array([None, 'a"', "", "b", "c\n"])], names=["t"])

    found = [message["record"]["t"] for message in lines(batch[offset:], ["text"])]

    assert found == [None, 'a"', "", "b", "c\n"][offset:]
