"""Hold decoded rows until a commit takes them: in memory, on disk, or in data files."""

from __future__ import annotations

import typing as t
import uuid
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from dativo_core.scratch import filling

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dativo_core.scratch import Scratch

    from target_parquet_iceberg.table import Ahead, Written

POSITION = "__dativo_position"
NOWHERE = -1


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows in memory or in a file, none of which came after the place `last`."""

    held: pa.Table | Path
    schema: pa.Schema
    rows: int
    bytes: int
    last: int

    def table(self) -> pa.Table:
        """Return the rows; what is on disk is mapped."""
        if isinstance(self.held, pa.Table):
            return self.held
        return pa.ipc.open_file(pa.memory_map(str(self.held))).read_all()

    def take(self) -> pa.Table:
        """Return the rows in memory, and delete their file."""
        if isinstance(self.held, pa.Table):
            return self.held
        # What is mapped counts as memory of the process until all of it is let go.
        with pa.OSFile(str(self.held)) as file:
            rows = pa.ipc.open_file(file).read_all()
        self.held.unlink()
        return rows


@dataclass(frozen=True, slots=True)
class _Piece:
    """Parts of one schema, to be written together."""

    parts: tuple[_Part, ...]

    @property
    def num_rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    def take(self) -> pa.Table:
        tables = [part.take().drop_columns([POSITION]) for part in self.parts]
        return pa.concat_tables(tables)


class Stage:
    """The rows of one stream that no commit has taken yet, in order of arrival.

    Args:
        scratch: Where rows go that are too many for memory.
    """

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._parts: deque[_Part] = deque()
        self._ahead: Ahead | None = None
        self._schema: pa.Schema | None = None
        self.memory_bytes = 0
        self.rows = 0
        self.bytes = 0

    @property
    def is_ahead(self) -> bool:
        """Tell whether rows are in data files already."""
        return self._ahead is not None

    @property
    def columns(self) -> pa.Schema | None:
        """The columns of the rows that came first, of those not in data files."""
        if not self._parts:
            return None
        return _bare(self._parts[0].schema)

    def add(self, rows: pa.Table) -> None:
        """Take decoded rows, each with its place in the column `POSITION`."""
        last = self._parts[-1].last if self._parts else NOWHERE
        if rows.num_rows:
            last = rows[POSITION][-1].as_py()
        self._parts.append(_Part(rows, rows.schema, rows.num_rows, rows.nbytes, last))
        self.memory_bytes += rows.nbytes
        self.rows += rows.num_rows
        self.bytes += rows.nbytes

    def tables(self) -> Iterator[pa.Table]:
        """Yield what is in no data file; what is on disk is mapped, not read."""
        for part in self._parts:
            yield part.table()

    def measure(self, before: int) -> int:
        """Measure in bytes what `write_ahead` would take."""
        size = 0
        for part in self._parts:
            if part.last >= before:
                break
            size += part.bytes
        return size

    def begin(self, ahead: Ahead) -> None:
        """Let the rows go into data files, as long as their columns stay the same."""
        self._ahead, self._schema = ahead, self.columns

    def write_ahead(self, before: int) -> bool:
        """Write the first rows into data files, those that came before a place.

        Returns:
            Whether there were any.
        """
        has_some, ahead = False, self._ahead
        if ahead is not None:
            for piece in _gathered(self._taken(before), ahead.piece_bytes):
                ahead.write(piece)
                has_some = True
        return has_some

    def close(self, before: int) -> None:
        """Do the same for the last time, and do not wait for the end of it."""
        if self._ahead is not None:
            self.write_ahead(before)
            self._ahead.close()

    def finish(self) -> Written | None:
        """Give away the data files, once they are complete."""
        if self._ahead is None:
            return None
        written = self._ahead.finish()
        self._ahead = None
        return written

    def spill(self) -> None:
        """Move what is in memory to disk."""
        self._parts = deque(map(self._on_disk, self._parts))
        self.memory_bytes = 0

    def clear(self) -> None:
        """Forget everything, also on disk."""
        if self._ahead is not None:
            self._ahead.discard()
            self._ahead = None
        for part in self._parts:
            if isinstance(part.held, Path):
                part.held.unlink(missing_ok=True)
        self._parts.clear()
        self.memory_bytes = self.rows = self.bytes = 0

    def _taken(self, before: int) -> Iterator[_Part]:
        while self._parts and self._parts[0].last < before:
            if _bare(self._parts[0].schema) != self._schema:
                return
            part = self._parts.popleft()
            if isinstance(part.held, pa.Table):
                self.memory_bytes -= part.bytes
            yield part

    def _on_disk(self, part: _Part) -> _Part:
        if not isinstance(part.held, pa.Table):
            return part
        path = self._scratch.path / f"{uuid.uuid4().hex}.arrow"
        with (
            filling(),
            pa.ipc.new_file(str(path), part.held.schema) as writer,
        ):
            writer.write_table(part.held)
        return replace(part, held=path)


def _gathered(parts: Iterable[_Part], most_bytes: int) -> Iterator[_Piece]:
    """Put parts together, as many as one piece should have."""
    held: list[_Part] = []
    for part in parts:
        if held and _Piece((*held, part)).bytes > most_bytes:
            yield _Piece(tuple(held))
            held.clear()
        held.append(part)
    if held:
        yield _Piece(tuple(held))


def _bare(schema: pa.Schema) -> pa.Schema:
    return schema.remove(schema.get_field_index(POSITION))
