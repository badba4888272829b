"""How a full load and an incremental run read: batches, and what to remember."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, replace

from dativo_core.errors import TryLaterError

from tap_postgres import bookmarks, queries
from tap_postgres.bookmarks import Activity, Bookmark, Checkpoint, Load, Snapshot

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from tap_postgres.catalog import Relation
    from tap_postgres.client import Client
    from tap_postgres.queries import Cursor, Window
    from tap_postgres.values import Value

_SPECIAL = {"NaN", "Infinity", "-Infinity", "infinity", "-infinity"}
# Pages can be read by range since Postgres 14; before, each range costs a full scan.
_TID_RANGES_SINCE = 140_000


@dataclass(frozen=True, slots=True)
class Progress:
    """All batches so far are covered by this state of the stream."""

    state: dict[str, t.Any]


Event: t.TypeAlias = "pa.RecordBatch | Progress"


@dataclass(frozen=True, slots=True)
class Source:
    """What to read of a relation.

    Attributes:
        state_rows: About how many rows lie between two states.
        limit: Read no more rows than this (for a test of the connection).
        native: Ask for the types of a BATCH file, not for those of RECORD lines.
    """

    relation: Relation
    columns: Mapping[str, Value]
    where: tuple[str, ...]
    state_rows: int
    limit: int | None = None
    native: bool = False

    @property
    def name(self) -> str:
        """The quoted, qualified relation."""
        return queries.qualified(self.relation.schema, self.relation.name)

    @property
    def subject(self) -> str:
        """What is being read, for messages; it names what a user may have got wrong."""
        words = queries.without_literals(" and ".join(self.where))
        clauses = f" where {words}" if words else ""
        return f"Reading stream '{self.relation.stream}'{clauses} from"

    def query(self, *conditions: str, order: str = "") -> str:
        """Return the SQL for the rows that meet the conditions."""
        return queries.select(
            self.name,
            [
                (value.native if self.native else value.select, name)
                for name, value in self.columns.items()
            ],
            [condition for condition in (*conditions, *self.where) if condition],
            order=order,
            limit=self.limit,
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """The files behind a table and its parts."""

    last_page: int
    pages: int
    fingerprint: str


def ask_snapshot(client: Client) -> Snapshot:
    """Describe the snapshot of the present transaction."""
    return Snapshot.from_row(*client.ask(queries.SNAPSHOT)[0])


def ask_activity(client: Client) -> Activity:
    """Look who else is at work."""
    with client.transaction():
        taken_at, oldest, hidden, prepared, standby = client.ask(queries.ACTIVITY)[0]
    is_complete = not (hidden or prepared or standby)
    return Activity(taken_at, oldest, is_complete=is_complete)


def ask_layout(client: Client, relation: Relation) -> Layout:
    """Measure the table."""
    last_page, pages, fingerprint = client.ask(
        queries.LAYOUT.replace("{oid}", str(relation.oid))
    )[0]
    return Layout(last_page, pages, fingerprint)


def plan_load(
    client: Client, source: Source, marker: Load | None, version: int
) -> Load | None:
    """Continue an interrupted load if that is safe, else begin one.

    None if the relation cannot be read page by page. Without a key the target could
    not merge rows that changed between two runs, so such a load starts over.
    """
    if not source.relation.physical:
        return None
    with client.transaction():
        [[server]] = client.ask("SELECT current_setting('server_version_num')::int4")
        if server < _TID_RANGES_SINCE:
            return None
        snapshot = ask_snapshot(client)
        layout = ask_layout(client, source.relation).fingerprint
    if marker and marker.can_resume(snapshot, layout):
        return marker
    if marker:
        version = max(version, marker.version + 1)
    return Load(version, 0, snapshot.horizon, snapshot.cluster, layout)


def full_table(
    client: Client, source: Source, load: Load | None, *, resumable: bool
) -> Iterator[Event]:
    """Read everything, page range by page range where that is possible."""
    with client.transaction():
        if load is None:
            yield from client.read(source.query(), source.subject)
            return
        snapshot = ask_snapshot(client)
        layout = ask_layout(client, source.relation)
        if not load.can_resume(snapshot, layout.fingerprint):
            msg = f"Table of stream '{source.relation.stream}' was rewritten meanwhile."
            raise TryLaterError(msg, hint="Run again.")
        if not load.next_page:
            # Rows older than what this run sees need no second look.
            load = replace(load, horizon=snapshot.horizon)
        else:
            changed = snapshot.since(load.horizon).sql
            done = f"ctid < '({load.next_page},0)'::tid"
            yield from client.read(source.query(done, changed), source.subject)
        for event in _by_pages(client, source, load, layout):
            if resumable or not isinstance(event, Progress):
                yield event


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


def incremental(
    client: Client,
    source: Source,
    cursor: Cursor,
    state: Mapping[str, t.Any],
    logger: logging.Logger,
) -> Iterator[Event]:
    """Read the row versions that no run before has read."""
    before = ask_activity(client)
    if not before.is_complete:
        logger.warning(
            "Open transactions of others hide their start, are prepared, or run on "
            "another server: more rows are scanned (not sent) until this user has "
            "pg_read_all_stats and no transaction is prepared."
        )
    if not source.relation.physical:
        yield from _computed(client, source, cursor, state, before)
        return
    with client.transaction():
        top, taken_at = client.ask(queries.highest(source.name, cursor))[0]
    open_since = before.since if before.is_complete else None
    checkpoint = Checkpoint(taken_at, top, open_since)
    after = ask_activity(client)
    with client.transaction():
        snapshot = ask_snapshot(client)
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
        if source.relation.kind == "m":
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
        rows = 0
        query = self._query(window, start)
        for batch in _pieces(self.client, self.source, query):
            yield batch
            last = _last(batch, self.cursor.name, last)
            rows += batch.num_rows
            if rows >= self.source.state_rows and last is not None:
                rows = 0
                pending = self.previous.interrupted(last, self.reached)
                yield Progress(pending.to_state(self.cursor.name))
        value = _highest(self.client, self.cursor, self.previous.value, last)
        self.reached = replace(self.reached, value=value)
        yield Progress(self.reached.to_state(self.cursor.name))

    def _query(self, window: Window, start: t.Any) -> str:
        is_ours = self.previous.horizon is not None
        bound = (
            "" if start is None else queries.at_least(self.cursor, start, slack=is_ours)
        )
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
        for batch in _pieces(client, source, query):
            yield batch
            value = _last(batch, cursor.name, value)
            rows += batch.num_rows
            if rows >= source.state_rows and can_advance:
                rows = 0
                yield Progress(Bookmark(value).to_state(cursor.name))
    reached = Bookmark(value if can_advance else previous.value)
    yield Progress(reached.to_state(cursor.name))


def _pieces(client: Client, source: Source, query: str) -> Iterator[pa.RecordBatch]:
    """Yield batches no larger than the rows between two states."""
    for batch in client.read(query, source.subject):
        for start in range(0, batch.num_rows, source.state_rows):
            yield batch.slice(start, source.state_rows)


def _last(batch: pa.RecordBatch, column: str, otherwise: t.Any) -> t.Any:
    """Return the last ordinary cursor value of a batch in order."""
    from dativo_core.typed_columns import recorded  # noqa: PLC0415 pyarrow

    values = batch.column(column)
    for index in range(len(values) - 1, -1, -1):
        [value] = recorded(values.slice(index, 1)).to_pylist()
        if isinstance(value, str) and value.startswith('"'):
            value = json.loads(value)
        if value is None:
            continue
        if str(value) not in _SPECIAL and value == value:  # noqa: PLR0124 NaN
            return value
    return otherwise


def _highest(client: Client, cursor: Cursor, old: t.Any, new: t.Any) -> t.Any:
    if old is None or new is None:
        return old if new is None else new
    [[is_later]] = client.ask(queries.is_later(cursor, new, old))
    return new if is_later else old
