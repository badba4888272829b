"""A full load: the rows in the order of their key, from where it was interrupted."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from dativo_core.sql.parallel import in_order
from dativo_core.sql.reading import Progress, pieces

from tap_mysql import queries

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from dativo_core.sql.reading import Event, Source

    from tap_mysql.catalog import Table
    from tap_mysql.client import Client
    from tap_mysql.connections import Connections

Values: t.TypeAlias = "tuple[t.Any, ...]"


@dataclass(frozen=True, slots=True)
class Load:
    """A full load of one table.

    Attributes:
        after: Values of the key: rows up to there have been read by a run before.
    """

    connections: Connections
    table: Table
    version: int
    after: Values = ()

    @property
    def columns(self) -> list[str]:
        """The columns whose values mark how far the load has come."""
        return [key.name for key in self.table.path]

    def to_state(self) -> dict[str, t.Any]:
        """Return the marker from which another run goes on."""
        marker = {"version": self.version, "key": self.columns}
        return {"full_table": {**marker, "after": list(self.after)}}

    def events(self, source: Source) -> Iterator[Event]:
        """Read everything that is left, as it is at one moment."""
        count = source.workers if self.table.path else 1
        with self.connections.snapshot(source.name, count) as clients:
            readers = [RangeReader(client, source, self.table) for client in clients]
            if len(readers) == 1:
                yield from self._alone(readers[0], source)
            else:
                yield from self._together(readers, source)

    def _alone(self, reader: RangeReader, source: Source) -> Iterator[Event]:
        rows, load = 0, self
        read = reader.read(Range(self.after, ()))
        for batch in pieces(read, source.state_rows):
            yield batch
            rows += batch.num_rows
            if load.columns and rows >= source.state_rows:
                after = last_values(batch, self.columns)
                # A zero date may come as null, which says not where it lies.
                if None not in after:
                    rows = 0
                    load = replace(load, after=after)
                    yield Progress(load.to_state())

    def _together(
        self, readers: Sequence[RangeReader], source: Source
    ) -> Iterator[Event]:
        rows, load = 0, self
        with self.connections.lend() as planner, planner.transaction():
            ranges = _ranges(RangeReader(planner, source, self.table), self.after)
            for chunk, batch in in_order(ranges, readers, source.ahead_bytes):
                if batch is not None:
                    rows += batch.num_rows
                    yield batch
                elif chunk.until:
                    load = replace(load, after=chunk.until)
                    if rows >= source.state_rows:
                        rows = 0
                        yield Progress(load.to_state())


def plan(
    connections: Connections, table: Table, state: Mapping[str, t.Any], version: int
) -> Load:
    """Continue an interrupted load if the table has the same key, else begin one."""
    load = Load(connections, table, version)
    marker = state.get("full_table")
    if not marker:
        return load
    if load.columns and marker.get("key") == load.columns:
        after = tuple(marker["after"])
        return replace(load, version=marker["version"], after=after)
    return replace(load, version=max(version, marker["version"] + 1))


@dataclass(frozen=True, slots=True)
class Range:
    """Rows behind a key, up to another one; no values mean no limit."""

    after: Values
    until: Values


@dataclass(frozen=True, slots=True)
class RangeReader:
    """Reads ranges of a table on one connection."""

    client: Client
    source: Source
    table: Table

    def read(self, chunk: Range) -> Iterator[pa.RecordBatch]:
        """Read a range, in the order of the key."""
        path, source = self.table.path, self.source
        query = source.query(
            queries.behind(path, chunk.after) if chunk.after else "",
            queries.up_to(path, chunk.until) if chunk.until else "",
            order=queries.in_order(path),
        )
        made_of = forms(self.table, source)
        return self.client.read(query, source.subject, made_of, native=source.native)

    def cancel(self) -> None:
        """Let the server stop what it does for this connection."""
        self.client.cancel()

    def key_at(self, after: Values) -> Values:
        """Return the key at the end of a chunk; nothing if no row lies behind it."""
        keys = [key.name for key in self.table.path]
        columns = {
            key.name: replace(self.source.columns[key.name], select=key.sql)
            for key in self.table.path
        }
        source = replace(self.source, columns=columns, where=(), limit=1, native=False)
        query = source.query(
            queries.behind(self.table.path, after) if after else "",
            order=queries.in_order(self.table.path),
        )
        query = f"{query} OFFSET {self.source.chunk_rows - 1}"
        made_of = forms(self.table, source)
        # Read to its end, or the connection would be of no use any more.
        found = [*self.client.read(query, self.source.subject, made_of)]
        return last_values(found[-1], keys) if found else ()


def _ranges(planner: RangeReader, after: Values) -> Iterator[Range]:
    """Cut the table, a range ahead of those who read."""
    while until := planner.key_at(after):
        yield Range(after, until)
        after = until
    yield Range(after, ())


def forms(table: Table, source: Source) -> dict[str, t.Any]:
    """Return what is to be made of the columns that are read."""
    return {name: table.described[name].form for name in source.columns}


def last_values(batch: pa.RecordBatch, columns: list[str]) -> Values:
    """Return values of the last row, as records have them."""
    from dativo_core.typed_columns import recorded  # noqa: PLC0415 pyarrow

    last = batch.slice(batch.num_rows - 1)
    return tuple(recorded(last.column(name))[0].as_py() for name in columns)
