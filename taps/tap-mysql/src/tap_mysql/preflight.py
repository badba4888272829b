"""What about a server will hurt sooner or later, each with what to do about it."""

from __future__ import annotations

import re
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
    listed,
    listed_names,
    qualified,
)

from tap_mysql.queries import DIALECT, quote_literal

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dativo_core.sql.preflight import Examined
    from dativo_core.sql.relation import Relation

    from tap_mysql.catalog import Name, Table

_OLDEST = {"MySQL": (5, 7), "MariaDB": (10, 6)}
_PACKET_BYTES = 64 * 2**20
# Of all modes, those that change what a query gives.
_MODES = (
    "NO_UNSIGNED_SUBTRACTION",
    "PAD_CHAR_TO_FULL_LENGTH",
    "TIME_ROUND_FRACTIONAL",
    "TIME_TRUNCATE_FRACTIONAL",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says of itself and of the user.

    Attributes:
        user: As grants name it, `name@host`.
        packet_bytes: The longest row that can be sent.
        lacks_zones: Whether names of time zones mean nothing to the server.
        modes: The `sql_mode` of sessions that choose none.
        purge_lag: How many old rows make writers slow down; 0 is any number.
        encryption: The version of TLS; empty if the connection is plain.
        is_local: Whether nobody is between.
        sees_transactions: Whether the user has the PROCESS privilege.
        oldest: The session whose transaction is open for longest, if it is seen.
        oldest_seconds: For how long.
    """

    version: str
    user: str
    packet_bytes: int
    is_replica: bool
    lacks_zones: bool
    modes: frozenset[str]
    purge_lag: int
    encryption: str
    is_local: bool
    sees_transactions: bool
    oldest: int | None = None
    oldest_seconds: int = 0

    @property
    def product(self) -> str:
        """MySQL or MariaDB."""
        return "MariaDB" if "mariadb" in self.version.lower() else "MySQL"

    @property
    def account(self) -> str:
        """The user as SQL."""
        name, _, host = self.user.rpartition("@")
        return f"{quote_literal(name)}@{quote_literal(host)}"


@dataclass(frozen=True, slots=True)
class Withheld:
    """What is wanted, and was not given.

    Attributes:
        databases: Those of `filter_dbs` in which nothing can be read.
        tables: Those that the user sees, and cannot read.
        locks: Databases in which it may not lock tables, if that is needed.
        refusals: What the server says instead of the rows of a view, by its stream.
        absent: Streams of the catalog of which nothing is seen, and their tables, if
            the catalog names them.
    """

    databases: Sequence[str] = ()
    tables: Sequence[Name] = ()
    locks: Sequence[str] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
    absent: Sequence[tuple[str, Name | None]] = ()


_NOTHING = Withheld()


def complaints(
    facts: Facts,
    withheld: Withheld = _NOTHING,
    found: Sequence[Examined] = (),
    tables: Sequence[Table] = (),
) -> list[Complaint]:
    """Return what will hurt; nothing if all is well.

    Args:
        facts: The server and the user.
        withheld: What the user was not given.
        found: What is going to be read.
        tables: The same, as this database describes it.
    """
    return [
        *_about_the_server(facts),
        *_about_transactions(facts),
        *_about_grants(facts, withheld),
        *about_reading(withheld.refusals),
        *about_keys(found, DIALECT),
        *_about_tables([one for one in tables if not one.relation.is_view]),
        *about_cursors(found, _index),
    ]


def _about_the_server(facts: Facts) -> Iterator[Complaint]:
    numbers = tuple(map(int, re.findall(r"\d+", facts.version)[:2]))
    yield from about_version(
        facts.product, facts.version, numbers, _OLDEST[facts.product]
    )
    yield from about_encryption(
        facts.encryption, "ssl to true", is_local=facts.is_local
    )
    if facts.packet_bytes < _PACKET_BYTES:
        yield Complaint(
            f"A row longer than {facts.packet_bytes} bytes cannot be sent.",
            (f"SET GLOBAL max_allowed_packet = {_PACKET_BYTES};",),
        )
    if facts.lacks_zones:
        yield Complaint(
            "Names of time zones mean nothing to the server, so CONVERT_TZ in views "
            "and clauses returns null. On the server, run: mysql_tzinfo_to_sql "
            "/usr/share/zoneinfo | mysql mysql"
        )
    for mode in sorted(facts.modes.intersection(_MODES)):
        yield Complaint(
            f"sql_mode has {mode}: what the tap reads without it may differ from what "
            "applications see, in columns that are computed and in views.",
            (
                "SET GLOBAL sql_mode = "
                f"REPLACE(@@GLOBAL.sql_mode, {quote_literal(mode)}, '');",
            ),
        )


def _about_transactions(facts: Facts) -> Iterator[Complaint]:
    if not facts.sees_transactions:
        yield Complaint(
            "Open transactions of others cannot be seen, so INCREMENTAL reads "
            "look_back_seconds again.",
            (f"GRANT PROCESS ON *.* TO {facts.account};",),
        )
    if facts.is_replica:
        yield Complaint(
            "The server is a replica (read_only): it does not know what is open where "
            "rows are written, so INCREMENTAL reads look_back_seconds again. Read from "
            "the primary, or set look_back_seconds."
        )
    if facts.oldest is not None and facts.oldest_seconds > LONG_SECONDS:
        yield Complaint(
            f"A transaction is open for {facts.oldest_seconds} seconds: INCREMENTAL "
            "reads all rows since then again, with each run. If nobody needs it:",
            (f"KILL {facts.oldest};",),
        )
    if facts.purge_lag:
        yield Complaint(
            f"innodb_max_purge_lag is {facts.purge_lag}: a full load keeps old rows, "
            "and so slows down those who write.",
            ("SET GLOBAL innodb_max_purge_lag = 0;",),
        )


def _about_grants(facts: Facts, withheld: Withheld) -> Iterator[Complaint]:
    if withheld.databases:
        yield Complaint(
            f"{listed_names(withheld.databases, 'Database')} of filter_dbs without a "
            "table that the user may read. Check the name, or let the user read it:",
            tuple(
                f"GRANT SELECT, SHOW VIEW ON {DIALECT.quote(name)}.* "
                f"TO {facts.account};"
                for name in withheld.databases
            ),
        )
    if withheld.tables:
        streams = ["-".join(name) for name in withheld.tables]
        yield Complaint(
            f"{listed_names(streams)}: the user may not read any column.",
            tuple(_grant(name, facts.account) for name in withheld.tables),
        )
    if withheld.locks:
        yield Complaint(
            f"{listed_names(withheld.locks, 'Database')} in which the user may lock no "
            "table: one connection reads, whatever parallel_chunks is.",
            tuple(
                f"GRANT LOCK TABLES ON {DIALECT.quote(name)}.* TO {facts.account};"
                for name in withheld.locks
            ),
        )
    if withheld.absent:
        streams = [stream for stream, _ in withheld.absent]
        yield Complaint(
            f"{listed_names(streams, 'Stream')} of the catalog without a table that "
            "the user sees. Check the name and filter_dbs, or let the user read it:",
            tuple(_grant(name, facts.account) for _, name in withheld.absent if name),
        )


def _grant(name: Name, account: str) -> str:
    return f"GRANT SELECT ON {DIALECT.qualified(*name)} TO {account};"


def _about_tables(stored: Sequence[Table]) -> Iterator[Complaint]:
    loose = [table.relation for table in stored if not table.has_snapshot]
    if loose:
        yield Complaint(
            f"{listed(loose)} without a snapshot: what changes while it is read is "
            "seen or not.",
            tuple(
                f"ALTER TABLE {qualified(relation, DIALECT)} ENGINE = InnoDB;"
                for relation in loose
            ),
        )
    unordered = [
        table.relation
        for table in stored
        if table.has_snapshot and table.relation.key and not table.path
    ]
    if unordered:
        yield Complaint(
            f"{listed(unordered)} with a key of a type, or of a part of a column, that "
            "cannot be compared: full loads do not resume."
        )


def _index(relation: Relation, column: str) -> str:
    table = qualified(relation, DIALECT)
    return f"ALTER TABLE {table} ADD INDEX ({DIALECT.quote(column)});"
