"""How a full load reads: page range by page range, where a table has pages."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from dativo_core.errors import TryLaterError
from dativo_core.sql.reading import Progress

from tap_postgres import bookmarks, queries
from tap_postgres.asking import ask_layout, ask_snapshot
from tap_postgres.bookmarks import Load

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dativo_core.sql.reading import Event, Source

    from tap_postgres.asking import Layout
    from tap_postgres.catalog import Table
    from tap_postgres.client import Client

# Pages can be read by range since Postgres 14; before, each range costs a full scan.
_TID_RANGES_SINCE = 140_000


def plan(
    client: Client, table: Table, state: Mapping[str, t.Any], version: int
) -> WholeLoad | PagedLoad:
    """Continue an interrupted load if that is safe, else begin one."""
    marker = Load.from_state(state)
    if not table.physical:
        return WholeLoad(client, version)
    with client.transaction():
        [[server]] = client.ask("SELECT current_setting('server_version_num')::int4")
        if server < _TID_RANGES_SINCE:
            return WholeLoad(client, version)
        snapshot = ask_snapshot(client)
        layout = ask_layout(client, table).fingerprint
    if marker and marker.can_resume(snapshot, layout):
        return PagedLoad(client, table, marker)
    if marker:
        version = max(version, marker.version + 1)
    load = Load(version, 0, snapshot.horizon, snapshot.cluster, layout)
    return PagedLoad(client, table, load)


@dataclass(frozen=True, slots=True)
class WholeLoad:
    """A load in one go: the relation cannot be read page by page."""

    client: Client
    version: int

    def events(self, source: Source) -> Iterator[Event]:
        """Read everything."""
        with self.client.transaction():
            yield from self.client.read(source.query(), source.subject)


@dataclass(frozen=True, slots=True)
class PagedLoad:
    """A load that can go on after any page range."""

    client: Client
    table: Table
    load: Load

    @property
    def version(self) -> int:
        """The version that all its rows carry."""
        return self.load.version

    def events(self, source: Source) -> Iterator[Event]:
        """Read what changed on the pages that are done, then the other pages."""
        client, load = self.client, self.load
        with client.transaction():
            snapshot = ask_snapshot(client)
            layout = ask_layout(client, self.table)
            if not load.can_resume(snapshot, layout.fingerprint):
                stream = source.relation.stream
                msg = f"Table of stream '{stream}' was rewritten meanwhile."
                raise TryLaterError(msg, hint="Run again.")
            if not load.next_page:
                # Rows older than what this run sees need no second look.
                load = replace(load, horizon=snapshot.horizon)
            else:
                changed = snapshot.since(load.horizon).sql
                done = f"ctid < '({load.next_page},0)'::tid"
                yield from client.read(source.query(done, changed), source.subject)
            yield from _by_pages(client, source, load, layout)


def _by_pages(
    client: Client, source: Source, load: Load, layout: Layout
) -> Iterator[Event]:
    rows, pages = source.relation.rows or 0, layout.pages
    is_done = False
    # An empty table is asked too: it may not be there any more, or not ours to read.
    while not is_done:
        size = bookmarks.pages_of_a_chunk(source.state_rows, rows, pages)
        end = load.next_page + size
        if not load.next_page:
            rows = pages = 0
        where = queries.pages(load.next_page, end)
        for batch in client.read(source.query(where), source.subject):
            rows += batch.num_rows
            yield batch
        pages += size
        is_done = end >= layout.last_page
        load = replace(load, next_page=end)
        yield Progress({"full_table": load.to_state()})
