"""What a run must know of the server before it reads."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from dativo_core.errors import TryLaterError

from tap_postgres import queries
from tap_postgres.bookmarks import Activity, Snapshot

if t.TYPE_CHECKING:
    from dativo_core.sql.reading import Source

    from tap_postgres.catalog import Table
    from tap_postgres.client import Client


@dataclass(frozen=True, slots=True)
class Layout:
    """The files behind a table and its parts."""

    last_page: int
    pages: int
    fingerprint: str


def ask_snapshot(client: Client) -> Snapshot:
    """Describe the snapshot of the present transaction."""
    return Snapshot.from_row(*client.ask(queries.SNAPSHOT)[0])


def ask_activity(client: Client, table: Table) -> Activity:
    """Look who else is at work.

    Where rows are told apart by their transactions, those of other databases count.
    """
    question = queries.activity(everywhere=table.physical)
    with client.transaction():
        taken_at, oldest, hidden, prepared, standby = client.ask(question)[0]
    is_complete = not (hidden or prepared or standby)
    return Activity(taken_at, oldest, is_complete=is_complete)


def hold(client: Client, source: Source) -> None:
    """Ask for no rows: until the transaction ends, nobody rewrites the table then."""
    _ = [*client.read(queries.nothing_of(source.name), source.subject)]


def rewritten(source: Source) -> TryLaterError:
    """Return the error for a table that was rewritten after the snapshot was taken.

    To the snapshot it may be empty: `ALTER TABLE` writes all rows anew, as its own.
    """
    msg = f"Table of stream '{source.relation.stream}' was rewritten meanwhile."
    return TryLaterError(msg, hint="Run again.")


def ask_layout(client: Client, table: Table) -> Layout:
    """Measure the table."""
    relation = table.relation
    # By name, as its rows are asked for: another table may have taken its place.
    name = queries.DIALECT.qualified(relation.schema, relation.name)
    question = queries.LAYOUT.replace("{name}", queries.quote_literal(name))
    last_page, pages, fingerprint = client.ask(question)[0]
    # Nothing is known of a table that is gone: reading it says so.
    return Layout(last_page or 0, pages or 0, fingerprint or "")
