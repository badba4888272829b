"""What about a source will hurt sooner or later, each with what to do about it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from dativo_core.sql.dialect import Dialect
    from dativo_core.sql.relation import Relation

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
# A limit above is no limit, and a transaction that is open for longer is forgotten.
LONG_SECONDS = 3600
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Complaint:
    """What will hurt.

    Attributes:
        what: What happens, and what to do where no statement would do it.
        statements: SQL that helps, for who administers the source; it can be pasted.
    """

    what: str
    statements: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return a line of a log, with no more than the first statements."""
        left = len(self.statements) - _NAMED
        more = [f"And {left} more such statements."] if left > 0 else []
        return " ".join([self.what, *self.statements[:_NAMED], *more])


@dataclass(frozen=True, slots=True)
class Checkup:
    """A source: pairs of name and value, and what will hurt."""

    facts: tuple[tuple[str, str], ...]
    complaints: tuple[Complaint, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a catalog says of a stream that it selects.

    Attributes:
        schema: Where its table is, if the catalog says so.
        table: The name of its table, if the catalog says so.
        cursor: The column by which it is read INCREMENTAL.
    """

    schema: str | None = None
    table: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """A relation that is going to be read.

    Attributes:
        is_stored: Whether it may have keys and indexes of its own.
        cursor: The column by which it is read INCREMENTAL.
        is_indexed: Whether an index has the order of the cursor.
    """

    relation: Relation
    is_stored: bool
    cursor: str | None = None
    is_indexed: bool = True


class Server(t.Protocol):
    """What any server says of itself."""

    @property
    def product(self) -> str:
        """What it is, such as PostgreSQL."""

    @property
    def version(self) -> str:
        """Which one."""

    @property
    def user(self) -> str:
        """As whom it knows us."""

    @property
    def encryption(self) -> str:
        """The version of TLS; empty if the connection is plain."""

    @property
    def is_replica(self) -> bool:
        """Whether another server tells it what to hold."""


class Described(t.Protocol):
    """A table, as a tap describes it."""

    @property
    def relation(self) -> Relation:
        """Its name, key and columns."""


T = t.TypeVar("T", bound=Described)
Choices: t.TypeAlias = "Mapping[str, Choice] | None"


def about_version(
    product: str, version: str, numbers: tuple[int, ...], oldest: tuple[int, ...]
) -> Iterator[Complaint]:
    """Complain of a server that is too old."""
    if numbers < oldest:
        wanted = ".".join(map(str, oldest))
        yield Complaint(
            f"{product} {version} is older than {wanted}, which is the oldest that is "
            "supported: upgrade it."
        )


def about_encryption(
    encryption: str, setting: str, *, is_local: bool
) -> Iterator[Complaint]:
    """Complain of a connection on which others can read along."""
    if not (encryption or is_local):
        yield Complaint(f"The connection is not encrypted: set {setting}.")


def about_reading(refusals: Mapping[str, str]) -> Iterator[Complaint]:
    """Complain of each stream with what the server says instead of rows."""
    for stream, why in refusals.items():
        yield Complaint(f"{listed_names([stream])} cannot be read. {why}")


def about_keys(found: Sequence[Examined], dialect: Dialect) -> Iterator[Complaint]:
    """Complain of tables whose rows nothing names."""
    keyless = [one.relation for one in found if one.is_stored and not one.relation.key]
    if keyless:
        name = qualified(keyless[0], dialect)
        yield Complaint(
            f"{listed(keyless)} without a key: rows that are read twice are there "
            "twice, and full loads do not resume. Name the columns that make one: "
            f"ALTER TABLE {name} ADD PRIMARY KEY (...);"
        )


def about_cursors(
    found: Sequence[Examined], index: Callable[[Relation, str], str]
) -> Iterator[Complaint]:
    """Complain of replication keys that the server has to search for.

    Args:
        found: What is going to be read.
        index: Returns the statement that makes an index of a column.
    """
    searched = {
        one.relation.stream: index(one.relation, one.cursor)
        for one in found
        if one.is_stored and one.cursor and not one.is_indexed
    }
    if searched:
        yield Complaint(
            f"{listed_names([*searched])} without an index that begins with the "
            "replication key: each INCREMENTAL run reads the whole table.",
            tuple(searched.values()),
        )


def listed(relations: Sequence[Relation]) -> str:
    """Name the first few tables, as the start of a sentence."""
    return listed_names([relation.stream for relation in relations])


def listed_names(streams: Sequence[str], noun: str = "Table") -> str:
    """Name the first few of some things, as the start of a sentence."""
    named, left = ", ".join(streams[:_NAMED]), len(streams) - _NAMED
    more = f" and {left} more" if left > 0 else ""
    return f"{noun}{'' if len(streams) == 1 else 's'} {named}{more}"


def qualified(relation: Relation, dialect: Dialect) -> str:
    """Return the name of a relation as SQL."""
    return dialect.qualified(relation.schema, relation.name)


def wanted(tables: Iterable[T], choices: Choices) -> list[T]:
    """Return the tables that are going to be read: all, if there is no catalog."""
    return [
        table for table in tables if choices is None or table.relation.stream in choices
    ]


def told(
    server: Server, found: Sequence[Examined], refusals: Collection[str], others: int
) -> tuple[tuple[str, str], ...]:
    """Return the facts about a source that people want to see.

    Args:
        server: What the server says of itself.
        found: What is going to be read.
        refusals: The streams of it that cannot be read, as it turned out.
        others: How many are not there, or were not granted.
    """
    readable = [one for one in found if one.relation.stream not in refusals]
    views = sum(one.relation.is_view for one in readable)
    unreadable = others + len(refusals)
    return (
        ("server", f"{server.product} {server.version}"),
        ("user", server.user),
        ("encryption", server.encryption or "none"),
        ("replica", "yes" if server.is_replica else "no"),
        (
            "tables",
            f"{len(readable)} readable ({views} views), {unreadable} not readable",
        ),
    )
