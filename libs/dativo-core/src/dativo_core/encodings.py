"""Choose how columns are encoded in a Parquet file, for tap and target alike."""

from __future__ import annotations

import typing as t

import pyarrow as pa
import pyarrow.compute as pc

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE_ROWS = 10_000
SAMPLE_BYTES = 2**20
# With fewer repetitions, a dictionary is the column once more: a file of orders is a
# third smaller without them, and takes a third of the time to write.
LEAST_REPEATED = 0.1


def repetitive(rows: pa.Table) -> list[str] | bool:
    """Return the Parquet paths of the columns whose values repeat.

    All of them, if there are too few rows to tell.
    """
    if rows.num_rows < SAMPLE_ROWS:
        return True
    leaves = (
        leaf
        for name, column in zip(rows.column_names, rows.itercolumns(), strict=True)
        for leaf in _leaves(name, _sample(column))
    )
    return [path for path, values in leaves if _repeats(values)]


def rows_of_batch(group: pa.Table, page_bytes: int, page_rows: int) -> int:
    """Return how many values are encoded before a page's size is looked at.

    With rows of long texts, the usual number makes one page of a whole column.

    Args:
        group: The rows of a row group.
        page_bytes: How large a page should be at most.
        page_rows: How many rows it should have at most.
    """
    widest = max(column.nbytes for column in group.itercolumns())
    rows: int = page_bytes * group.num_rows // max(1, widest)
    return max(1, min(rows, page_rows))


def _sample(column: pa.ChunkedArray) -> pa.Array:
    rows = SAMPLE_BYTES * len(column) // max(1, column.nbytes)
    return column.slice(0, max(1, min(rows, SAMPLE_ROWS))).combine_chunks()


def _leaves(path: str, values: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    if pa.types.is_struct(values.type):
        for part in values.type:
            yield from _leaves(f"{path}.{part.name}", values.field(part.name))
    elif pa.types.is_list(values.type):
        yield from _leaves(f"{path}.list.element", values.flatten())
    else:
        yield path, values


def _repeats(values: pa.Array) -> bool:
    count = len(values) - values.null_count
    distinct = pc.count_distinct(values).as_py()
    return bool(distinct < (1 - LEAST_REPEATED) * count)
