"""What the server holds: the questions to ask, and rows into descriptions."""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict
from dataclasses import dataclass

from dativo_core.sql.relation import Column, Relation

from tap_mysql.my_types import MyType
from tap_mysql.queries import DIALECT, Key, quote_literal
from tap_mysql.values import describe

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tap_mysql.my_types import Options
    from tap_mysql.values import Described

Rows: t.TypeAlias = "Iterable[tuple[t.Any, ...]]"
Name: t.TypeAlias = "tuple[str, str]"

SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
# Engines that keep rows in the order of their key, and a snapshot of them.
_CLUSTERED = {"InnoDB", "ROCKSDB", "TokuDB"}
_JSON_CHECK = re.compile(r"json_valid\(`((?:[^`]|``)+)`\)")

DATABASES = "SHOW DATABASES"
IS_MARIADB = "SELECT VERSION() LIKE '%MariaDB%'"
_TABLES = """
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE = 'VIEW', ENGINE, TABLE_ROWS
FROM information_schema.TABLES
WHERE TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') AND {chosen}
ORDER BY 1, 2
"""
_COLUMNS = """
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE,
       NUMERIC_PRECISION, NUMERIC_SCALE, IS_NULLABLE = 'YES'
FROM information_schema.COLUMNS WHERE PRIVILEGES LIKE '%select%' AND {chosen}
ORDER BY 1, 2, ORDINAL_POSITION
"""
_INDEXES = """
SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART IS NULL,
       NON_UNIQUE = 0 AND NULLABLE <> 'YES'
FROM information_schema.STATISTICS WHERE INDEX_TYPE = 'BTREE' AND {chosen}
ORDER BY 1, 2, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX
"""
# MariaDB's JSON is text with a check; MySQL has a type for it.
_CHECKS = """
SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CHECK_CLAUSE
FROM information_schema.CHECK_CONSTRAINTS WHERE {chosen}
"""


@dataclass(frozen=True, slots=True)
class Questions:
    """The statements of a discovery: as many for one table as for two thousand."""

    tables: str
    columns: str
    indexes: str
    checks: str


@dataclass(frozen=True, slots=True)
class Index:
    """An index, by the columns that it holds whole."""

    columns: tuple[str, ...]
    is_key: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view, and what reading it needs.

    Attributes:
        described: By name, how columns are asked for and what their bytes mean.
        path: The key, if rows lie in its order and a load can resume behind any row.
        indexed: Columns whose order an index has.
        nullable: Columns that may be null.
        has_snapshot: Whether a transaction sees its rows as they were at one moment.
    """

    relation: Relation
    described: Mapping[str, Described]
    path: tuple[Key, ...]
    indexed: frozenset[str]
    nullable: frozenset[str]
    has_snapshot: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """What the server said."""

    tables: Rows
    columns: Rows
    indexes: Rows
    checks: Rows


def questions(databases: Sequence[str]) -> Questions:
    """Ask about the named databases, or about all but the system's."""
    listed = ", ".join(map(quote_literal, databases or SYSTEM))
    sign = "IN" if databases else "NOT IN"
    chosen = f"TABLE_SCHEMA {sign} ({listed})"
    return Questions(
        _TABLES.replace("{chosen}", chosen),
        _COLUMNS.replace("{chosen}", chosen),
        _INDEXES.replace("{chosen}", chosen),
        _CHECKS.replace("{chosen}", chosen.replace("TABLE", "CONSTRAINT", 1)),
    )


def tables(answers: Answers, options: Options) -> list[Table]:
    """Put the answers together."""
    columns: dict[Name, list[tuple[t.Any, ...]]] = defaultdict(list)
    for schema, name, *column in answers.columns:
        columns[schema, name].append(tuple(column))
    indexes = _indexes(answers.indexes)
    documents = _documents(answers.checks)
    found = []
    for schema, name, is_view, engine, rows in answers.tables:
        of_table = columns[schema, name]
        typed = [
            (column, _type(*facts), nullable)
            for column, *facts, nullable in _with_json(
                of_table, documents[schema, name]
            )
        ]
        if typed:
            facts = Facts((schema, name), bool(is_view), engine, rows)
            found.append(_table(facts, typed, indexes[schema, name], options))
    return found


def closed(answers: Answers) -> dict[Name, bool]:
    """Return the tables of which no column is seen, and whether they are views."""
    readable = {(schema, name) for schema, name, *_ in answers.columns}
    return {
        (schema, name): bool(is_view)
        for schema, name, is_view, *_ in answers.tables
        if (schema, name) not in readable
    }


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says of a table as a whole."""

    name: Name
    is_view: bool
    engine: str | None
    rows: int | None


def _table(
    facts: Facts,
    typed: Sequence[tuple[str, MyType, bool]],
    indexes: Sequence[Index],
    options: Options,
) -> Table:
    schema, name = facts.name
    described = {
        column: describe(my_type, DIALECT.qualified(name, column), options)
        for column, my_type, _ in typed
    }
    columns = {
        column: Column(
            column,
            my_type.name,
            my_type.declared,
            described[column].value,
            described[column].cursor,
        )
        for column, my_type, _ in typed
    }
    index = _key(indexes, columns)
    key = index.columns if index else ()
    can_resume = (
        bool(index and index.is_whole)
        and facts.engine in _CLUSTERED
        and all(described[column].keyed for column in key)
    )
    relation = Relation(
        database=None,
        schema=schema,
        name=name,
        rows=facts.rows,
        columns=tuple(columns.values()),
        key=key,
        is_view=facts.is_view,
    )
    return Table(
        relation,
        described,
        tuple(Key.of(name, columns[c]) for c in key) if can_resume else (),
        frozenset(i.columns[0] for i in indexes if i.is_whole),
        frozenset(column for column, _, nullable in typed if nullable),
        has_snapshot=facts.engine in _CLUSTERED,
    )


def _key(indexes: Sequence[Index], columns: Mapping[str, Column]) -> Index | None:
    """Return the primary key, else the unique one that stands in for it."""
    for index in indexes:
        if index.is_key and all(column in columns for column in index.columns):
            return index
    return None


def _indexes(rows: Rows) -> Mapping[Name, list[Index]]:
    parts: dict[tuple[str, str, str], list[tuple[t.Any, ...]]] = defaultdict(list)
    for schema, table, index, *part in rows:
        parts[schema, table, index].append(tuple(part))
    found: dict[Name, list[Index]] = defaultdict(list)
    for (schema, table, name), columns in parts.items():
        # An expression has no name; of a primary key, a part is unique as well.
        names = tuple(column for column, _, _ in columns if column is not None)
        is_named = len(names) == len(columns)
        is_whole = is_named and all(whole for _, whole, _ in columns)
        is_unique = is_named and all(unique for _, _, unique in columns)
        is_key = is_unique and (is_whole or name == "PRIMARY")
        if names:
            found[schema, table].append(Index(names, is_key, is_whole))
    return found


def _documents(checks: Rows) -> Mapping[Name, set[str]]:
    found: dict[Name, set[str]] = defaultdict(set)
    for schema, table, clause in checks:
        if match := _JSON_CHECK.fullmatch(clause):
            found[schema, table].add(match[1].replace("``", "`"))
    return found


def _with_json(
    columns: Iterable[tuple[t.Any, ...]], documents: set[str]
) -> Iterable[tuple[t.Any, ...]]:
    for name, kind, *rest in columns:
        is_document = kind == "longtext" and name in documents
        yield (name, "json" if is_document else kind, *rest)


def _type(name: str, declared: str, precision: int | None, scale: int | None) -> MyType:
    return MyType(name.lower(), declared, precision, scale)
