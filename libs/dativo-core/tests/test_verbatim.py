"""A record that goes through a stream map alone has the bytes of one in a block."""

from __future__ import annotations

import json
import struct
from datetime import datetime, timezone

import pyarrow as pa
import pytest
from dativo_core import verbatim
from dativo_core.record_lines import Envelope, render
from hypothesis import example, given
from hypothesis import strategies as st
from singer_sdk.mapper import CustomStreamMap
from singer_sdk.singerlib import RecordMessage

NOW = datetime(2024, 2, 29, 12, tzinfo=timezone.utc)
TEXT = st.none() | st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from('"\\/\n\t\x00\x1f\x7f\u2028é😀')
)
DOUBLES = st.lists(st.integers(0, 2**64 - 1), min_size=1)
SINGLES = st.lists(st.integers(0, 2**32 - 1), min_size=1)


def block_of(batch, renderings, version=None):
    """Return the lines of a batch."""
    envelope = Envelope("s", NOW.isoformat(), version)
    return b"".join(bytes(block) for _, block in render(batch, renderings, envelope))


def mapped(block, version=None, **properties):
    """Send a block's records through a stream map, one by one."""
    stream_map = CustomStreamMap(
        stream_alias="s",
        map_config={},
        faker_config={},
        raw_schema={"type": "object", "properties": {}},
        key_properties=[],
        map_transform=properties,
        flattening_options=None,
    )
    found = []
    for record in verbatim.read_lines(memoryview(block)):
        result = stream_map.transform(dict(record))
        message = RecordMessage("s", result, version, NOW)
        found += [line.line for line in verbatim.lines([message], record)]
    return b"".join(found)


def as_floats(patterns, code):
    """Return numbers by their bits."""
    size = {"d": "Q", "f": "I"}[code]
    return [struct.unpack(code, struct.pack(size, bits))[0] for bits in patterns]


def bits_of(*values):
    """Return the bits of doubles."""
    return [struct.unpack("Q", struct.pack("d", value))[0] for value in values]


@given(DOUBLES)
@example(bits_of(-0.0, 5e-324, 2.2250738585072014e-308, 1e10, 1e16, 1e22, 1e23))
@example(bits_of(float("nan"), float("inf"), -float("inf"), 0.1, 1.0, 123456789.0))
def test_every_double_keeps_its_spelling(patterns):
    """Whatever its bits are."""
    batch = pa.record_batch([pa.array(as_floats(patterns, "d"))], names=["f"])
    block = block_of(batch, ["float"])

    assert mapped(block, f="f") == block


@given(SINGLES)
def test_every_float_of_32_bits_keeps_its_spelling(patterns):
    """Whatever its bits are."""
    values = pa.array(as_floats(patterns, "f"), pa.float32())
    block = block_of(pa.record_batch([values], names=["f"]), ["float"])

    assert mapped(block, f="f") == block


@given(
    st.lists(st.tuples(TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans())),
    st.none() | st.integers(0),
)
def test_text_integers_and_booleans_keep_theirs(rows, version):
    """Escapes, letters beyond ASCII, all 64 bits; names and version too."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 3
    types = [pa.string(), pa.int64(), pa.bool_()]
    arrays = [pa.array(*pair) for pair in zip(columns, types, strict=True)]
    batch = pa.record_batch(arrays, names=['té"xt', "n", "b"])
    block = block_of(batch, ["text", "json", "json"], version)

    assert mapped(block, version, n="n") == block


@pytest.mark.parametrize(
    "text",
    [
        "[1e+10, -0.0,1.10]",
        "[123456789012345678901234567890.5]",
        "1e400",
        '{"a" : "\\u00e9\\/", "b":[ ]}',
    ],
)
def test_what_a_source_spells_in_its_own_way_stays_so(text):
    """Lists come as the database prints them, objects as the API sends them."""
    block = block_of(pa.record_batch([pa.array([text])], names=["v"]), ["json"])

    assert mapped(block, v="v", w="1") == block.replace(b"},", b',"w":1},', 1)


def test_what_a_map_makes_is_written_as_json():
    """A new value, one under another name, and half a character."""
    line = b'{"record":{"a":"\xc3\xa9","b":1.50}}'

    found = mapped(line, a="a.upper()", c="b", d="[b]", e=r"'\ud83d'")

    assert found.startswith(
        b'{"type":"RECORD","stream":"s","record":'
        + '{"a":"É","b":1.50,"c":1.5,"d":[1.5],"e":"\\ud83d"},'.encode()
    )


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [("[v.append(True), v][1]", [1, True]), ("[v.pop(), v][1]", []), ("v", [1])],
)
def test_a_list_that_a_map_changes_in_place_is_written_anew(expression, wanted):
    """It is the same list, with other values."""
    line = b'{"record":{"v":[1]}}'

    assert json.loads(mapped(line, v=expression))["record"] == {"v": wanted}


def test_stream_and_time_and_version_are_those_of_the_message():
    """A map may send a record to another stream."""
    record = verbatim.read(b'{"a":1}')
    message = RecordMessage('t"é', {"a": 1}, 7, NOW)

    [line] = verbatim.lines([message], record)

    assert json.loads(line.line) == {
        "type": "RECORD",
        "stream": 't"é',
        "record": {"a": 1},
        "time_extracted": NOW.isoformat(),
        "version": 7,
    }
