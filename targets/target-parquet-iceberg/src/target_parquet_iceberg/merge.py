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
    last = last_rows(rows.select(keys))
    return rows if last is None else rows.take(last.sort())


def last_rows(keys: pa.Table) -> pa.Array | None:
    """Return the number of the last row of every key; None if it is all rows."""
    if is_unique(keys):
        return None
    numbered = keys.append_column(_ROW, numbers(keys.num_rows))
    last = numbered.group_by(keys.column_names).aggregate([(_ROW, "max")])
    return last[f"{_ROW}_max"].combine_chunks()


def are_alone(keys: pa.Table) -> pa.Array:
    """Tell for each row whether no other one has its key."""
    if is_unique(keys):
        return pa.repeat(pa.scalar(value=True), keys.num_rows)
    numbered = keys.append_column(_ROW, numbers(keys.num_rows))
    groups = numbered.group_by(keys.column_names).aggregate(
        [(_ROW, "min"), (_ROW, "count")]
    )
    single = groups.filter(pc.equal(groups[f"{_ROW}_count"], 1))
    return pc.is_in(numbers(keys.num_rows), single[f"{_ROW}_min"].combine_chunks())


def is_unique(keys: pa.Table) -> bool:
    """Tell whether no two rows are the same, in as little memory as possible."""
    if keys.num_rows < 2:  # noqa: PLR2004
        return True
    kind = keys.schema.types[0]
    if keys.num_columns > 1 or pa.types.is_nested(kind):
        groups = keys.group_by(keys.column_names, use_threads=False).aggregate([])
        return bool(groups.num_rows == keys.num_rows)
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        ordered = keys.column(0).combine_chunks().sort()
        differ = pc.not_equal(ordered.slice(1), ordered.slice(0, len(ordered) - 1))
        return bool(pc.all(differ, min_count=0).as_py())
    count = pc.count_distinct(keys.column(0), mode="all").as_py()
    return bool(count == keys.num_rows)


def hits(present: pa.Table, wanted: pa.Table) -> pa.Array:
    """Return, for each present row, whether its key is wanted.

    Both tables hold the key columns only, without nulls.
    """
    wanted = _near(wanted, present)
    if not wanted.num_rows:
        return pa.repeat(pa.scalar(value=False), present.num_rows)
    if wanted.num_columns == 1:
        return pc.is_in(present.column(0), wanted.column(0)).combine_chunks()
    numbered = present.append_column(_ROW, numbers(present.num_rows))
    found = numbered.join(wanted, wanted.column_names, join_type="left semi")
    return pc.is_in(numbers(present.num_rows), found[_ROW].combine_chunks())


def _near(rows: pa.Table, others: pa.Table) -> pa.Table:
    """Leave out rows beyond the others: those left fit into a smaller hash table."""
    for name, (low, high) in bounds(others).items():
        if low is None:
            return rows.slice(0, 0)
        kind = rows[name].type
        least, most = pa.scalar(low, kind), pa.scalar(high, kind)
        column = rows[name]
        rows = rows.filter(
            pc.and_(pc.greater_equal(column, least), pc.less_equal(column, most))
        )
    return rows


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


def numbers(count: int) -> pa.Array:
    """Return 0, 1, 2 and so on."""
    return pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count), start=-1)
