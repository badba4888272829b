"""Pieces of a commit on disk, each in order: written once, read once."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

import pyarrow as pa
from dativo_core.scratch import filling

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from target_parquet_iceberg.arrange import Ordering

    Values: t.TypeAlias = tuple[t.Any, ...]


@dataclass(frozen=True, slots=True)
class Spilled:
    """One piece on disk, partition after partition.

    Args:
        path: Its rows, in small batches.
        counts: How many rows each partition has, in the order of the file.
        order: Where each row stood in the piece as it came.
        sort_keys: The sort keys, their values in the order of the file.
    """

    path: Path
    counts: Mapping[Values, int]
    order: pa.Array
    sort_keys: tuple[Ordering, ...]


def spill(rows: pa.Table, order: pa.Array, path: Path, batch_bytes: int) -> None:
    """Write rows in an order, in batches of about one size."""
    whole = rows.combine_chunks()
    size = max(1, batch_bytes * rows.num_rows // max(1, rows.nbytes))
    with (
        filling(),
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_stream(sink, rows.schema) as stream,
    ):
        for start in range(0, len(order), size):
            stream.write_table(whole.take(order.slice(start, size)))


class SpilledReader:
    """Reads the rows of a piece that are wanted, from its first to its last.

    Args:
        piece: The piece.
        wanted: Whether each row, in the order of the file, is.
    """

    def __init__(self, piece: Spilled, wanted: pa.Array) -> None:
        self._piece = piece
        self._wanted = wanted
        self._batches = _read(piece.path, wanted)
        self._rest: pa.Table | None = None
        self._start = 0
        self.sort_keys: list[Ordering] = []

    def begin(self, partition: Values) -> int:
        """Go on to the next partition of all; return how many rows it has here."""
        count = self._piece.counts.get(partition, 0)
        wanted = self._wanted.slice(self._start, count)
        self.sort_keys = [
            replace(key, values=key.values.slice(self._start, count).filter(wanted))
            for key in self._piece.sort_keys
        ]
        self._start += count
        return int(wanted.true_count)

    def take(self, count: int) -> Iterator[pa.Table]:
        """Yield so many rows, those that come next."""
        while count:
            rows = next(self._batches) if self._rest is None else self._rest
            yield rows.slice(0, count)
            self._rest = rows.slice(count) if rows.num_rows > count else None
            count -= min(count, rows.num_rows)


def _read(path: Path, wanted: pa.Array) -> Iterator[pa.Table]:
    start = 0
    with pa.OSFile(str(path)) as source:
        for batch in pa.ipc.open_stream(source):
            chosen = wanted.slice(start, batch.num_rows)
            start += batch.num_rows
            yield pa.Table.from_batches([batch]).filter(chosen)
