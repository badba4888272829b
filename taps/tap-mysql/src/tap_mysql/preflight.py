"""What about a server will hurt sooner or later, each with what to do about it."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from dativo_core.errors import CredentialsError

from tap_mysql.queries import DIALECT

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tap_mysql.catalog import Table
    from tap_mysql.client import Client

_OLDEST = {"MySQL": (5, 7), "MariaDB": (10, 6)}
_PACKET_BYTES = 64 * 2**20
_NAMED = 5

_FACTS = """
SELECT VERSION(), CURRENT_USER(), @@max_allowed_packet, @@global.read_only,
       CONVERT_TZ('2024-07-01', '+00:00', 'Europe/Moscow') IS NULL
"""
_CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
_TRANSACTIONS = "SELECT 1 FROM information_schema.innodb_trx LIMIT 1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says of itself and of the user.

    Attributes:
        user: As grants name it, `name@host`.
        is_private: Whether nobody between can read along.
        sees_transactions: Whether the user has the PROCESS privilege.
        lacks_zones: Whether names of time zones mean nothing to the server.
    """

    version: str
    user: str
    packet_bytes: int
    is_replica: bool
    is_private: bool
    sees_transactions: bool
    lacks_zones: bool

    @property
    def product(self) -> str:
        """MySQL or MariaDB."""
        return "MariaDB" if "mariadb" in self.version.lower() else "MySQL"


def ask(client: Client, *, is_local: bool) -> Facts:
    """Ask the server for the facts."""
    [[version, user, packet, is_replica, lacks_zones]] = client.ask(_FACTS)
    [[_, cipher]] = client.ask(_CIPHER)
    try:
        client.ask(_TRANSACTIONS)
        sees_transactions = True
    except CredentialsError:
        sees_transactions = False
    return Facts(
        version=version,
        user=user,
        packet_bytes=packet,
        is_replica=bool(is_replica),
        is_private=is_local or bool(cipher),
        sees_transactions=sees_transactions,
        lacks_zones=bool(lacks_zones),
    )


def warnings(facts: Facts, tables: Iterable[Table]) -> list[str]:
    """Return sentences about what will hurt; none if all is well."""
    return [*_about_the_server(facts), *_about_tables(list(tables))]


def _about_the_server(facts: Facts) -> Iterator[str]:
    oldest = _OLDEST[facts.product]
    numbers = tuple(map(int, re.findall(r"\d+", facts.version)[:2]))
    if numbers < oldest:
        wanted = ".".join(map(str, oldest))
        yield (
            f"{facts.product} {facts.version} is older than {wanted}, which is the "
            "oldest that is supported: upgrade it."
        )
    name, _, host = facts.user.rpartition("@")
    if not facts.sees_transactions:
        yield (
            "Open transactions of others cannot be seen, so INCREMENTAL reads "
            "look_back_seconds again: GRANT PROCESS ON *.* TO "
            f"{_quoted(name)}@{_quoted(host)};"
        )
    if facts.is_replica:
        yield (
            "The server is a replica (read_only): it does not know what is open where "
            "rows are written, so INCREMENTAL reads look_back_seconds again. Read from "
            "the primary, or set look_back_seconds."
        )
    if not facts.is_private:
        yield "The connection is not encrypted: set ssl to true."
    if facts.packet_bytes < _PACKET_BYTES:
        yield (
            f"A row longer than {facts.packet_bytes} bytes cannot be sent: "
            f"SET GLOBAL max_allowed_packet = {_PACKET_BYTES};"
        )
    if facts.lacks_zones:
        yield (
            "Names of time zones mean nothing to the server, so CONVERT_TZ in views "
            "and clauses returns null. On the server, run: mysql_tzinfo_to_sql "
            "/usr/share/zoneinfo | mysql mysql"
        )


def _about_tables(tables: Sequence[Table]) -> Iterator[str]:
    stored = [table for table in tables if not table.relation.is_view]
    if keyless := [table for table in stored if not table.relation.key]:
        yield (
            f"{_listed(keyless)} without a key: rows that are read twice are there "
            "twice, and full loads do not resume. "
            f"ALTER TABLE {_name(keyless[0])} ADD PRIMARY KEY (...);"
        )
    if loose := [table for table in stored if not table.has_snapshot]:
        yield (
            f"{_listed(loose)} without a snapshot: what changes while it is read is "
            f"seen or not. ALTER TABLE {_name(loose[0])} ENGINE = InnoDB;"
        )


def _listed(tables: Sequence[Table]) -> str:
    names = ", ".join(table.relation.stream for table in tables[:_NAMED])
    more = f" and {len(tables) - _NAMED} more" if len(tables) > _NAMED else ""
    return f"{'Table' if len(tables) == 1 else 'Tables'} {names}{more}"


def _name(table: Table) -> str:
    return DIALECT.qualified(table.relation.schema, table.relation.name)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
