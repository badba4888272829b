"""Keep what a SCHEMA or a contract marks as personal out of the dead letters.

A property with `x-pii: true` is personal, with all that is inside it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

import msgspec
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg.naming import table_name

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dativo_core.dead_letters import DeadLetter

KEYWORD = "x-pii"
MASK = b'"***"'
WHOLE = ""
Masked: t.TypeAlias = tuple[bytes, tuple[str, ...]]
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Marks:
    """Which parts of a value are personal: all of it, or those of its parts."""

    is_private: bool = False
    properties: Mapping[str, Marks] = field(default_factory=dict)
    items: Marks | None = None

    def __bool__(self) -> bool:
        return bool(self.is_private or self.properties or self.items)


def marks_of(schema: t.Any) -> Marks:
    """Return what a JSON Schema marks; of a schema without sense, nothing."""
    if not isinstance(schema, dict):
        return Marks()
    if schema.get(KEYWORD):
        return Marks(is_private=True)
    options = [*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))]
    items = marks_of(schema.get("items"))
    own = Marks(properties=_marks_of_all(schema.get("properties")), items=items or None)
    return _together([*map(marks_of, options), own])


def _together(found: Sequence[Marks]) -> Marks:
    """Return what any of some marks says."""
    names = dict.fromkeys(name for marks in found for name in marks.properties)
    properties = {
        name: _together([m.properties[name] for m in found if name in m.properties])
        for name in names
    }
    items = [marks.items for marks in found if marks.items]
    is_private = any(marks.is_private for marks in found)
    return Marks(is_private, properties, _together(items) if items else None)


def _marks_of_all(declared: t.Any) -> dict[str, Marks]:
    parts = declared.items() if isinstance(declared, dict) else ()
    return {name: marks for name, part in parts if (marks := marks_of(part))}


def _list(value: t.Any) -> list[t.Any]:
    return value if isinstance(value, list) else []


def mask(raw: bytes, marks: Marks, path: str = WHOLE) -> Masked:
    """Return JSON without its personal parts, and the paths of those.

    All else keeps its own bytes. Where the JSON is not of the shape that the marks are
    for, nobody knows what it says: it is personal as a whole.
    """
    if not marks:
        return raw, ()
    if raw.strip() == b"null":
        return raw, ()
    if marks.is_private:
        return MASK, (path,)
    try:
        return _masked_parts(raw, marks, path)
    except _UNREADABLE:
        return MASK, (path,)


def _masked_parts(raw: bytes, marks: Marks, path: str) -> Masked:
    hidden: list[str] = []

    def masked(part: msgspec.Raw, inner: Marks, name: str) -> msgspec.Raw:
        text, found = mask(bytes(part), inner, name)
        hidden.extend(found)
        return msgspec.Raw(text) if found else part

    none = Marks()
    content: t.Any
    if marks.properties:
        content = {
            name: masked(
                part, marks.properties.get(name, none), f"{path}.{name}".lstrip(".")
            )
            for name, part in _object(raw).items()
        }
    else:
        content = [masked(p, marks.items or none, f"{path}[]") for p in _array(raw)]
    if not hidden:
        return raw, ()
    return msgspec.json.encode(content), tuple(dict.fromkeys(hidden))


class Privacy:
    """The marks of all streams of a run, and what they make of its dead letters."""

    def __init__(self, contracts: Mapping[str, t.Any] | None = None) -> None:
        self._contracts = contracts or {}
        self._marks: dict[str, Marks] = {}

    def declare(self, stream: str, schema: t.Any) -> None:
        """Take note of a SCHEMA; what once was personal stays it."""
        promised = self._contracts.get(_table(stream))
        # Taps name streams <database schema>-<table>, contracts the table.
        promised = promised or self._contracts.get(_table(stream.partition("-")[2]))
        before = self._marks.get(stream, Marks())
        found = [before, marks_of(schema), marks_of(promised)]
        self._marks[stream] = _together(found)

    def letter(self, letter: DeadLetter) -> DeadLetter:
        """Return a dead letter without what is personal.

        Nobody can tell what is in a line that is no message: where any stream has
        marks, nothing of it is kept.
        """
        if letter.stage != "parse":
            if letter.stream not in self._marks:  # it has no SCHEMA, but a contract
                self.declare(letter.stream, None)
            marks = self._marks[letter.stream]
        else:
            marks = Marks(is_private=any(self._marks.values()))
        record, masked = mask(letter.record, marks)
        return replace(letter, record=record, masked=masked) if masked else letter


def _table(stream: str) -> str:
    try:
        return table_name(stream)
    except ConfigurationError:  # a name that no table can have
        return ""
