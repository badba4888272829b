"""Hold decoded rows until a STATE covers them; beyond a limit, on disk."""

from __future__ import annotations

import typing as t
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SPILL_BYTES = 64 * 2**20


class Stage:
    """The rows of one stream that no commit has taken yet, in order of arrival."""

    def __init__(self, spill_bytes: int = SPILL_BYTES) -> None:
        self._spill_bytes = spill_bytes
        self._in_memory: list[pa.Table] = []
        self._on_disk: list[Path] = []
        self._folder: TemporaryDirectory[str] | None = None
        self._memory_bytes = 0
        self.rows = 0
        self.bytes = 0

    def add(self, rows: pa.Table) -> None:
        """Take decoded rows; move everything to disk when memory is full."""
        self._in_memory.append(rows)
        self._memory_bytes += rows.nbytes
        self.rows += rows.num_rows
        self.bytes += rows.nbytes
        if self._memory_bytes > self._spill_bytes:
            self._spill()

    def tables(self) -> Iterator[pa.Table]:
        """Yield what is held; spilled parts are mapped into memory, not read."""
        for path in self._on_disk:
            yield pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        yield from self._in_memory

    def clear(self) -> None:
        """Forget everything, also on disk."""
        self._in_memory.clear()
        self._on_disk.clear()
        self._memory_bytes = self.rows = self.bytes = 0
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="dativo-")
        for table in self._in_memory:
            path = Path(self._folder.name) / f"{len(self._on_disk)}.arrow"
            with pa.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table)
            self._on_disk.append(path)
        self._in_memory.clear()
        self._memory_bytes = 0
