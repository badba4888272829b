"""The seam between the loading loop and the formats it can write."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from target_parquet_iceberg.plan import Deletes

if t.TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from dativo_core.dead_letters import Mirror

    from target_parquet_iceberg.manifest import BatchFile
    from target_parquet_iceberg.plan import Method, Plan

REPLAYED = "Stream '%s': replay %s is in the table already; nothing was added."
KEPT_REPLAYS = 255
Json: t.TypeAlias = dict[str, t.Any]


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A Parquet file of a BATCH that may become part of the table as it is.

    Args:
        file: Where it is.
        footer: Its metadata.
        first: The place of its first row among all that the stream has brought.
        after: How many of a commit's rows came before it.
    """

    file: BatchFile
    footer: pq.FileMetaData
    first: int
    after: int = 0

    @property
    def rows(self) -> int:
        """Count its rows."""
        return int(self.footer.num_rows)


@dataclass(frozen=True, slots=True)
class Written:
    """Rows that are in data files before their commit.

    Args:
        files: What the table's format knows of each file.
        rows: How many there are.
        keys: Their key columns; None where rows have no keys, or did not stay in order.
        gone: Keys that the source has deleted; none is among the rows.
    """

    files: tuple[t.Any, ...]
    rows: int
    keys: pa.Table | None = None
    gone: pa.Table | None = None


class Piece(t.Protocol):
    """Rows to be written together, in memory or on disk."""

    @property
    def num_rows(self) -> int:
        """Count the rows."""

    @property
    def bytes(self) -> int:
        """Measure what they take in memory."""

    def take(self) -> pa.Table:
        """Return the rows, once."""


class Ahead(t.Protocol):
    """Writes rows of a commit to come into data files that nobody reads yet."""

    @property
    def piece_bytes(self) -> int:
        """How large a piece should be at most."""

    def write(self, piece: Piece) -> None:
        """Take the rows that come next; waits until there is memory for them.

        Raises:
            OSError: if earlier rows could not be written.
        """

    def close(self) -> None:
        """Take no more rows; does not wait."""

    def finish(self) -> Written:
        """Return what is written, once it is complete; the files are the caller's.

        Raises:
            OSError: if they could not be written.
        """

    def discard(self) -> None:
        """Delete what is written."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one table takes in one step: all of it becomes visible, or nothing.

    Args:
        rows: New rows in order of arrival; later ones win over earlier ones.
        method: What happens to the rows that are there already.
        keys: Columns that identify a row, for upserts.
        bookmark: The stream's part of the STATE that covers the rows, if there is one.
        version: The full load that the rows belong to; readers see none of it before
            a commit `publishes` all of it.
        started_from: The bookmark that the tap began this run with, if it told.
        gone: Keys of the rows that the source has deleted; none is among `rows`.
        files: More rows, in files.
        replay: The replay of dead letters that the rows are; the table takes it once.
        written: More rows, in data files of the table; they came before all others.
        deletes: What a time of deletion in a row means.
    """

    rows: pa.Table | None
    method: Method
    keys: tuple[str, ...]
    bookmark: Json | None
    version: int | None = None
    publishes: bool = True
    started_from: Json | None = None
    gone: pa.Table | None = None
    replay: str | None = None
    files: tuple[HeldFile, ...] = ()
    written: Written | None = None
    deletes: Deletes = Deletes.NONE

    @property
    def count(self) -> int:
        """Count the new rows."""
        in_files = sum(file.rows for file in self.files)
        in_files += self.written.rows if self.written is not None else 0
        return in_files + (self.rows.num_rows if self.rows is not None else 0)


class Table(t.Protocol):
    """One table of the warehouse, owned by this run while it goes on."""

    can_stage: bool
    """Whether parts of a full load can be durable before they are visible."""

    def columns(self) -> pa.Schema | None:
        """Return the table's columns; None where files need not agree on them."""

    def has_bookmark(self) -> bool:
        """Tell whether a STATE has ever covered rows of the table."""

    def knows(self, version: int) -> bool:
        """Tell whether a part of this full load is durable already."""

    def repeats(self, commit: Commit, *, is_end: bool) -> bool:
        """Tell whether the tap is still sending rows again that the table has."""

    def adopts(self, commit: Commit) -> bool:
        """Tell whether such a commit could take the files as they are."""

    def ahead(self, commit: Commit, columns: pa.Schema) -> Ahead | None:
        """Return what writes rows before such a commit.

        None where the commit has to see all rows, in memory or on disk.
        """

    def commit(self, commit: Commit) -> None:
        """Make the commit durable and visible.

        Raises:
            FencedError: if another run has committed to the table meanwhile.
        """


class Warehouse(t.Protocol):
    """Opens tables."""

    @property
    def letters(self) -> Mirror | None:
        """Where dead letters can be queried, if there is such a place."""

    def table(self, plan: Plan) -> Table:
        """Return the table of a stream, made where it does not exist."""

    def maintain(self) -> None:
        """Look after the tables that this run has opened; a failure is a warning."""
