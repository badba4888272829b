"""An incremental run: what has changed since the bookmark."""

from __future__ import annotations

import contextlib
import secrets
import time
import typing as t
from dataclasses import replace

from dativo_core.errors import CredentialsError
from dativo_core.sql.reading import Progress, pieces

from tap_mysql import bookmarks, full_load, queries
from tap_mysql.bookmarks import Activity, Bookmark, Checkpoint

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dativo_core.sql.reading import Event, Source

    from tap_mysql.catalog import Table
    from tap_mysql.client import Client
    from tap_mysql.queries import Key

# After so long without a question, InnoDB makes a new list of transactions.
_OLD_SECONDS = 0.15
_LOOKS = 20
_INTEGERS = {"tinyint", "smallint", "mediumint", "int", "bigint"}


def incremental(
    client: Client,
    table: Table,
    source: Source,
    key: Key,
    state: Mapping[str, t.Any],
    look_back_seconds: int,
) -> Iterator[Event]:
    """Read everything from the bookmark on; see `bookmarks` for how it moves."""
    previous = Bookmark.from_state(state, key.name)
    bound = ""
    # First of all: what is no value of the column cannot be compared with one either.
    if previous.value is not None:
        bound = queries.at_least(key, previous.value, slack=previous.is_ours)
    checkpoint = _checkpoint(client, source, key)
    activity = _activity(client)
    goal = bookmarks.plan(key, previous, checkpoint, activity, look_back_seconds)
    # Without an index the server would sort the whole table.
    is_ordered = key.can_compare and key.name in table.indexed
    query = source.query(bound, order=key.sql if is_ordered else "")
    rows = 0
    with client.transaction():
        read = client.read(
            query,
            source.subject,
            full_load.forms(table, source),
            native=source.native,
        )
        for batch in pieces(read, source.state_rows):
            yield batch
            rows += batch.num_rows
            if is_ordered and rows >= source.state_rows:
                [last] = full_load.last_values(batch, [key.name])
                value = bookmarks.reached(key, last, goal.value)
                value = bookmarks.later(key, previous.value, value)
                if value is not None:
                    rows = 0
                    yield Progress(replace(goal, value=value).to_state(key.name))
    yield Progress(goal.to_state(key.name))


def _checkpoint(client: Client, source: Source, key: Key) -> Checkpoint:
    [[value]] = client.ask(queries.highest(source.name, key))
    [[taken_at, _]] = client.ask(queries.CLOCK)
    return Checkpoint(taken_at, _as_recorded(key, value))


def _as_recorded(key: Key, value: str | None) -> t.Any:
    """Return a value as records have it."""
    if value is None:
        return None
    if key.type in _INTEGERS:
        return int(value)
    spelled = value.replace(" ", "T") if key.is_time else value
    return f"{spelled}+00:00" if key.type == "timestamp" else spelled


def _activity(client: Client, wait: t.Callable[[float], None] = time.sleep) -> Activity:
    """Look who else is at work, where the server shows it.

    A replica does not know which transactions are open where the rows come from.
    """
    [[_, is_replica]] = client.ask(queries.CLOCK)
    client.ask(queries.SERVER_ZONE)
    try:
        with contextlib.suppress(CredentialsError), client.transaction():
            for _ in range(_LOOKS):
                word = secrets.token_hex(8)
                [[oldest, is_new]] = client.ask(queries.oldest_open(word))
                if is_new:
                    return Activity(oldest, is_known=not is_replica)
                wait(_OLD_SECONDS)
    finally:
        client.ask(queries.OUR_ZONE)
    return Activity(None, is_known=False)
