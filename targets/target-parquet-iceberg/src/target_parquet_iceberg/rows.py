"""Parse whole records by msgspec, and find out which fields no column is there for."""

from __future__ import annotations

import typing as t
from decimal import Decimal

import msgspec

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.wires import WIRES, wire

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from target_parquet_iceberg.rules import Rule
    from target_parquet_iceberg.schema import Column

# More undeclared fields than these make a record slow, never wrong.
MAX_LEARNED = 64
ABSENT = msgspec.UNSET
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOT_SENT = msgspec.Raw()


class RowParser:
    """Parses records of one shape into structs with a field for every column.

    A struct refuses fields that it does not have. One that turns up is learned: the
    struct gets a place for it, so that the next record with it is parsed as fast as
    others, and it can be counted.
    """

    def __init__(
        self, columns: Sequence[Column], required: Iterable[str], *, learns: bool
    ) -> None:
        self._columns = columns
        self._known = {column.field for column in columns}
        self._required = set(required)
        self._learned = dict.fromkeys(sorted(self._required))
        self._learns = learns
        self.parse = self._parser() or _refuse

    def learn(self, raw: bytes) -> t.Any:
        """Parse a record that was refused, if undeclared fields are the reason."""
        if not self._learns or self.parse is _refuse:
            return None
        try:
            new = _parts(raw).keys() - self._known - self._learned.keys()
            if not new or len(new) + len(self._learned) > MAX_LEARNED:
                return None
            learned, self._learned = self._learned, {**self._learned}
            self._learned |= dict.fromkeys(sorted(new))
            parse = self._parser()
            if parse is None:
                self._learned = learned
                return None
            self.parse = parse
            return parse(raw)
        except exact_json.UNDECODABLE:
            return None

    def count(self, rows: Collection[t.Any]) -> dict[str, int]:
        """Count the values of every learned field."""
        return {
            name: sum(getattr(row, place, _NOT_SENT) is not _NOT_SENT for row in rows)
            for name, place in zip(self._learned, _places("u"), strict=False)
        }

    @property
    def learned(self) -> Mapping[str, bool]:
        """The fields without a column, and whether a record must have them."""
        return {name: name in self._required for name in self._learned}

    def _parser(self) -> Callable[[bytes], t.Any] | None:
        row = row_type(self._columns, _wires(self._columns), self.learned)
        return None if row is None else parser(row).decode


def row_type(
    columns: Sequence[Column], parsed: Iterable[t.Any], learned: Mapping[str, bool]
) -> type[msgspec.Struct] | None:
    """Return a struct with a place for every column: `f0`, `f1` and so on.

    Args:
        columns: What there is a column for.
        parsed: The type to parse the values of each as.
        learned: Other fields, and whether a record must have them: `u0` and so on.

    Returns:
        None where msgspec cannot take a name: quotes, backslashes, controls.
    """
    fields = [
        field_of(place, kind, column.rule)
        for column, kind, place in zip(columns, parsed, _places("f"), strict=False)
    ]
    names = dict(zip(_places("f"), (c.field for c in columns), strict=False))
    for (name, is_required), place in zip(learned.items(), _places("u"), strict=False):
        names[place] = name
        fields.append(
            (place, msgspec.Raw) if is_required else (place, msgspec.Raw, _NOT_SENT)
        )
    return struct_type(fields, names)


def struct_type(
    fields: Sequence[tuple[t.Any, ...]], names: Mapping[str, str]
) -> type[msgspec.Struct] | None:
    """Return a struct that takes these fields, each under a name, and no others."""
    try:
        return msgspec.defstruct(
            "Row",
            fields,
            rename=names,
            gc=False,
            kw_only=True,
            forbid_unknown_fields=True,
        )
    except ValueError:
        return None


def parser(kind: t.Any) -> msgspec.json.Decoder[t.Any]:
    """Return a decoder that leaves numbers inside free parts their digits."""
    # Typed fields are not affected.
    return msgspec.json.Decoder(kind, float_hook=Decimal)


def _wires(columns: Iterable[Column]) -> t.Iterator[t.Any]:
    return (WIRES[wire(column)].parsed for column in columns)


def _places(letter: str) -> t.Iterator[str]:
    number = 0
    while True:
        yield f"{letter}{number}"
        number += 1


def field_of(place: str, parsed: t.Any, rule: Rule) -> tuple[t.Any, ...]:
    """Return a field of a struct that takes what a rule lets pass."""
    # Raw takes null by itself and cannot be part of a union.
    if rule.is_nullable and parsed is not msgspec.Raw:
        parsed = t.Optional[parsed]  # noqa: UP045
    if rule.is_required:
        return (place, parsed)
    # Where anything is parsed, null must differ from nothing.
    takes_null = parsed is t.Any and not rule.is_nullable
    return (place, parsed, ABSENT if takes_null else None)


def _refuse(_raw: bytes) -> t.NoReturn:
    msg = "names that only the slow lane reads"
    raise ValueError(msg)
