"""Write the rows of a large commit once all have come, in bounded memory.

A table with partitions or an order needs that, and so do deletions.

Pieces are put in order one by one and wait on disk. When all have come, one partition
after the other takes its part of each piece: so every piece is read once, and no
partition has more files than its size asks for. In memory are a batch of each piece,
what is written at once, and of all rows the keys.
"""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from dativo_core.scratch import Scratch

from target_parquet_iceberg.arrange import Part, order_of
from target_parquet_iceberg.merge import numbers
from target_parquet_iceberg.spilled import Spilled, SpilledReader, spill

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile

    from target_parquet_iceberg.data_files import DataFileWriter
    from target_parquet_iceberg.spilled import Values
    from target_parquet_iceberg.survivors import Survivors

WINDOW_BYTES = 16 * 2**20
# So much of each piece is in memory while all are read, as a part of a window.
BATCHES_OF_WINDOW = 64


class ArrangedWriter:
    """Writes pieces as data files, by partition and in order.

    Args:
        writer: Writes the files.
        survivors: Chooses the rows that are stored.
        window_bytes: How much is put in order and written at once.
    """

    def __init__(
        self, writer: DataFileWriter, survivors: Survivors, window_bytes: int
    ) -> None:
        self._writer = writer
        self._survivors = survivors
        self._window_bytes = window_bytes
        self._partitions: dict[Values, int] = {}
        self._rows = self._bytes = 0

    @property
    def io(self) -> FileIO:
        """The table's storage."""
        return self._writer.io

    @property
    def written(self) -> list[DataFile]:
        """The files so far."""
        return self._writer.written

    def write_pieces(self, pieces: Iterable[pa.Table]) -> Iterator[DataFile]:
        """Write all pieces, once the last one has come."""
        with Scratch() as folder:
            paths = (folder / f"{number}.arrow" for number in itertools.count())
            filled = filter(pa.Table.__len__, pieces)
            spilled = list(map(self._spill, filled, paths))
            readers = list(map(SpilledReader, spilled, self._wanted(spilled)))
            yield from self._merge(readers)

    def _spill(self, rows: pa.Table, path: Path) -> Spilled:
        rows = self._survivors.note(rows)
        self._rows += rows.num_rows
        self._bytes += rows.nbytes
        parts = list(self._writer.arranged(rows))
        for part in parts:
            self._partitions.setdefault(part.values, len(self._partitions))
        # In every piece they follow each other as they will be written.
        parts.sort(key=lambda part: self._partitions[part.values])
        order = _order(parts).cast(pa.uint32())
        spill(rows, order, path, self._window_bytes // BATCHES_OF_WINDOW)
        counts = {part.values: part.num_rows for part in parts}
        sort_keys = self._writer.orderings(rows)
        ordered = (replace(key, values=key.values.take(order)) for key in sort_keys)
        return Spilled(path, counts, order, tuple(ordered))

    def _wanted(self, spilled: Sequence[Spilled]) -> Iterator[pa.Array]:
        """Yield for each piece which rows are stored, in the order of its file."""
        every = self._survivors.wanted()
        start = 0
        for piece in spilled:
            yield every.slice(start, len(piece.order)).take(piece.order)
            start += len(piece.order)

    def _merge(self, readers: Sequence[SpilledReader]) -> Iterator[DataFile]:
        most_rows = self._writer.sizes.rows_in(
            self._window_bytes, self._rows, self._bytes
        )
        small: list[Part] = []
        for values in self._partitions:
            counts = [reader.begin(values) for reader in readers]
            if sum(counts) > most_rows:
                groups = self._groups(readers, counts, most_rows)
                yield from self._writer.write_partition(values, groups, most_rows)
                continue
            if sum(part.num_rows for part in small) + sum(counts) > most_rows:
                yield from self._writer.write_window(small)
                small = []
            if sum(counts):
                rows = self._writer.sorted(_joined(readers, counts))
                small.append(Part(rows, values))
        yield from self._writer.write_window(small)

    def _groups(
        self, readers: Sequence[SpilledReader], counts: Sequence[int], most_rows: int
    ) -> Iterator[pa.Table]:
        """Yield the rows of one partition, in order."""
        sources = _sources(readers, counts)
        for start in range(0, len(sources), most_rows):
            found = pc.value_counts(sources.slice(start, most_rows)).to_pylist()
            by_source = {entry["values"]: entry["counts"] for entry in found}
            counts = [by_source.get(number, 0) for number in range(len(readers))]
            yield self._writer.sorted(_joined(readers, counts))


def _order(parts: Sequence[Part]) -> pa.Array:
    orders = [part.order for part in parts if part.order is not None]
    return pa.concat_arrays(orders) if orders else numbers(parts[0].num_rows)


def _sources(readers: Sequence[SpilledReader], counts: Sequence[int]) -> pa.Array:
    """Return, for each row of a partition in order, which reader has it."""
    pairs = zip(itertools.count(), counts, strict=False)
    repeated = [pa.repeat(pa.scalar(number, pa.int32()), n) for number, n in pairs]
    sources = pa.concat_arrays(repeated)
    columns = zip(*(reader.sort_keys for reader in readers), strict=True)
    keys = [
        replace(parts[0], values=_chained([part.values for part in parts]))
        for parts in columns
    ]
    return sources.take(order_of(keys)) if keys else sources


def _chained(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    chunks = itertools.chain.from_iterable(column.chunks for column in columns)
    return pa.chunked_array(chunks, columns[0].type)


def _joined(readers: Sequence[SpilledReader], counts: Sequence[int]) -> pa.Table:
    taken = map(SpilledReader.take, readers, counts)
    return pa.concat_tables(itertools.chain.from_iterable(taken))
