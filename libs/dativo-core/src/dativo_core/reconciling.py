"""Compare two sides row by row, without carrying all rows from one to the other.

Each side cuts its rows into slices by a hash of their keys, and tells how many rows a
slice has and the sum of their digests. Only in slices that differ are rows listed. By
hash and not by key range, since two systems need not order keys alike.
"""

from __future__ import annotations

import hashlib
import typing as t
from collections import Counter
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

Key: t.TypeAlias = "tuple[str, ...]"
Row: t.TypeAlias = "tuple[Key, int]"
"""The key of a row as text, and the digest of all its values."""

# Between values, and in place of a null: characters that hardly any text has.
SEPARATOR, NULL = "\x1f", "\x1e"
SLICE_DIGITS = 3
DIGEST_DIGITS = 15
MAX_ROWS = 500_000
MAX_KEYS = 1_000


@dataclass(frozen=True, slots=True)
class Slice:
    """How many rows there are, and the sum of their digests."""

    rows: int = 0
    total: int = 0


class Side(t.Protocol):
    """One of two places that should hold the same rows."""

    def slices(self) -> Mapping[str, Slice]:
        """Return the slices that have rows, by the first digits of the keys' hash."""

    def rows(self, slices: Collection[str]) -> Iterable[Row]:
        """Return the rows of some slices."""


@dataclass(slots=True)
class Findings:
    """What differs.

    Attributes:
        source_rows: Rows of the source.
        table_rows: Rows of the table.
        missing: Keys of rows that the table lacks.
        extra: Keys of rows that only the table has, or has more often.
        different: Keys of rows whose values are not the same.
        unread_slices: Slices that differ and were not looked into: too many rows.
    """

    source_rows: int = 0
    table_rows: int = 0
    missing: Counter[Key] = field(default_factory=Counter)
    extra: Counter[Key] = field(default_factory=Counter)
    different: list[Key] = field(default_factory=list)
    unread_slices: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return not (self.missing or self.extra or self.different or self.unread_slices)


def reconcile(source: Side, table: Side, max_rows: int = MAX_ROWS) -> Findings:
    """Compare the slices of both sides, and the rows of those that differ.

    Args:
        source: What should be there.
        table: What is there.
        max_rows: Rows that may be listed on one side.
    """
    here, there = source.slices(), table.slices()
    found = Findings(
        sum(part.rows for part in here.values()),
        sum(part.rows for part in there.values()),
    )
    differ = [
        name
        for name in sorted({*here, *there})
        if here.get(name, Slice()) != there.get(name, Slice())
    ]
    chosen = _affordable(differ, here, there, max_rows)
    found.unread_slices = len(differ) - len(chosen)
    if chosen:
        _name_rows(found, source.rows(chosen), table.rows(chosen))
    return found


def _affordable(
    names: Sequence[str],
    here: Mapping[str, Slice],
    there: Mapping[str, Slice],
    max_rows: int,
) -> list[str]:
    chosen: list[str] = []
    rows = 0
    for name in names:
        rows += max(side.get(name, Slice()).rows for side in (here, there))
        if chosen and rows > max_rows:
            break
        chosen.append(name)
    return chosen


def _name_rows(found: Findings, source: Iterable[Row], table: Iterable[Row]) -> None:
    here, there = Counter(source), Counter(table)
    missing, extra = here - there, there - here
    lacking = Counter[Key]()
    for (key, _), count in missing.items():
        lacking[key] += count
    surplus = Counter[Key]()
    for (key, _), count in extra.items():
        surplus[key] += count
    # A key with another digest on either side is one row that differs.
    both = lacking & surplus
    found.different = sorted(both)
    found.missing, found.extra = lacking - both, surplus - both


def digests(texts: Iterable[Sequence[str | None]], keys: int) -> Iterator[DigestedRow]:
    """Digest rows as the sources do: md5 of all values, told apart.

    Args:
        texts: Rows; their first values are the key.
        keys: How many those are.
    """
    for values in texts:
        told = [NULL if value is None else value for value in values]
        key = md5(told[:keys])
        digest = key if keys == len(told) else md5(told)
        number = int(digest[:DIGEST_DIGITS], 16)
        yield DigestedRow(key[:SLICE_DIGITS], tuple(told[:keys]), number)


class DigestedRow(t.NamedTuple):
    """A row: its slice, its key and its digest."""

    slice: str
    key: Key
    digest: int


def md5(texts: Sequence[str]) -> str:
    """Return the digest of texts in hexadecimal; it protects from nothing."""
    joined = SEPARATOR.join(texts).encode()
    return hashlib.md5(joined, usedforsecurity=False).hexdigest()


def summed(rows: Iterable[DigestedRow]) -> dict[str, Slice]:
    """Sum rows up, slice by slice."""
    counts: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for row in rows:
        counts[row.slice] += 1
        totals[row.slice] += row.digest
    return {name: Slice(count, totals[name]) for name, count in counts.items()}
