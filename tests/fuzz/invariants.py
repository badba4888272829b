"""What must hold whatever the bytes are; each function takes some and tries it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import typing as t
from functools import cache

import msgspec
from dativo_core.errors import ConfigurationError
from target_parquet_iceberg import lines, messages, naming, rules, state
from target_parquet_iceberg.decode import Decoder
from target_parquet_iceberg.schema import Column, columns

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Dribble(io.RawIOBase):
    """A pipe that hands over its bytes in pieces of the sizes it is told."""

    def __init__(self, data: bytes, sizes: Iterable[int]) -> None:
        self._data = data
        self._sizes = list(sizes) or [1]
        self._turn = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        size = min(1 + self._sizes[self._turn % len(self._sizes)], len(buffer))
        self._turn += 1
        piece, self._data = self._data[:size], self._data[size:]
        buffer[: len(piece)] = piece
        return len(piece)


def splitter(data: bytes) -> None:
    """Lines are the same however the bytes come in, and no message raises."""
    head, text = data[:6], data[6:]
    longest = 1 + (head[0] if head else 7) % 32
    whole = _split(io.BytesIO(text), longest, chunk=2**20)
    chunk = 1 + (head[1] if len(head) > 1 else 3) % 16
    pipe = io.BufferedReader(Dribble(text, head[2:]), buffer_size=8)
    assert whole == _split(pipe, longest, chunk)
    assert whole == _expected(text, longest)
    for line in text.split(b"\n"):
        messages.parse(line)


def _split(source: t.IO[bytes], longest: int, chunk: int) -> list[t.Any]:
    before, lines.CHUNK_BYTES = lines.CHUNK_BYTES, chunk
    try:
        found = list(lines.split(source.readline, longest))
    finally:
        lines.CHUNK_BYTES = before
    return [
        (line.line, line.reason) if isinstance(line, messages.Malformed) else line
        for line in found
    ]


def _expected(text: bytes, longest: int) -> list[t.Any]:
    found: list[t.Any] = []
    for line in re.findall(rb"[^\n]*\n|[^\n]+", text):
        bare = line.removesuffix(b"\n")
        if len(bare) <= longest:
            found.append(line)
            continue
        kept = bare[: min(longest + 1, lines.KEPT_BYTES)]
        digest = hashlib.sha256(bare).hexdigest()
        reason = f"{len(bare)} bytes with SHA-256 {digest}; {len(kept)} are kept"
        found.append((kept, reason))
    return found


SCHEMAS: list[dict[str, t.Any]] = [
    {"type": ["integer", "null"], "minimum": -(2**31), "maximum": 2**31 - 1},
    {"type": "integer", "enum": [0, 1, 7, 10**18]},
    {"type": ["integer", "null"], "maximum": 2**64 - 1},
    {"type": "number"},
    {"type": ["number", "null"], "format": "float", "enum": [1.5, 2, None]},
    {"type": "number", "multipleOf": 0.01},
    {"type": ["string", "null"], "format": "singer.decimal", "precision": 9},
    {"type": ["string", "null"], "format": "date"},
    {"type": ["string", "null"], "format": "time"},
    {"type": ["string", "null"], "format": "date-time"},
    {"type": ["string", "null"], "format": "date-time", "x-timezone": False},
    {"type": ["string", "null"], "contentEncoding": "base64"},
    {"type": "string", "enum": ["a", "b", ""]},
    {"type": ["string", "null"], "format": "uuid"},
    {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "ipv6"},
    {"type": "string", "format": "email"},
    {"type": "boolean", "const": True},
    {},
    {"type": "object"},
    {"type": ["array", "string", "integer"]},
    {"enum": [1, "1", True, None, [1], {"a": 1.0}]},
    {"anyOf": [{"type": "integer", "enum": [1]}, {"type": "string", "format": "ipv4"}]},
    {"type": "array", "items": {"type": "integer"}},
    {
        "type": ["object", "null"],
        "required": ["a"],
        "properties": {"a": {"type": "number"}, "b": {"type": "object"}},
    },
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {"a": {"type": "string", "enum": ["x", "y"]}},
    },
]


def decoder(data: bytes) -> None:
    """Both lanes agree, and every record is a row or a reject."""
    if len(data) < 2:
        return
    number, mode = data[0] % len(SCHEMAS), data[1]
    tokens = data[2:].split(b"\n")[:8]
    records = [_record(token, mode + place) for place, token in enumerate(tokens)]
    fast, slow = _decoders(number, is_required=bool(mode & 64), is_closed=mode > 127)
    seen, kept = _outcome(fast, records), _outcome(slow, records)
    assert seen == kept, (SCHEMAS[number], records, seen, kept)


def _record(token: bytes, mode: int) -> bytes:
    forms = (b'{"c":%b}', b'{"c": %b ,"x":1}', b'{"x":{},"y":null,"c":%b}', b"%b")
    return forms[mode % len(forms)].replace(b"%b", token)


@cache
def _decoders(
    number: int, *, is_required: bool, is_closed: bool
) -> tuple[Decoder, Decoder]:
    schema = {
        "properties": {"c": SCHEMAS[number]},
        "required": ["c"] if is_required else [],
    }
    found = columns(schema)
    # msgspec takes no such name: with it, every record goes the slow way.
    slow = [Column('"', found[0].type, found[0].kind, rule=rules.ANY), *found]
    return Decoder(found, [], is_closed=is_closed), Decoder(
        slow, [], is_closed=is_closed
    )


def _outcome(decoder: Decoder, records: list[bytes]) -> tuple[list[t.Any], ...]:
    block = decoder.decode(records)
    assert block.rows.num_rows + len(block.rejects) == len(records)
    places = sorted(block.indices.to_pylist() + [r.index for r in block.rejects])
    assert places == list(range(len(records)))
    values = [_bits(value) for value in block.rows["c"].to_pylist()]
    return block.indices.to_pylist(), values, [r.index for r in block.rejects]


def _bits(value: t.Any) -> t.Any:
    if isinstance(value, float):
        return struct.pack(">d", value)
    if isinstance(value, dict):
        return {name: _bits(part) for name, part in value.items()}
    return [_bits(part) for part in value] if isinstance(value, list) else value


def names(data: bytes) -> None:
    """A table's name is safe everywhere, and its own name again."""
    stream = data.decode(errors="surrogateescape")
    try:
        name = naming.table_name(stream)
    except ConfigurationError:
        return
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
    assert len(name) <= naming.MAX_LENGTH
    assert name == naming.table_name(name)
    assert name == naming.table_name(stream.lower()), stream


def states(data: bytes) -> None:
    """What a stream that is not durable has reached is never told."""
    told: dict[str, t.Any] = {}
    for line in data.split(b"\n")[:8]:
        held = {name for bit, name in enumerate("abc") if line[:1] > bytes([bit * 80])}
        try:
            value = json.loads(line[1:])
        except (ValueError, RecursionError):
            continue
        if not isinstance(value, dict):
            continue
        before, told = told, state.withhold(value, held, told)
        for name in "abc":
            wanted = before if name in held else value
            found = _raw(told, name)
            is_opaque = bool(held) and not isinstance(value.get("bookmarks"), dict)
            assert found in (_raw(wanted, name), *([_raw(before, name)] * is_opaque))
        if held:
            assert _rest(told) == _rest(before)
        else:
            assert told == value


def _raw(value: dict[str, t.Any], name: str) -> t.Any:
    bookmarks = value.get("bookmarks")
    return bookmarks.get(name) if isinstance(bookmarks, dict) else None


_NO_PROGRESS = {"bookmarks", "currently_syncing", "current_stream"}


def _rest(value: dict[str, t.Any]) -> bytes:
    rest = {name: part for name, part in value.items() if name not in _NO_PROGRESS}
    return msgspec.json.encode(sorted(json.dumps(pair) for pair in rest.items()))


INVARIANTS: dict[str, Callable[[bytes], None]] = {
    "splitter": splitter,
    "decoder": decoder,
    "names": names,
    "states": states,
}
