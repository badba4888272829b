"""Write data files on a thread while more input is read: a commit only lists them.

Until it does, nobody knows of them; a run that dies leaves orphans, which maintenance
deletes some day.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import typing as t

import pyarrow as pa

from target_parquet_iceberg.draining import leave_signals
from target_parquet_iceberg.evolution import conform
from target_parquet_iceberg.merge import numbers
from target_parquet_iceberg.sizes import PIECE_BYTES
from target_parquet_iceberg.table import Written

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile

    from target_parquet_iceberg.room import Room
    from target_parquet_iceberg.survivors import Survivors
    from target_parquet_iceberg.table import Piece

    Held: t.TypeAlias = tuple[pa.Table, int]


class _DiscardedError(Exception):
    """Nobody wants the files any more."""


class PieceWriter(t.Protocol):
    """Writes pieces as data files."""

    @property
    def io(self) -> FileIO:
        """The table's storage."""

    @property
    def written(self) -> list[DataFile]:
        """The files so far."""

    def write_pieces(self, pieces: Iterator[pa.Table]) -> Iterator[DataFile]:
        """Write pieces, and yield their files."""


class AheadFiles:
    """Writes pieces of a commit to come as row groups of data files.

    Args:
        writer: Writes the files.
        columns: The table's columns, which the pieces get.
        keys: Those of them that the commit has to look at.
        room: Where pieces are held until they are written.
        most_bytes: How large a piece should be at most.
        survivors: Knows which keys the source has deleted.
    """

    def __init__(
        self,
        writer: PieceWriter,
        columns: pa.Schema,
        keys: Sequence[str],
        room: Room,
        most_bytes: int = PIECE_BYTES,
        survivors: Survivors | None = None,
    ) -> None:
        self._writer = writer
        self._columns = columns
        self._keys = list(keys)
        self._room = room
        self._most_bytes = most_bytes
        self._survivors = survivors
        self._key_parts: list[pa.Table] = []
        self._error: BaseException | None = None
        self._is_closed = self._is_discarded = False
        self._pieces: queue.SimpleQueue[Held | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)

    @property
    def piece_bytes(self) -> int:
        """How large a piece should be at most."""
        return min(self._most_bytes, self._room.most_bytes)

    def start(self) -> AheadFiles:
        """Wait for rows, on the thread."""
        self._thread.start()
        return self

    def write(self, piece: Piece) -> None:
        """Take the rows that come next; waits until there is room for them.

        Raises:
            OSError: if earlier rows could not be written.
        """
        if self._error is not None:
            raise self._error
        self._room.enter(piece.bytes)
        rows = conform(piece.take(), self._columns)
        if self._keys:
            self._key_parts.append(_copied(rows.select(self._keys)))
        self._pieces.put((rows, piece.bytes))

    def close(self) -> None:
        """Take no more rows."""
        if not self._is_closed:
            self._is_closed = True
            self._pieces.put(None)

    def finish(self) -> Written:
        """Wait for the files, and return them."""
        self.close()
        self._thread.join()
        if self._error is not None:
            self._delete()
            raise self._error
        keys = pa.concat_tables(self._key_parts) if self._key_parts else None
        gone = self._survivors.gone if self._survivors is not None else None
        files = tuple(self._writer.written)
        return Written(files, sum(file.record_count for file in files), keys, gone)

    def discard(self) -> None:
        """Delete what is written."""
        self._is_discarded = True
        self.close()
        self._thread.join()
        self._delete()

    def _delete(self) -> None:
        for file in self._writer.written:
            with contextlib.suppress(OSError):
                self._writer.io.delete(file.file_path)

    def _run(self) -> None:
        leave_signals()
        pieces = self._taken()
        try:
            self._write(pieces)
        except BaseException as error:  # noqa: BLE001 raised where it can be told
            self._error = error
            # Whoever brings more must not wait for ever.
            with contextlib.suppress(_DiscardedError):
                for _ in pieces:
                    pass

    def _taken(self) -> Iterator[pa.Table]:
        """Give pieces away; who asks for the next one has let go of the last."""
        for rows, size in iter(self._pieces.get, None):
            given = [rows]
            del rows
            yield given.pop()
            self._room.leave(size)
        if self._is_discarded:
            raise _DiscardedError

    def _write(self, pieces: Iterator[pa.Table]) -> None:
        for _ in self._writer.write_pieces(pieces):
            pass


def _copied(rows: pa.Table) -> pa.Table:
    # What is read from disk has one buffer for all columns: some would keep it whole.
    return rows.take(numbers(rows.num_rows))
