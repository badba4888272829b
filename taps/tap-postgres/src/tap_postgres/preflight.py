"""What about a server will hurt sooner or later, each with what to do about it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from dativo_core.sql.preflight import (
    LONG_SECONDS,
    Complaint,
    about_cursors,
    about_encryption,
    about_keys,
    about_reading,
    about_version,
    listed_names,
    qualified,
)

from tap_postgres.queries import DIALECT, quote_literal

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from dativo_core.sql.preflight import Examined
    from dativo_core.sql.relation import Relation

Name: t.TypeAlias = "tuple[str, str]"

_OLDEST = (13,)
_LONG_MILLISECONDS = LONG_SECONDS * 1000
_TIMEOUTS = {
    "statement_timeout": "ends a statement that reads",
    "transaction_timeout": "ends a full load, which is one transaction",
    "idle_in_transaction_session_timeout": "ends a full load if the target is slow",
    "idle_session_timeout": "ends a connection that waits for its next table",
}
_REPLICA = ("hot_standby_feedback", "max_standby_streaming_delay")
_SNAPSHOTS = "old_snapshot_threshold"
SETTINGS = (*_TIMEOUTS, *_REPLICA, _SNAPSHOTS)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says of itself and of the role.

    Attributes:
        encryption: The version of TLS; empty if the connection is plain.
        is_local: Whether nobody is between.
        sees_transactions: Whether the role has `pg_read_all_stats`.
        settings: Those of `SETTINGS` that the server knows, as this session has them,
            in the units of `pg_settings`.
        prepared: Prepared transactions: their names, and their age in seconds.
        oldest: The process whose transaction is open for longest, if it is seen.
        oldest_seconds: For how long.
    """

    version: str
    numbers: tuple[int, ...]
    user: str
    database: str
    is_replica: bool
    encryption: str
    is_local: bool
    sees_transactions: bool
    settings: Mapping[str, str] = field(default_factory=dict)
    prepared: Sequence[tuple[str, int]] = ()
    oldest: int | None = None
    oldest_seconds: int = 0

    @property
    def product(self) -> str:
        """What the server is."""
        return "PostgreSQL"

    @property
    def role(self) -> str:
        """The user as SQL."""
        return DIALECT.quote(self.user)


@dataclass(frozen=True, slots=True)
class Withheld:
    """What the role was not given, of what is wanted.

    Attributes:
        schemas: Those that the role may not use.
        closed: Tables of which it can read no column.
        ungranted: Those of them that it would not read in another schema either.
        partly: Tables of which it may read some columns.
        filtered: Tables whose policies leave out rows.
        filtered_views: Views that read such tables.
        refusals: What the server says instead of the rows of a view, by its stream.
        absent: Streams of the catalog whose table is gone.
    """

    schemas: Sequence[str] = ()
    closed: Sequence[Name] = ()
    ungranted: Sequence[Name] = ()
    partly: Sequence[Name] = ()
    filtered: Sequence[Name] = ()
    filtered_views: Sequence[Name] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
    absent: Sequence[str] = ()


_NOTHING = Withheld()


def complaints(
    facts: Facts,
    withheld: Withheld = _NOTHING,
    found: Sequence[Examined] = (),
    partitioned: Collection[str] = (),
) -> list[Complaint]:
    """Return what will hurt; nothing if all is well.

    Args:
        facts: The server and the role.
        withheld: What the role was not given.
        found: What is going to be read.
        partitioned: The streams of it whose table has partitions.
    """

    def index(relation: Relation, column: str) -> str:
        how = "" if relation.stream in partitioned else "CONCURRENTLY "
        table = qualified(relation, DIALECT)
        return f"CREATE INDEX {how}ON {table} ({DIALECT.quote(column)});"

    return [
        *_about_the_server(facts),
        *_about_settings(facts),
        *_about_transactions(facts),
        *_about_grants(facts, withheld),
        *_about_policies(facts, withheld),
        *about_reading(withheld.refusals),
        *about_keys(found, DIALECT),
        *about_cursors(found, index),
    ]


def _about_the_server(facts: Facts) -> Iterator[Complaint]:
    yield from about_version(facts.product, facts.version, facts.numbers, _OLDEST)
    yield from about_encryption(
        facts.encryption, "ssl_mode to verify-full", is_local=facts.is_local
    )
    if facts.is_replica:
        yield Complaint(
            "The server is a replica: it does not know what is open on the primary, so "
            "INCREMENTAL scans more rows with each run. Read from the primary."
        )
        yield from _about_conflicts(facts.settings)


def _about_conflicts(settings: Mapping[str, str]) -> Iterator[Complaint]:
    patience = int(settings["max_standby_streaming_delay"])
    is_patient = patience < 0 or patience >= _LONG_MILLISECONDS
    if settings["hot_standby_feedback"] == "off" and not is_patient:
        yield Complaint(
            f"A replica ends what reads for longer than {patience} ms as soon as the "
            "primary has cleaned up the rows. On the replica:",
            (
                "ALTER SYSTEM SET hot_standby_feedback = on;",
                "SELECT pg_reload_conf();",
            ),
        )


def _about_settings(facts: Facts) -> Iterator[Complaint]:
    where = f"ALTER ROLE {facts.role} IN DATABASE {DIALECT.quote(facts.database)}"
    for name, harm in _TIMEOUTS.items():
        limit = int(facts.settings.get(name, 0))
        if 0 < limit < _LONG_MILLISECONDS:
            yield Complaint(
                f"{name} is {limit} ms for this role: it {harm}.",
                (f"{where} SET {name} = 0;",),
            )
    minutes = int(facts.settings.get(_SNAPSHOTS, -1))
    if 0 <= minutes < LONG_SECONDS / 60:
        yield Complaint(
            f"{_SNAPSHOTS} is {minutes} minutes: a full load that takes longer fails. "
            "After this, restart the server:",
            (f"ALTER SYSTEM SET {_SNAPSHOTS} = -1;",),
        )


def _about_transactions(facts: Facts) -> Iterator[Complaint]:
    if not facts.sees_transactions:
        yield Complaint(
            "Since when transactions of others are open is hidden, so INCREMENTAL "
            "scans more rows with each run.",
            (f"GRANT pg_read_all_stats TO {facts.role};",),
        )
    if old := [gid for gid, seconds in facts.prepared if seconds > LONG_SECONDS]:
        yield Complaint(
            f"{listed_names(old, 'Prepared transaction')} never ended, so INCREMENTAL "
            "scans more rows with each run. Commit, or if nobody needs it:",
            tuple(f"ROLLBACK PREPARED {quote_literal(gid)};" for gid in old),
        )
    if facts.oldest is not None and facts.oldest_seconds > LONG_SECONDS:
        yield Complaint(
            f"A transaction is open for {facts.oldest_seconds} seconds: INCREMENTAL "
            "scans all rows since then with each run. If nobody needs it:",
            (f"SELECT pg_terminate_backend({facts.oldest});",),
        )


def _about_grants(facts: Facts, withheld: Withheld) -> Iterator[Complaint]:
    if withheld.closed:
        schemas = (
            f"GRANT USAGE ON SCHEMA {DIALECT.quote(name)} TO {facts.role};"
            for name in withheld.schemas
        )
        yield Complaint(
            f"{_listed(withheld.closed)}: the role may not read any column.",
            (*schemas, *_grants(withheld.ungranted, facts.role)),
        )
    if withheld.partly:
        yield Complaint(
            f"{_listed(withheld.partly)} with columns that the role may not read: full "
            "loads do not resume, and ties come again with each INCREMENTAL run, as "
            "with a view. If nothing must be hidden:",
            _grants(withheld.partly, facts.role),
        )
    if withheld.absent:
        yield Complaint(
            f"{listed_names(withheld.absent, 'Stream')} of the catalog without a "
            "table. Check the name and filter_schemas, or discover again."
        )


def _about_policies(facts: Facts, withheld: Withheld) -> Iterator[Complaint]:
    if withheld.filtered:
        yield Complaint(
            f"{_listed(withheld.filtered)} with row level security: rows that policies "
            "hide from the role are missing, and no error tells.",
            (f"ALTER ROLE {facts.role} BYPASSRLS;",),
        )
    if withheld.filtered_views:
        yield Complaint(
            f"{_listed(withheld.filtered_views)} over a table with row level security: "
            "rows that policies hide from the owner of the view are missing, and no "
            "error tells. Give BYPASSRLS to the owner, or to the role if the view is a "
            "security_invoker."
        )


def _grants(names: Sequence[Name], role: str) -> tuple[str, ...]:
    return tuple(
        f"GRANT SELECT ON {DIALECT.qualified(*name)} TO {role};" for name in names
    )


def _listed(names: Sequence[Name]) -> str:
    return listed_names(["-".join(name) for name in names])
