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
from target_parquet_iceberg.table import Written

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from target_parquet_iceberg.data_files import DataFileWriter


class AheadFiles:
    """Writes pieces of a commit to come as row groups of data files.

    Args:
        writer: Writes the files.
        columns: The table's columns, which the pieces get.
        keys: Those of them that the commit has to look at.
    """

    def __init__(
        self, writer: DataFileWriter, columns: pa.Schema, keys: Sequence[str]
    ) -> None:
        self._writer = writer
        self._columns = columns
        self._keys = list(keys)
        self._key_parts: list[pa.Table] = []
        self._rows = 0
        self._error: BaseException | None = None
        self._is_closed = False
        # One is written, one waits: more would be held in memory twice.
        self._pieces: queue.Queue[pa.Table | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)

    def start(self) -> AheadFiles:
        """Wait for rows, on the thread."""
        self._thread.start()
        return self

    def write(self, rows: pa.Table) -> None:
        """Take the rows that come next; waits while earlier ones wait.

        Raises:
            OSError: if earlier rows could not be written.
        """
        if self._error is not None:
            raise self._error
        whole = conform(rows, self._columns)
        if self._keys:
            self._key_parts.append(whole.select(self._keys))
        self._rows += rows.num_rows
        self._pieces.put(whole)

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
        return Written(tuple(self._writer.written), self._rows, keys)

    def discard(self) -> None:
        """Delete what is written."""
        self.close()
        self._thread.join()
        self._delete()

    def _delete(self) -> None:
        for file in self._writer.written:
            with contextlib.suppress(OSError):
                self._writer.io.delete(file.file_path)

    def _run(self) -> None:
        leave_signals()
        pieces = iter(self._pieces.get, None)
        try:
            self._write(pieces)
        except BaseException as error:  # noqa: BLE001 raised where it can be told
            self._error = error
            for _ in pieces:
                pass  # whoever brings more must not wait for ever

    def _write(self, pieces: Iterator[pa.Table]) -> None:
        for _ in self._writer.write_pieces(pieces):
            pass
