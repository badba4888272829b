"""How an incremental run reads: what no run before has read."""

from __future__ import annotations

import logging
import typing as t
from dataclasses import dataclass, replace

from dativo_core.sql.reading import Progress, pieces

from tap_postgres import bookmarks, queries, ties
from tap_postgres.asking import (
    ask_activity,
    ask_layout,
    ask_snapshot,
    hold,
    rewritten,
)
from tap_postgres.bookmarks import Activity, Bookmark, Checkpoint, Snapshot
from tap_postgres.ties import Complete, last_ordinary

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dativo_core.sql.reading import Event, Source

    from tap_postgres.catalog import Table
    from tap_postgres.client import Client
    from tap_postgres.queries import Cursor, Window

logger = logging.getLogger(__name__)


def incremental(
    client: Client,
    table: Table,
    source: Source,
    cursor: Cursor,
    state: Mapping[str, t.Any],
) -> Iterator[Event]:
    """Read the row versions that no run before has read."""
    before = ask_activity(client, table)
    if not before.is_complete:
        logger.warning(
            "Open transactions of others hide their start, are prepared, or run on "
            "another server: more rows are scanned (not sent) until this user has "
            "pg_read_all_stats and no transaction is prepared."
        )
    if not table.physical:
        yield from _computed(client, source, cursor, state, before)
        return
    with client.transaction():
        top, taken_at = client.ask(queries.highest(source.name, cursor))[0]
        layout = ask_layout(client, table)
    open_since = before.since if before.is_complete else None
    checkpoint = Checkpoint(taken_at, top, open_since)
    after = ask_activity(client, table)
    with client.transaction():
        snapshot = ask_snapshot(client)
        hold(client, source)
        if ask_layout(client, table).fingerprint != layout.fingerprint:
            raise rewritten(source)
        found = Bookmark.from_state(state, cursor.name)
        previous = bookmarks.usable(found, snapshot)
        if found.horizon is not None and previous.horizon is None:
            logger.warning(
                "The state is of another server, or too old: ties come again."
            )
        if previous.planned:
            scan = _Scan(client, source, cursor, previous, previous.planned)
            yield from scan.events(snapshot, previous.after)
            previous = scan.reached
        planned = bookmarks.plan(previous, snapshot, checkpoint, before, after)
        if table.kind == "m":
            # A refresh writes rows long after the time they carry.
            planned = replace(planned, scan_from=None)
        scan = _Scan(client, source, cursor, previous, planned)
        yield from scan.events(snapshot, previous.start)


@dataclass(slots=True)
class _Scan:
    """From one bookmark to the next, in the order of the cursor."""

    client: Client
    source: Source
    cursor: Cursor
    previous: Bookmark
    reached: Bookmark

    def events(self, snapshot: Snapshot, start: t.Any) -> Iterator[Event]:
        """Yield batches, and states from which an interrupted scan goes on."""
        if self.reached.horizon is None:
            return
        window = snapshot.window(self.previous.horizon, self.reached.horizon)
        last = self.previous.after if self.previous.planned else None
        rows, name = self.source.state_rows, self.cursor.name
        answer = self.client.read(self._query(window, start), self.source.subject)
        for found in ties.cut(pieces(answer, rows), name, rows):
            if isinstance(found, Complete):
                pending = self.previous.interrupted(
                    found.value, self.reached, has_ties=self.cursor.is_exact
                )
                yield Progress(pending.to_state(name))
            else:
                yield found
                last = last_ordinary(found, name, last)
        value = _highest(self.client, self.cursor, self.previous.value, last)
        self.reached = replace(self.reached, value=value)
        yield Progress(self.reached.to_state(self.cursor.name))

    def _query(self, window: Window, start: t.Any) -> str:
        bound = ""
        if start is not None:
            is_ours = self.previous.horizon is not None
            bound = queries.at_least(self.cursor, start, slack=is_ours)
            if self.previous.planned and self.previous.has_ties:
                bound = queries.above(self.cursor, start)
        # Nulls last, as an index has them, so that an index can give the order.
        return self.source.query(bound, window.sql, order=self.cursor.sql)


def _computed(
    client: Client,
    source: Source,
    cursor: Cursor,
    state: Mapping[str, t.Any],
    activity: Activity,
) -> Iterator[Event]:
    """Read rows without transaction numbers: ties at the last value come again."""
    previous = Bookmark.from_state(state, cursor.name)
    value = previous.value
    bound = "" if value is None else queries.at_least(cursor, value)
    is_capped = cursor.type in queries.TIME_TYPES and activity.is_complete
    cap = queries.before(cursor, activity.since) if is_capped else ""
    # Without a cap a late commit may lie below what was read: do not move on.
    can_advance = is_capped or cursor.type not in queries.TIME_TYPES
    query = source.query(bound, cap, order=cursor.sql)
    rows = 0
    with client.transaction():
        answer = client.read(query, source.subject)
        for batch in pieces(answer, source.state_rows):
            yield batch
            value = last_ordinary(batch, cursor.name, value)
            rows += batch.num_rows
            if rows >= source.state_rows and can_advance:
                rows = 0
                yield Progress(Bookmark(value).to_state(cursor.name))
    reached = Bookmark(value if can_advance else previous.value)
    yield Progress(reached.to_state(cursor.name))


def _highest(client: Client, cursor: Cursor, old: t.Any, new: t.Any) -> t.Any:
    if old is None or new is None:
        return old if new is None else new
    [[is_later]] = client.ask(queries.is_later(cursor, new, old))
    return new if is_later else old
