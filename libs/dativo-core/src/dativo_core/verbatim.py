"""Records one by one, for stream maps: what a map leaves alone keeps its text.

A block of RECORD lines has each value as the source spells it. Here a record is read
from such text and written again, around the SDK's stream maps, with the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import marshal
import typing as t

import msgspec
from singer_sdk.singerlib import RecordMessage
from singer_sdk.singerlib.json import serialize_json

from dativo_core.record_lines import Envelope, label

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Record(dict[str, t.Any]):
    """A record that knows the text of its values."""

    texts: Mapping[str, msgspec.Raw]
    held: Mapping[str, bytes | None]
    """What lists and objects held when they were read."""


@dataclasses.dataclass(slots=True)
class Line(RecordMessage):
    """A RECORD message that is a line already."""

    line: bytes = b""


class _Message(msgspec.Struct, frozen=True):
    record: msgspec.Raw


_message = msgspec.json.Decoder(_Message)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(text: bytes | msgspec.Raw) -> Record:
    """Read a record from its JSON."""
    record = Record(json.loads(bytes(text)))
    record.texts = _fields.decode(text)
    record.held = {
        name: _content(value)
        for name, value in record.items()
        if isinstance(value, list | dict)
    }
    return record


def read_lines(block: memoryview) -> Iterator[Record]:
    """Read the records of RECORD lines."""
    for line in bytes(block).splitlines():
        yield read(_message.decode(line).record)


def lines(messages: Iterable[RecordMessage], record: Record) -> Iterator[Line]:
    """Yield what stream maps made of a record as lines."""
    for found in messages:
        envelope = Envelope(
            found.stream,
            found.time_extracted.isoformat() if found.time_extracted else "",
            found.version,
        )
        yield Line(
            found.stream,
            found.record,
            found.version,
            found.time_extracted,
            line=envelope.lines([_spell(found.record, record)]),
        )


def _spell(mapped: Mapping[str, t.Any], record: Record) -> bytes:
    fields = [
        label(name) + _text(name, value, record) for name, value in mapped.items()
    ]
    return b"{" + b",".join(fields) + b"}"


def _text(name: str, value: t.Any, record: Record) -> bytes:
    if name not in record or value is not record[name]:
        return _encode(value)
    if name in record.held and _content(value) != record.held[name]:
        return _encode(value)
    return bytes(record.texts[name])


def _content(value: t.Any) -> bytes | None:
    """Return what tells a list or an object from what a map may have made of it."""
    # Equality takes True for 1. Version 2 has no references, so equals give the same.
    try:
        return marshal.dumps(value, 2)
    except ValueError:
        return None


def _encode(value: t.Any) -> bytes:
    # JSON can escape half a character, UTF-8 cannot hold it.
    return serialize_json(value, ensure_ascii=False).encode(errors="backslashreplace")
