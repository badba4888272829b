"""Recognise rows that an append has stored already: pure rules on whole rows.

After a crash a tap starts from an older bookmark than the table's and sends rows again;
most taps also send the rows at the bookmark again with every run. A row is the same if
all its columns are the same. With keys, one copy in the table is enough; without keys a
source may hold equal rows, so each copy in the table stands for one row sent again.
"""

from __future__ import annotations

import json
import typing as t
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Columns that differ between two copies of one row.
VOLATILE = frozenset(
    {
        "_sdc_extracted_at",
        "_sdc_received_at",
        "_sdc_batched_at",
        "_sdc_sequence",
        "_sdc_sync_started_at",
    }
)


def comparable(names: Iterable[str]) -> list[str]:
    """Return the columns that two copies of one row have in common."""
    return sorted(name for name in names if name not in VOLATILE)


def fingerprints(rows: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Render whole rows as bytes that are equal if, and only if, the rows are."""
    if not rows.num_rows:
        return pa.array([], pa.large_binary())
    pieces = [_piece(rows[name].combine_chunks()) for name in columns]
    return pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))


def all_new(count: int) -> pa.Array:
    """Return the answer for rows that have all not been seen."""
    return pa.repeat(pa.scalar(value=True), count)


def only(rows: pa.Table, is_wanted: pa.Array) -> pa.Table:
    """Return the rows that are wanted, without a copy if all are."""
    return rows if pc.all(is_wanted).as_py() else rows.filter(is_wanted)


def _piece(values: pa.Array) -> pa.Array:
    """Render a column: a length before each value keeps neighbours apart."""
    content = _bytes(values)
    length = pc.binary_length(content).cast(pa.string()).cast(pa.large_binary())
    colon = pa.scalar(b":", pa.large_binary())
    empty = pa.scalar(b"", pa.large_binary())
    piece = pc.binary_join_element_wise(length, colon, content, empty)
    return pc.fill_null(piece, pa.scalar(b"~", pa.large_binary()))


def _bytes(values: pa.Array) -> pa.Array:
    if pa.types.is_nested(values.type):
        texts = [
            None if value is None else json.dumps(value, default=str, sort_keys=True)
            for value in values.to_pylist()
        ]
        values = pa.array(texts, pa.string())
    if pa.types.is_binary(values.type) or pa.types.is_string(values.type):
        return values.cast(pa.large_binary())
    return values.cast(pa.string()).cast(pa.large_binary())


def _are_distinct(keys: pa.Table) -> bool:
    # Arrow and its text may not agree when two floats are equal.
    if any(pa.types.is_floating(k) or pa.types.is_nested(k) for k in keys.schema.types):
        return False
    groups = keys.group_by(keys.column_names).aggregate([])
    return bool(groups.num_rows == keys.num_rows)


class Seen:
    """The rows that may come again.

    Args:
        once: Whether one copy in the table stands for any number sent.
        most: How many may come again, where the rows themselves do not tell.
    """

    def __init__(self, *, once: bool, most: int | None = None) -> None:
        self._once = once
        self._most = most
        self._copies: Counter[bytes] = Counter()

    @property
    def left(self) -> int:
        """Count the rows that have not come again."""
        copies = self._copies.total()
        return copies if self._most is None else min(self._most, copies)

    def lacks(self, rows: pa.Table, keys: Sequence[str]) -> bool:
        """Tell whether all rows are certainly new, without a look at the rest of them.

        They are if none is expected, and no two of them have the same keys.
        """
        if self._copies and self._most != 0:
            return False
        return not self._once or (bool(keys) and _are_distinct(rows.select(keys)))

    def copy(self) -> Seen:
        """Return what is left, to be used up on its own."""
        copy = Seen(once=self._once, most=self._most)
        copy._copies = self._copies.copy()
        return copy

    def add(self, prints: pa.Array) -> None:
        """Take rows of the table."""
        counted = pc.value_counts(prints)
        values = counted.field("values").to_pylist()
        self._copies.update(
            dict(zip(values, counted.field("counts").to_pylist(), strict=True))
        )

    def is_new(self, prints: pa.Array) -> pa.Array:
        """Tell for each incoming row whether the table lacks it."""
        is_plain = not self._once or pc.count_distinct(prints).as_py() == len(prints)
        if is_plain and (not self._copies or self._most == 0):
            return all_new(len(prints))
        return pa.array([self._take(value) for value in prints.to_pylist()], pa.bool_())

    def _take(self, value: bytes) -> bool:
        copies = self._copies.get(value, 0)
        if self._once:
            self._copies[value] = 1
            return not copies
        if not copies or self._most == 0:
            return True
        self._copies[value] = copies - 1
        if self._most is not None:
            self._most -= 1
        return False
