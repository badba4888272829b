"""Split Singer lines into messages without parsing the records inside."""

from __future__ import annotations

import codecs
import typing as t
from dataclasses import dataclass, replace

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json: t.TypeAlias = dict[str, t.Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """The shape that the following records of a stream have."""

    stream: str
    schema: Json
    key_properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One record, still as the bytes of its JSON object."""

    stream: str
    raw: bytes
    version: int | None
    time_extracted: str | None


@dataclass(frozen=True, slots=True)
class State:
    """A bookmark that covers every record before it."""

    value: Json


@dataclass(frozen=True, slots=True)
class ActivateVersion:
    """From a tap that finished a full load: rows of older versions are gone."""

    stream: str
    version: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that hold the records of a stream: nothing of it is checked yet."""

    stream: str
    raw: bytes
    encoding: t.Any = None
    manifest: t.Any = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no Singer message, or the beginning of one that is too long.

    Args:
        line: The bytes.
        reason: What is wrong with it, in words that quote nothing of it.
        stream: The stream that it names, if it can be told.
        kind: The type of message that it says it is, if Singer has such a type.
        expected: What should have been there.
        is_cut: Whether it is the last one and has no end.
    """

    line: bytes
    reason: str
    stream: str = ""
    kind: str = ""
    expected: str = "a Singer message"
    is_cut: bool = False


Message: t.TypeAlias = Schema | Record | State | ActivateVersion | Batch | Malformed


ABSENT = msgspec.Raw()


# What its column holds.
_Version: t.TypeAlias = t.Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Line(msgspec.Struct):
    """All that a message of any type may have."""

    type: str
    stream: str = ""
    record: msgspec.Raw = ABSENT
    schema: Json | None = None
    key_properties: list[str] | None = None
    value: Json | None = None
    version: _Version | None = None
    time_extracted: str | None = None


class _Batch(msgspec.Struct):
    encoding: t.Any = None
    manifest: t.Any = None


class _Envelope(msgspec.Struct):
    type: t.Any = None
    stream: t.Any = None


_decode = msgspec.json.Decoder(Line).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# No SCHEMA that makes sense comes near, and who walks through one must find its end.
MOST_LEVELS = 200
_KINDS = frozenset({"RECORD", "SCHEMA", "STATE", "ACTIVATE_VERSION", "BATCH"})


def read(
    lines: Iterable[bytes | Malformed], *, is_start: bool = True
) -> Iterator[Message]:
    """Yield the message of every line that is not blank.

    Args:
        lines: The lines.
        is_start: Whether the first one begins the input, so may have a mark of order.
    """
    for number, line in enumerate(lines):
        if isinstance(line, Malformed):
            yield line
            continue
        is_first = is_start and not number
        text = line.removeprefix(codecs.BOM_UTF8) if is_first else line
        if not text.strip():
            continue
        message = parse(text)
        if isinstance(message, Malformed) and not text.endswith(b"\n"):
            message = replace(message, is_cut=True)
        yield message


def parse(line: bytes) -> Message:
    """Return the message in a line; never raises."""
    try:
        parts = _decode(line)
    except _UNREADABLE as error:
        return _malformed(line, str(error))
    message = _message(parts)
    if message is not None:
        return message
    if parts.type == "BATCH" and parts.stream:
        files = _decode_batch(line)
        return Batch(parts.stream, line, files.encoding, files.manifest)
    if parts.type == "SCHEMA" and _is_deep(parts.schema):
        return _malformed(line, f"a SCHEMA of more than {MOST_LEVELS} levels")
    if parts.type not in _KINDS:
        return _malformed(line, "a type that Singer does not have")
    return _malformed(line, f"a {parts.type} without a part that it must have")


def _malformed(line: bytes, reason: str) -> Malformed:
    try:
        parts = _decode_envelope(line)
    except _UNREADABLE:
        return Malformed(line, reason)
    stream = parts.stream if isinstance(parts.stream, str) else ""
    kind = parts.type if isinstance(parts.type, str) and parts.type in _KINDS else ""
    return Malformed(line, reason, stream, kind)


def _message(parts: Line) -> Message | None:
    match parts.type:
        case "RECORD" if parts.stream and parts.record is not ABSENT:
            return Record(
                parts.stream, bytes(parts.record), parts.version, parts.time_extracted
            )
        case "SCHEMA" if (
            parts.stream and parts.schema is not None and not _is_deep(parts.schema)
        ):
            keys = tuple(parts.key_properties or ())
            return Schema(parts.stream, parts.schema, keys)
        case "STATE" if parts.value is not None:
            return State(parts.value)
        case "ACTIVATE_VERSION" if parts.stream and parts.version is not None:
            return ActivateVersion(parts.stream, parts.version)
    return None


def _is_deep(value: t.Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [part for whole in level for part in _parts(whole)]
    return bool(level)


def _parts(value: t.Any) -> Iterable[t.Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
