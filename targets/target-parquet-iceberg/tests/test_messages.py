"""Lines become messages, whatever a tap writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_parquet_iceberg.messages import (
    ActivateVersion,
    Batch,
    Malformed,
    Record,
    Schema,
    State,
    parse,
    read,
)

RECORD = b'{"type":"RECORD","stream":"s","record":{"a":1}}'
BATCH = (
    b'{"type":"BATCH","stream":"s","encoding":{"format":"jsonl"},'
    b'"manifest":["file:///f"]}'
)

MESSAGES = [
    (RECORD, Record("s", b'{"a":1}', None, None)),
    (
        b'{"record": {"a": 1.10} , "time_extracted":"t", "version":3, "stream":"s",'
        b'"type":"RECORD","other":{}}\r\n',
        Record("s", b'{"a": 1.10}', 3, "t"),
    ),
    (
        '{"type":"RECORD","stream":"naïve 日本","record":{"ü":"é"}}'.encode(),
        Record("naïve 日本", '{"ü":"é"}'.encode(), None, None),
    ),
    (b'{"type":"RECORD","stream":"s","record":null}', Record("s", b"null", None, None)),
    (
        b'{"type":"SCHEMA","stream":"s","schema":{"x":1},"key_properties":["a"]}',
        Schema("s", {"x": 1}, ("a",)),
    ),
    (
        b'{"type":"SCHEMA","stream":"s","schema":{},"key_properties":null}',
        Schema("s", {}, ()),
    ),
    (b'{"type":"STATE","value":{"bookmarks":{}}}', State({"bookmarks": {}})),
    (b'{"type":"ACTIVATE_VERSION","stream":"s","version":7}', ActivateVersion("s", 7)),
    (BATCH, Batch("s", BATCH, {"format": "jsonl"}, ["file:///f"])),
]
MALFORMED = [
    b"{",
    b"[]",
    b"null",
    b"hello",
    b"{}",
    b'{"type":"NEWS"}',
    b'{"type":1}',
    b'{"type":"RECORD","record":{}}',
    b'{"type":"RECORD","stream":"s"}',
    b'{"type":"RECORD","stream":"s","record":{"a":NaN}}',
    b'{"type":"RECORD","stream":"s","record":{"a":1}',
    b'{"type":"RECORD","stream":"s","record":{}} {}',
    b'{"type":"RECORD","stream":"\xff","record":{}}',
    b'{"type":"SCHEMA","stream":"s"}',
    b'{"type":"SCHEMA","stream":"s","schema":true}',
    b'{"type":"STATE"}',
    b'{"type":"STATE","value":null}',
    b'{"type":"ACTIVATE_VERSION","stream":"s"}',
    b'{"type":"BATCH"}',
    b'{"type":"STATE","value":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize(("line", "message"), MESSAGES)
def test_message(line, message) -> None:
    """Every type of message is read, records as the bytes they came as."""
    assert message == parse(line)


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed(line) -> None:
    """What is no message is kept whole, with a reason, and raises nothing."""
    message = parse(line)
    assert isinstance(message, Malformed)
    assert line == message.line
    assert message.reason


def test_blank_lines_and_byte_order_mark_are_skipped() -> None:
    """Windows' additions do not count: BOM, CR LF, blank lines."""
    lines = [b"\xef\xbb\xbf" + RECORD + b"\r\n", b"\r\n", b"", b" \t\n", RECORD + b"\n"]
    assert [parse(RECORD)] * 2 == list(read(lines))


def test_byte_order_mark_inside_is_malformed() -> None:
    """Only the first line may start with one."""
    found = list(read([RECORD, b"\xef\xbb\xbf" + RECORD]))
    assert [Record, Malformed] == [type(message) for message in found]


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
def test_never_raises(line) -> None:
    """Random bytes are malformed, not fatal."""
    assert isinstance(parse(line), Malformed)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text()))
def test_record_bytes_are_untouched(record) -> None:
    """The record inside is the very text of the tap, spaces and escapes included."""
    text = json.dumps(record, indent=1).encode().replace(b"\n", b" ")
    line = b'{"type": "RECORD", "stream": "s", "record": ' + text + b"}"
    assert text == parse(line).raw
