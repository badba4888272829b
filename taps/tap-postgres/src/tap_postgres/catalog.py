"""What the database holds: the questions to ask, and rows into descriptions."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from dativo_core.sql.relation import Column, Relation

from tap_postgres.pg_types import PgType
from tap_postgres.queries import quote_identifier, quote_literal
from tap_postgres.rules import rule_of
from tap_postgres.values import describe

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tap_postgres.pg_types import Options

Rows: t.TypeAlias = "Iterable[tuple[t.Any, ...]]"


@dataclass(frozen=True, slots=True)
class Table:
    """A table, view, materialized view or foreign table.

    Attributes:
        physical: Whether its rows have a page and a transaction of their own that
            the user may see: not so for views and foreign tables.
    """

    relation: Relation
    oid: int
    kind: str
    physical: bool


@dataclass(frozen=True, slots=True)
class Types:
    """Everything in `pg_type`, by number."""

    rows: Mapping[int, tuple[t.Any, ...]]

    def resolve(self, oid: int, modifier: int, dimensions: int) -> PgType:
        """Follow domains and arrays down to a type of the value table."""
        name, kind, element, base, base_modifier, base_dimensions = self.rows[oid]
        if kind == "d":
            return self.resolve(
                base,
                base_modifier if modifier == -1 else modifier,
                dimensions or base_dimensions,
            )
        if element is not None:
            inner = self.resolve(element, modifier, 0)
            # An array of a domain over an array nests, as declared.
            below = inner.dimensions if inner.element else 0
            return PgType(
                name,
                element=inner.element or inner,
                dimensions=max(1, dimensions) + below,
                boxed=bool(below),
            )
        families = {"e": "enum", "c": "composite", "r": "range", "m": "range"}
        return PgType(families.get(kind, name), modifier)


FACTS = """
SELECT current_setting('server_version_num')::int4, scale(0::money::numeric)
"""

SCHEMAS = """
SELECT nspname::text FROM pg_namespace
WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%' ORDER BY 1
"""

# An array type is what some type calls its array; int2vector is not one.
TYPES = """
SELECT ty.oid::int8, ty.typname::text, ty.typtype::text, item.oid::int8,
       ty.typbasetype::int8, ty.typtypmod, ty.typndims
FROM pg_type ty LEFT JOIN pg_type item ON item.typarray = ty.oid
"""

_READABLE = """
WITH RECURSIVE above_foreign AS (
  SELECT link.inhparent AS oid FROM pg_inherits link
  JOIN pg_class child ON child.oid = link.inhrelid AND child.relkind = 'f'
  UNION
  SELECT link.inhparent FROM pg_inherits link
  JOIN above_foreign ON above_foreign.oid = link.inhrelid
), readable AS (
  SELECT c.oid, n.nspname, c.relname, c.relkind, c.reltuples,
         c.relkind IN ('r', 'p', 'm') AND has_table_privilege(c.oid, 'SELECT')
         AND c.oid NOT IN (SELECT oid FROM above_foreign) AS physical
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND c.relpersistence <> 't' AND {schemas}
    AND has_schema_privilege(n.oid, 'USAGE')
    AND has_any_column_privilege(c.oid, 'SELECT')
)
"""
_RELATIONS = """
SELECT oid::int8, nspname::text, relname::text, relkind::text,
       CASE WHEN reltuples >= 0 THEN reltuples::int8 END, physical
FROM readable ORDER BY 2, 3
"""
_COLUMNS = """
SELECT a.attrelid::int8, a.attname::text, a.atttypid::int8, a.atttypmod,
       a.attndims::int4, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN readable ON readable.oid = a.attrelid
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attrelid, a.attnum
"""
_KEYS = """
SELECT i.indrelid::int8, a.attname::text
FROM pg_index i JOIN readable ON readable.oid = i.indrelid
CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.attnum
WHERE i.indisprimary AND part.place <= i.indnkeyatts
ORDER BY i.indrelid, part.place
"""

# The columns whose order an index has.
INDEXED = """
SELECT i.indrelid::int8, a.attname::text
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am am ON am.oid = c.relam AND am.amname = 'btree'
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indisvalid AND i.indpred IS NULL
"""
# Relations of which the role may not read everything.
_RIGHTS = """
WITH granted AS (
  SELECT n.nspname::text, c.relname::text,
         has_schema_privilege(n.oid, 'USAGE') AS may_enter,
         has_any_column_privilege(c.oid, 'SELECT') AS some,
         has_table_privilege(c.oid, 'SELECT') OR c.relkind IN ('v', 'f')
         AND has_any_column_privilege(c.oid, 'SELECT') AS whole,
         row_security_active(c.oid) AS filtered
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND c.relpersistence <> 't' AND {schemas}
)
SELECT * FROM granted WHERE NOT (may_enter AND whole) OR filtered ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Questions:
    """The statements of a discovery: as many for one table as for two thousand."""

    relations: str
    columns: str
    keys: str
    types: str = TYPES


def questions(schemas: Sequence[str]) -> Questions:
    """Ask about the named schemas, or about all but the system's."""
    readable = _READABLE.replace("{schemas}", _among(schemas))
    return Questions(readable + _RELATIONS, readable + _COLUMNS, readable + _KEYS)


def rights(schemas: Sequence[str]) -> str:
    """Ask for the relations of which the role may not read everything."""
    return _RIGHTS.replace("{schemas}", _among(schemas))


def _among(schemas: Sequence[str]) -> str:
    listed = ", ".join(map(quote_literal, schemas))
    return (
        f"n.nspname IN ({listed})"
        if schemas
        else "n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'"
    )


def tables(
    *,
    database: str | None,
    options: Options,
    relations: Rows,
    columns: Rows,
    keys: Rows,
    types: Rows,
) -> list[Table]:
    """Put the answers together."""
    resolve = Types({oid: tuple(rest) for oid, *rest in types}).resolve
    columns_of: dict[int, list[tuple[t.Any, ...]]] = defaultdict(list)
    for oid, *column in columns:
        columns_of[oid].append(tuple(column))
    key_of: dict[int, list[str]] = defaultdict(list)
    for oid, name in keys:
        key_of[oid].append(name)
    found = []
    for oid, schema, name, kind, estimate, physical in relations:
        described = tuple(
            _column(name, column, *(declared, resolve(*pg_type), options))
            for column, *pg_type, declared in columns_of[oid]
        )
        relation = Relation(
            *(database, schema, name, estimate, described),
            _readable_key(key_of[oid], described),
            is_view=kind in {"v", "m"},
        )
        found.append(Table(relation, oid, kind, physical))
    return found


def _column(
    table: str, name: str, declared: str, pg_type: PgType, options: Options
) -> Column:
    sql = f"{quote_identifier(table)}.{quote_identifier(name)}"
    orders = pg_type.element is None and rule_of(pg_type).cursor
    value = describe(pg_type, sql, options)
    return Column(name, pg_type.name, declared, value, orders)


def _readable_key(key: Sequence[str], columns: Sequence[Column]) -> tuple[str, ...]:
    names = {column.name for column in columns}
    return tuple(key) if names.issuperset(key) else ()
