"""Ask a server for what `preflight` has an opinion of."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, replace

from dativo_core.errors import (
    ConfigurationError,
    CredentialsError,
    DativoError,
    TryLaterError,
)
from dativo_core.sql.preflight import (
    Checkup,
    Choice,
    Examined,
    qualified,
    told,
    wanted,
)

from tap_mysql import preflight, queries
from tap_mysql.preflight import Facts, Withheld
from tap_mysql.queries import DIALECT

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from dativo_core.sql.preflight import Choices

    from tap_mysql.catalog import Name, Table
    from tap_mysql.client import Client

_FACTS = """
SELECT VERSION(), CURRENT_USER(), @@max_allowed_packet, @@global.read_only,
       CONVERT_TZ('2024-07-01', '+00:00', 'Europe/Moscow') IS NULL,
       @@global.sql_mode, @@global.innodb_max_purge_lag
"""
_ENCRYPTION = "SHOW SESSION STATUS LIKE 'Ssl_version'"
# InnoDB tells starts in the server's own zone.
_OPEN = """
SELECT trx_mysql_thread_id, TIMESTAMPDIFF(
         SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))
FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id NOT IN (0, CONNECTION_ID()) ORDER BY trx_started LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a discovery has found.

    Attributes:
        databases: Those that were asked for; none if all are.
        tables: What the user may read.
        closed: Tables of which no column is seen, and whether they are views.
    """

    databases: list[str]
    tables: list[Table]
    closed: dict[Name, bool]


def examine(
    client: Client, seen: Seen, chosen: Choices, *, is_local: bool, has_chunks: bool
) -> Checkup:
    """Return how the server is, and what about it will hurt.

    Args:
        client: Not in a transaction.
        seen: What a discovery has found.
        chosen: The streams of the catalog.
        is_local: Whether nobody is between.
        has_chunks: Whether several connections read a table, which takes a lock.
    """
    facts = ask(client, is_local=is_local)
    tables = wanted(seen.tables, chosen)
    found = [_examined(table, chosen) for table in tables]
    withheld = _withheld(client, seen, tables, chosen)
    if has_chunks:
        withheld = replace(withheld, locks=_without_locks(client, tables))
    others = len(withheld.tables) + len(withheld.absent)
    return Checkup(
        told(facts, found, withheld.refusals, others),
        tuple(preflight.complaints(facts, withheld, found, tables)),
    )


def ask(client: Client, *, is_local: bool) -> Facts:
    """Ask the server for the facts."""
    [row] = client.ask(_FACTS)
    version, user, packet, is_replica, lacks_zones, modes, purge_lag = row
    [[_, encryption]] = client.ask(_ENCRYPTION)
    try:
        open_now = client.ask(_OPEN)
        sees_transactions = True
    except CredentialsError:
        open_now, sees_transactions = [], False
    oldest, seconds = open_now[0] if open_now else (None, 0)
    return Facts(
        version=version,
        user=user,
        packet_bytes=packet,
        is_replica=bool(is_replica),
        lacks_zones=bool(lacks_zones),
        modes=frozenset(modes.split(",")),
        purge_lag=purge_lag,
        encryption=encryption,
        is_local=is_local,
        sees_transactions=sees_transactions,
        oldest=oldest,
        oldest_seconds=seconds,
    )


def _withheld(
    client: Client, seen: Seen, tables: Sequence[Table], chosen: Choices
) -> Withheld:
    views = [
        (one.relation.schema, one.relation.name)
        for one in tables
        if one.relation.is_view
    ]
    closed: list[Name] = []
    for name, is_view in seen.closed.items():
        if chosen is None or "-".join(name) in chosen:
            (views if is_view else closed).append(name)
    refusals = {}
    for name in views:
        match _refusal(client, name):
            case CredentialsError() if name in seen.closed:
                closed.append(name)
            case DativoError() as error:
                refusals["-".join(name)] = error.what
    return Withheld(
        databases=_dark(seen) if chosen is None else [],
        tables=closed,
        refusals=refusals,
        absent=_absent(seen, chosen),
    )


def _refusal(client: Client, view: Name) -> DativoError | None:
    """Ask a view for no rows: what it reads, only that shows."""
    try:
        client.ask(f"SELECT 1 FROM {DIALECT.qualified(*view)} LIMIT 0")  # noqa: S608 quoted
    except (ConfigurationError, CredentialsError) as error:
        return error
    return None


def _without_locks(client: Client, tables: Sequence[Table]) -> list[str]:
    """Return the databases in which the user may lock no table, as a load does."""
    relations = [one.relation for one in tables if not one.relation.is_view]
    firsts = {relation.schema: relation for relation in relations}
    found = []
    client.ask(queries.LOCK_PATIENCE)
    for schema, relation in firsts.items():
        try:
            # Who has to wait for a lock may have it.
            with contextlib.suppress(TryLaterError):
                client.ask(queries.lock(qualified(relation, DIALECT)))
        except CredentialsError:
            found.append(schema)
        finally:
            client.ask(queries.UNLOCK)
    client.ask(queries.USUAL_PATIENCE)
    return found


def _dark(seen: Seen) -> list[str]:
    readable = {table.relation.schema for table in seen.tables}
    return [name for name in seen.databases if name not in readable]


def _absent(seen: Seen, chosen: Choices) -> list[tuple[str, Name | None]]:
    known = {table.relation.stream for table in seen.tables}
    known |= {"-".join(name) for name in seen.closed}
    return [
        (stream, _named(choice))
        for stream, choice in (chosen or {}).items()
        if stream not in known
    ]


def _named(choice: Choice) -> Name | None:
    if choice.schema and choice.table:
        return choice.schema, choice.table
    return None


def _examined(table: Table, chosen: Choices) -> Examined:
    relation = table.relation
    choice = (chosen or {}).get(relation.stream, Choice())
    return Examined(
        relation,
        is_stored=not relation.is_view,
        cursor=choice.cursor,
        is_indexed=choice.cursor in table.indexed,
    )
