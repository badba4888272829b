"""How a full load reads: page range by page range, where a table has pages."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from dativo_core.sql.chunks import Pages
from dativo_core.sql.parallel import in_order
from dativo_core.sql.reading import Progress

from tap_postgres import queries
from tap_postgres.asking import ask_layout, ask_snapshot, hold, rewritten
from tap_postgres.bookmarks import Load

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from dativo_core.sql.chunks import PageRange
    from dativo_core.sql.reading import Event, Source

    from tap_postgres.asking import Layout
    from tap_postgres.catalog import Table
    from tap_postgres.client import Client
    from tap_postgres.connections import Connections

# Pages can be read by range since Postgres 14; before, each range costs a full scan.
_TID_RANGES_SINCE = 140_000


def plan(
    connections: Connections, table: Table, state: Mapping[str, t.Any], version: int
) -> WholeLoad | PagedLoad:
    """Continue an interrupted load if that is safe, else begin one."""
    marker = Load.from_state(state)
    if not table.physical:
        return WholeLoad(connections, version)
    with connections.lend() as client, client.transaction():
        [[server]] = client.ask("SELECT current_setting('server_version_num')::int4")
        if server < _TID_RANGES_SINCE:
            return WholeLoad(connections, version)
        snapshot = ask_snapshot(client)
        layout = ask_layout(client, table).fingerprint
    if marker and marker.can_resume(snapshot, layout):
        return PagedLoad(connections, table, marker)
    if marker:
        version = max(version, marker.version + 1)
    load = Load(version, 0, snapshot.horizon, snapshot.cluster, layout)
    return PagedLoad(connections, table, load)


@dataclass(frozen=True, slots=True)
class WholeLoad:
    """A load in one go: the relation cannot be read page by page."""

    connections: Connections
    version: int

    def events(self, source: Source) -> Iterator[Event]:
        """Read everything."""
        with self.connections.lend() as client:
            # Who rewrites a table locks it, and to a snapshot from before that it is
            # empty afterwards: so the wait for the lock comes first.
            with client.transaction():
                hold(client, source)
            with client.transaction():
                yield from client.read(source.query(), source.subject)


@dataclass(frozen=True, slots=True)
class PagedLoad:
    """A load that can go on after any page range."""

    connections: Connections
    table: Table
    load: Load

    @property
    def version(self) -> int:
        """The version that all its rows carry."""
        return self.load.version

    def events(self, source: Source) -> Iterator[Event]:
        """Read what changed on the pages that are done, then the other pages."""
        load = self.load
        with self.connections.snapshot(source.workers) as clients:
            client = clients[0]
            snapshot = ask_snapshot(client)
            hold(client, source)
            layout = ask_layout(client, self.table)
            if not load.can_resume(snapshot, layout.fingerprint):
                raise rewritten(source)
            if not load.next_page:
                # Rows older than what this run sees need no second look.
                load = replace(load, horizon=snapshot.horizon)
            else:
                changed = snapshot.since(load.horizon).sql
                done = f"ctid < '({load.next_page},0)'::tid"
                yield from client.read(source.query(done, changed), source.subject)
            readers = [PageReader(client, source) for client in clients]
            yield from _by_pages(readers, source, load, layout)


@dataclass(frozen=True, slots=True)
class PageReader:
    """Reads page ranges on one connection."""

    client: Client
    source: Source

    def read(self, chunk: PageRange) -> Iterator[pa.RecordBatch]:
        """Read a range."""
        query = self.source.query(queries.pages(chunk.first, chunk.end))
        return self.client.read(query, self.source.subject)

    def cancel(self) -> None:
        """Let the server stop what it does for this connection."""
        self.client.cancel()


def _by_pages(
    readers: Sequence[PageReader], source: Source, load: Load, layout: Layout
) -> Iterator[Event]:
    # An empty table is asked too: it may not be there any more, or not ours to read.
    pages = Pages(
        load.next_page,
        layout.last_page,
        chunk_rows=source.chunk_rows,
        rows=source.relation.rows or 0,
        pages=layout.pages,
    )
    rows = since = 0
    for chunk, batch in in_order(pages, readers, source.ahead_bytes):
        if batch is not None:
            rows += batch.num_rows
            yield batch
            continue
        pages.learn(chunk, rows)
        rows, since = 0, since + rows
        load = replace(load, next_page=chunk.end)
        if source.chunk_rows == source.state_rows or since >= source.state_rows:
            since = 0
            yield Progress({"full_table": load.to_state()})
