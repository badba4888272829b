"""The seam between a stream and its database: what to read, and how rows come."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from dativo_core.sql.comparing import Digesting
    from dativo_core.sql.dialect import Dialect
    from dativo_core.sql.relation import Column, Relation, Value

State: t.TypeAlias = "dict[str, t.Any]"

AHEAD_BYTES = 64 * 2**20
AHEAD_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Progress:
    """All batches so far are covered by this state of the stream."""

    state: State


Event: t.TypeAlias = "pa.RecordBatch | Progress"


@dataclass(frozen=True, slots=True)
class Source:
    """What to read of a relation.

    Attributes:
        where: Conditions that rows must meet, all of them.
        state_rows: About how many rows lie between two states.
        limit: Read no more rows than this (for a test of the connection).
        parallel: How many chunks may be read at the same time.
        ahead_bytes: How much of them may wait for its turn.
        native: Ask for the types of a BATCH file, not for those of RECORD lines.
    """

    relation: Relation
    dialect: Dialect
    columns: Mapping[str, Value]
    where: tuple[str, ...]
    state_rows: int
    limit: int | None = None
    parallel: int = 1
    ahead_bytes: int = AHEAD_BYTES
    native: bool = False

    @property
    def name(self) -> str:
        """The quoted, qualified relation."""
        return self.dialect.qualified(self.relation.schema, self.relation.name)

    @property
    def workers(self) -> int:
        """How many connections pay off: no more than the table has chunks."""
        rows = self.relation.rows
        if rows is None:
            return self.parallel
        return min(self.parallel, 1 + rows // self.chunk_rows)

    @property
    def chunk_rows(self) -> int:
        """About how many rows a connection reads at once."""
        if self.parallel == 1:
            return self.state_rows
        # A chunk that is read ahead must fit into what may wait.
        return min(self.state_rows, AHEAD_ROWS)

    @property
    def digest(self) -> str:
        """What is asked of each row: loads that differ in it cannot share a version."""
        columns = [(n, v.select, v.schema) for n, v in self.columns.items()]
        asked = json.dumps([columns, self.where], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()[:16]

    @property
    def subject(self) -> str:
        """What is being read, for messages; it names what a user may have got wrong."""
        words = self.dialect.without_literals(" and ".join(self.where))
        clauses = f" where {words}" if words else ""
        return f"Reading stream '{self.relation.stream}'{clauses} from"

    def query(self, *conditions: str, order: str = "") -> str:
        """Return the SQL for the rows that meet the conditions."""
        return self.dialect.select(
            self.name,
            [
                (value.native if self.native else value.select, name)
                for name, value in self.columns.items()
            ],
            [condition for condition in (*conditions, *self.where) if condition],
            order=order,
            limit=self.limit,
        )


class FullLoad(t.Protocol):
    """A full load that is planned, and may be the rest of an interrupted one."""

    @property
    def version(self) -> int:
        """The version that all its rows carry."""

    def events(self, source: Source) -> Iterator[Event]:
        """Read everything that is left; `Progress` where another run could go on."""


class Reader(t.Protocol):
    """Reads one relation, in the way of its database."""

    @property
    def dialect(self) -> Dialect:
        """How the database spells names."""

    @property
    def digesting(self) -> Digesting:
        """How the database digests values, for a comparison."""

    def plan(
        self, source: Source, state: Mapping[str, t.Any], version: int
    ) -> FullLoad:
        """Continue the full load that the state tells of if that is safe, else begin.

        Args:
            source: What to read.
            state: The stream's, or nothing if the load must not go on.
            version: For a load that begins; a higher one if the state has this one.
        """

    def incremental(
        self, source: Source, cursor: Column, state: Mapping[str, t.Any]
    ) -> Iterator[Event]:
        """Read what no run before has read, in the order of the cursor."""


def pieces(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of no more than so many rows."""
    for batch in batches:
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)
