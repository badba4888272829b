"""What a run must know of the server before it reads."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_postgres import queries
from tap_postgres.bookmarks import Activity, Snapshot

if t.TYPE_CHECKING:
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


def ask_layout(client: Client, table: Table) -> Layout:
    """Measure the table."""
    relation = table.relation
    # By name, as its rows are asked for: another table may have taken its place.
    name = queries.DIALECT.qualified(relation.schema, relation.name)
    question = queries.LAYOUT.replace("{name}", queries.quote_literal(name))
    last_page, pages, fingerprint = client.ask(question)[0]
    # Nothing is known of a table that is gone: reading it says so.
    return Layout(last_page or 0, pages or 0, fingerprint or "")
