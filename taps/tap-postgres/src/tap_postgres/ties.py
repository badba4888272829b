"""Find in ordered rows where a cursor value ends, so that a state splits no tie."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_SPECIAL = {"NaN", "Infinity", "-Infinity", "infinity", "-infinity"}


@dataclass(frozen=True, slots=True)
class Complete:
    """All rows up to a cursor value have been given, those at the value too."""

    value: t.Any


def cut(
    batches: Iterator[pa.RecordBatch], column: str, rows: int
) -> Iterator[pa.RecordBatch | Complete]:
    """Yield all rows; after about so many of them, say up to where they are complete.

    Args:
        batches: Rows in the order of the column.
        column: The cursor.
        rows: As many lie between two such places at least.
    """
    count, end = 0, None
    for batch in batches:
        rest = batch
        if end is not None and count >= rows:
            tied = _tied(batch.column(column), end.column(column))
            value = last_ordinary(end, column)
            if tied < batch.num_rows and value is not None:
                if tied:
                    yield batch.slice(0, tied)
                yield Complete(value)
                count, rest = 0, batch.slice(tied)
        yield rest
        count += rest.num_rows
        end = rest.slice(rest.num_rows - 1)


def _tied(values: pa.Array, last: pa.Array) -> int:
    """Count the first values that are the same as the one before them."""
    import pyarrow.compute as pc  # noqa: PLC0415 heavy, and taps start without it

    is_other = pc.not_equal(values, last[0])
    is_other = pc.fill_null(is_other, fill_value=True)
    first = int(pc.index(is_other, value=True).as_py())
    return len(values) if first < 0 else first


def last_ordinary(batch: pa.RecordBatch, column: str, otherwise: t.Any = None) -> t.Any:
    """Return the last ordinary cursor value of a batch in order."""
    from dativo_core.typed_columns import recorded  # noqa: PLC0415 pyarrow

    values = batch.column(column)
    for index in range(len(values) - 1, -1, -1):
        [value] = recorded(values.slice(index, 1)).to_pylist()
        if isinstance(value, str) and value.startswith('"'):
            value = json.loads(value)
        if value is None:
            continue
        if str(value) not in _SPECIAL and value == value:  # noqa: PLR0124 NaN
            return value
    return otherwise
