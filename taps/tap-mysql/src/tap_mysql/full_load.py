"""A full load: the rows in the order of their key, from where it was interrupted."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from dativo_core.sql.reading import Progress, pieces

from tap_mysql import queries

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from dativo_core.sql.pool import Pool
    from dativo_core.sql.reading import Event, Source

    from tap_mysql.catalog import Table
    from tap_mysql.client import Client


@dataclass(frozen=True, slots=True)
class Load:
    """A full load of one table.

    Attributes:
        after: Values of the key: rows up to there have been read by a run before.
    """

    connections: Pool[Client]
    table: Table
    version: int
    after: tuple[t.Any, ...] = ()

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
        path = self.table.path
        where = queries.behind(path, self.after) if self.after else ""
        query = source.query(where, order=queries.in_order(path))
        rows, load = 0, self
        with self.connections.lend() as client, client.transaction():
            read = client.read(
                query, source.subject, forms(self.table, source), native=source.native
            )
            for batch in pieces(read, source.state_rows):
                yield batch
                rows += batch.num_rows
                if path and rows >= source.state_rows:
                    rows = 0
                    load = replace(load, after=last_values(batch, self.columns))
                    yield Progress(load.to_state())


def plan(
    connections: Pool[Client], table: Table, state: Mapping[str, t.Any], version: int
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


def forms(table: Table, source: Source) -> dict[str, t.Any]:
    """Return what is to be made of the columns that are read."""
    return {name: table.described[name].form for name in source.columns}


def last_values(batch: pa.RecordBatch, columns: list[str]) -> tuple[t.Any, ...]:
    """Return values of the last row, as records have them."""
    from dativo_core.typed_columns import recorded  # noqa: PLC0415 pyarrow

    last = batch.slice(batch.num_rows - 1)
    return tuple(recorded(last.column(name))[0].as_py() for name in columns)
