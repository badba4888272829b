"""Ask a server for what `preflight` has an opinion of."""

from __future__ import annotations

import typing as t
from collections import defaultdict

from dativo_core.errors import ConfigurationError, CredentialsError
from dativo_core.sql.preflight import (
    Checkup,
    Choice,
    Examined,
    qualified,
    told,
    wanted,
)

from tap_postgres import catalog, preflight
from tap_postgres.preflight import SETTINGS, Facts, Withheld
from tap_postgres.queries import DIALECT, quote_literal

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dativo_core.sql.preflight import Choices

    from tap_postgres.catalog import Table
    from tap_postgres.client import Client
    from tap_postgres.preflight import Name

_FACTS = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int4,
       current_user::text, current_database()::text, pg_is_in_recovery(),
       coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()), ''),
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
"""
_SETTINGS = f"""
SELECT name, setting FROM pg_settings
WHERE name IN ({", ".join(map(quote_literal, SETTINGS))})
"""  # noqa: S608 constants
_PREPARED = """
SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::int8
FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared
"""
_OPEN = """
SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::int8
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND xact_start IS NOT NULL AND backend_type = 'client backend'
  AND application_name <> 'tap-postgres'
ORDER BY xact_start LIMIT 1
"""
# Where a policy would leave out rows, this makes it an error.
_NO_POLICIES = "SELECT set_config('row_security', 'off', true)"


class _Right(t.NamedTuple):
    """What the role may do with a relation, where that is not everything.

    Attributes:
        may_enter: Whether it may use the schema.
        some: Whether it may read a column.
        whole: Whether it may read as much as makes a difference.
        is_filtered: Whether policies apply to it.
    """

    schema: str
    table: str
    may_enter: bool
    some: bool
    whole: bool
    is_filtered: bool

    @property
    def name(self) -> Name:
        """The relation."""
        return self.schema, self.table

    @property
    def is_open(self) -> bool:
        """Whether it can be read at all."""
        return self.may_enter and self.some


def examine(
    client: Client,
    tables: Sequence[Table],
    schemas: Sequence[str],
    chosen: Choices,
    *,
    is_local: bool,
) -> Checkup:
    """Return how the server is, and what about it will hurt.

    Args:
        client: Not in a transaction.
        tables: What the role may read.
        schemas: Those that were asked for; none if all are.
        chosen: The streams of the catalog.
        is_local: Whether nobody is between.
    """
    read = wanted(tables, chosen)
    with client.transaction():
        facts = ask(client, is_local=is_local)
        rights = [_Right(*row) for row in client.ask(catalog.rights(schemas))]
        indexed = _indexed(client)
    withheld = _withheld(client, rights, tables, read, chosen)
    found = [_examined(table, chosen, indexed) for table in read]
    partitioned = {one.relation.stream for one in read if one.kind == "p"}
    others = len(withheld.closed) + len(withheld.absent)
    return Checkup(
        told(facts, found, withheld.refusals, others),
        tuple(preflight.complaints(facts, withheld, found, partitioned)),
    )


def ask(client: Client, *, is_local: bool) -> Facts:
    """Ask the server for the facts, in a transaction."""
    [row] = client.ask(_FACTS)
    version, number, user, database, is_replica, encryption, sees_transactions = row
    oldest, seconds = (client.ask(_OPEN) or [(None, 0)])[0]
    return Facts(
        version=version,
        numbers=(number // 10_000,),
        user=user,
        database=database,
        is_replica=is_replica,
        encryption=encryption,
        is_local=is_local,
        sees_transactions=sees_transactions,
        settings=dict(t.cast("list[tuple[str, str]]", client.ask(_SETTINGS))),
        prepared=t.cast("list[tuple[str, int]]", client.ask(_PREPARED)),
        oldest=oldest,
        oldest_seconds=seconds,
    )


def _indexed(client: Client) -> Mapping[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for oid, column in client.ask(catalog.INDEXED):
        found[oid].add(column)
    return found


def _withheld(
    client: Client,
    rights: Sequence[_Right],
    tables: Sequence[Table],
    read: Sequence[Table],
    chosen: Choices,
) -> Withheld:
    known = {table.relation.stream for table in tables}
    known |= {"-".join(right.name) for right in rights}
    rights = [r for r in rights if chosen is None or "-".join(r.name) in chosen]
    closed = [right for right in rights if not right.is_open]
    readable = [right for right in rights if right.is_open]
    refusals, filtered_views = _probe(client, read)
    return Withheld(
        schemas=list(dict.fromkeys(r.schema for r in closed if not r.may_enter)),
        closed=[right.name for right in closed],
        ungranted=[right.name for right in closed if not right.some],
        partly=[right.name for right in readable if not right.whole],
        filtered=[right.name for right in readable if right.is_filtered],
        filtered_views=filtered_views,
        refusals=refusals,
        absent=[stream for stream in chosen or () if stream not in known],
    )


def _probe(
    client: Client, tables: Sequence[Table]
) -> tuple[dict[str, str], list[Name]]:
    """Ask each view for no rows: what it reads, only that shows.

    Returns:
        What the server says instead, by stream; and the views that policies filter.
    """
    refusals, filtered = {}, []
    for relation in (table.relation for table in tables if table.kind in {"v", "m"}):
        query = f"SELECT FROM {qualified(relation, DIALECT)} LIMIT 0"
        if refusal := _refusal(client, query):
            refusals[relation.stream] = refusal
        elif _refusal(client, _NO_POLICIES, query):
            filtered.append((relation.schema, relation.name))
    return refusals, filtered


def _refusal(client: Client, *queries: str) -> str:
    try:
        with client.transaction():
            for query in queries:
                client.ask(query)
    except (ConfigurationError, CredentialsError) as error:
        return error.what
    return ""


def _examined(
    table: Table, chosen: Choices, indexed: Mapping[int, set[str]]
) -> Examined:
    relation = table.relation
    choice = (chosen or {}).get(relation.stream, Choice())
    return Examined(
        relation,
        is_stored=table.kind in {"r", "p"},
        cursor=choice.cursor,
        is_indexed=choice.cursor in indexed.get(table.oid, ()),
    )
