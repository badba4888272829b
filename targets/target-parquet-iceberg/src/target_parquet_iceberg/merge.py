"""Find rows by key in whole columns: last write wins, hits, what stays."""

from __future__ import annotations

import typing as t

import pyarrow as pa
import pyarrow.compute as pc

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_ROW = "__row"


def last_by_key(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Keep the last row of every key, in order of arrival."""
    numbered = rows.select(keys).append_column(_ROW, _numbers(rows.num_rows))
    last = numbered.group_by(list(keys)).aggregate([(_ROW, "max")])
    if last.num_rows == rows.num_rows:
        return rows
    return rows.take(last[f"{_ROW}_max"].combine_chunks().sort())


def hits(present: pa.Table, wanted: pa.Table) -> pa.Array:
    """Return, for each present row, whether its key is wanted.

    Both tables hold the key columns only, without nulls.
    """
    if wanted.num_columns == 1:
        return pc.is_in(present.column(0), wanted.column(0)).combine_chunks()
    numbered = present.append_column(_ROW, _numbers(present.num_rows))
    found = numbered.join(wanted, wanted.column_names, join_type="left semi")
    return pc.is_in(_numbers(present.num_rows), found[_ROW].combine_chunks())


def bounds(rows: pa.Table) -> dict[str, tuple[t.Any, t.Any]]:
    """Return the smallest and the largest value of every column that has an order.

    Floating-point columns have none that includes NaN.
    """
    found: dict[str, tuple[t.Any, t.Any]] = {}
    for name in rows.column_names:
        if pa.types.is_floating(rows[name].type):
            continue
        try:
            limits = pc.min_max(rows[name]).as_py()
        except pa.ArrowNotImplementedError:
            continue
        found[name] = (limits["min"], limits["max"])
    return found


def _numbers(count: int) -> pa.Array:
    return pa.array(range(count), pa.int64())
