"""Parse whole records by msgspec, and find out which fields no column is there for."""

from __future__ import annotations

import typing as t
from decimal import Decimal

import msgspec

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.wires import WIRES, wire

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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

    def count(self, rows: Iterable[t.Any]) -> dict[str, int]:
        """Count the values of every learned field."""
        return {
            name: sum(getattr(row, place, _NOT_SENT) is not _NOT_SENT for row in rows)
            for name, place in zip(self._learned, _places("u"), strict=False)
        }

    def _parser(self) -> Callable[[bytes], t.Any] | None:
        fields = [
            _field(place, column)
            for column, place in zip(self._columns, _places("f"), strict=False)
        ]
        names = dict(zip(_places("f"), (c.field for c in self._columns), strict=False))
        for name, place in zip(self._learned, _places("u"), strict=False):
            is_required = name in self._required
            names[place] = name
            fields.append(
                (place, msgspec.Raw) if is_required else (place, msgspec.Raw, _NOT_SENT)
            )
        try:
            row = msgspec.defstruct(
                "Row",
                fields,
                rename=names,
                gc=False,
                kw_only=True,
                forbid_unknown_fields=True,
            )
        except ValueError:  # msgspec takes no quotes, backslashes or controls in names
            return None
        # Numbers inside free parts keep their digits; typed fields are not affected.
        return msgspec.json.Decoder(row, float_hook=Decimal).decode


def _places(letter: str) -> t.Iterator[str]:
    number = 0
    while True:
        yield f"{letter}{number}"
        number += 1


def _field(place: str, column: Column) -> tuple[t.Any, ...]:
    parsed, rule = WIRES[wire(column)].parsed, column.rule
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
