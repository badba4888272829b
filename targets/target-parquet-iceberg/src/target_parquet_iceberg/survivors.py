"""Choose, of many rows, those that a commit stores: by their keys alone."""

from __future__ import annotations

import typing as t

import pyarrow as pa
import pyarrow.compute as pc

from target_parquet_iceberg.merge import last_rows, numbers
from target_parquet_iceberg.metadata import DELETED_AT
from target_parquet_iceberg.plan import Deletes

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_GONE = "__gone"


class Survivors:
    """Follows the rows of one commit.

    Args:
        keys: Of rows that have the same ones the last alone is stored; none for all.
        deletes: What a time of deletion means for it.
    """

    def __init__(self, keys: Sequence[str], deletes: Deletes = Deletes.NONE) -> None:
        self._keys = list(keys)
        self._deletes = deletes
        self._parts: list[pa.Table] = []
        self._count = 0
        self.gone: pa.Table | None = None

    def note(self, rows: pa.Table) -> pa.Table:
        """Take note of the rows that come next; return them as they are stored."""
        self._count += rows.num_rows
        if self._keys:
            # A copy: rows from disk have one buffer for all of their columns.
            own = rows.select(self._keys).take(numbers(rows.num_rows))
            if self._deletes is not Deletes.NONE:
                own = own.append_column(_GONE, pc.is_valid(rows[DELETED_AT.name]))
            self._parts.append(own)
        is_mark = self._deletes is Deletes.HARD_BY_MARK
        return rows.drop_columns([DELETED_AT.name]) if is_mark else rows

    def wanted(self) -> pa.Array:
        """Tell of each row whether it is stored; from now on, `gone` has keys."""
        every = pa.repeat(pa.scalar(value=True), self._count)
        if not self._parts:
            return every
        known = pa.concat_tables(self._parts)
        self._parts.clear()
        last = last_rows(known.select(self._keys))
        if last is not None:
            every = pc.is_in(numbers(self._count), last)
        if self._deletes is Deletes.NONE:
            return every
        is_gone = known[_GONE].combine_chunks()
        self.gone = known.select(self._keys).filter(pc.and_(every, is_gone))
        return pc.and_not(every, is_gone)
