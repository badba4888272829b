"""SQL text: quoting, and the statements that read rows."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from dativo_core.sql.dialect import Dialect

if t.TYPE_CHECKING:
    from dativo_core.sql.relation import Column, Relation

TIME_TYPES = {"date", "timestamp", "timestamptz"}
INTEGER_TYPES = {"int2", "int4", "int8"}
# Clocks of application servers differ, and a transaction's start is reported a moment
# after it: reading a little further back costs nothing, since `xmin` filters. Without
# a zone clocks go back once a year, as a rule by an hour.
CLOCK_SLACK = {
    "date": "70 minutes",
    "timestamp": "70 minutes",
    "timestamptz": "10 minutes",
}

# As standard SQL has them, with escapes, and between dollars.
_LITERAL = r"\b[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$"
DIALECT = Dialect('"', re.compile(_LITERAL, re.DOTALL))
quote_identifier = DIALECT.quote
_TIME_ZONE = "(SELECT reset_val FROM pg_settings WHERE name = 'TimeZone')"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The column that orders changes."""

    table: str
    name: str
    type: str
    declared: str

    @classmethod
    def of(cls, relation: Relation, column: Column) -> Cursor:
        """Return the cursor that a column of a relation is."""
        return cls(relation.name, column.name, column.type, column.declared)

    def literal(self, value: t.Any) -> str:
        """Return a value of the column as SQL."""
        return f"{quote_literal(str(value))}::{self.declared}"

    @property
    def sql(self) -> str:
        """The quoted column; alone, its name would mean the rendered value."""
        return f"{quote_identifier(self.table)}.{quote_identifier(self.name)}"

    @property
    def is_exact(self) -> bool:
        """Whether values are equal to Postgres if they are spelled alike, and only so.

        The numbers 1.0 and 1.00 are equal, and in some collations so are "a" and "A".
        """
        return self.type in TIME_TYPES | INTEGER_TYPES

    @property
    def ordinary(self) -> str:
        """The condition that a value is neither special nor in the future.

        Such a value would sit above all others forever and hide them.
        """
        if self.type in TIME_TYPES:
            return f"{self.sql} <= {moment('clock_timestamp()', self.type)}"
        if self.type == "numeric":
            # As text: before version 14 there is no infinity to compare with.
            return f"{self.sql}::text NOT IN ('NaN', 'Infinity', '-Infinity')"
        if self.type in {"float4", "float8"}:
            return f"{self.sql} NOT IN ('NaN', 'Infinity', '-Infinity')"
        return f"{self.sql} IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Window:
    """The transactions whose rows are wanted: ages, counted from the next one.

    A row of a transaction that Postgres has frozen long ago may seem to lie in the
    future (a negative age): that is old.
    """

    youngest: int
    oldest: int | None

    @property
    def sql(self) -> str:
        """The condition on a row's `xmin`."""
        if self.oldest is None:
            return f"NOT age(xmin) BETWEEN 0 AND {self.youngest - 1}"
        return f"age(xmin) BETWEEN {self.youngest} AND {self.oldest}"


def quote_literal(text: str) -> str:
    """Quote text; `standard_conforming_strings` is on."""
    return "'" + text.replace("'", "''") + "'"


def moment(expression: str, cursor_type: str) -> str:
    """Turn a moment into a cursor's type, as sessions of this server would."""
    if cursor_type == "timestamptz":
        return expression
    local = f"({expression} AT TIME ZONE {_TIME_ZONE})"
    return f"{local}::date" if cursor_type == "date" else local


def share(snapshot: str) -> str:
    """Let a transaction that has just begun see what another one sees."""
    return f"SET TRANSACTION SNAPSHOT {quote_literal(snapshot)}"


def nothing_of(relation: str) -> str:
    """Ask for no rows: whoever locks a table that is read for it is waited for."""
    return f"SELECT FROM {relation} LIMIT 0"


def pages(first: int, end: int) -> str:
    """Rows on pages from the first up to, not including, the end."""
    return f"ctid >= '({first},0)'::tid AND ctid < '({end},0)'::tid"


def at_least(cursor: Cursor, value: t.Any, *, slack: bool = False) -> str:
    """Rows at or above a value, and those that have none."""
    bound = cursor.literal(value)
    if slack and cursor.type in CLOCK_SLACK:
        bound = f"({bound} - interval '{CLOCK_SLACK[cursor.type]}')"
        # Midnight lies above the evening before, though both are of one day.
        bound += "::date" if cursor.type == "date" else ""
    return f"{cursor.sql} >= {bound} OR {cursor.sql} IS NULL"


def above(cursor: Cursor, value: t.Any) -> str:
    """Rows above a value, and those that have none."""
    return f"{cursor.sql} > {cursor.literal(value)} OR {cursor.sql} IS NULL"


def before(cursor: Cursor, microseconds: int) -> str:
    """Rows below a moment, and those without a value."""
    when = f"to_timestamp({microseconds}::numeric / 1000000)"
    bound = moment(when, cursor.type)
    # Rows of the day itself are there; they come again until the day is over.
    sign = "<=" if cursor.type == "date" else "<"
    return f"{cursor.sql} {sign} {bound} OR {cursor.sql} IS NULL"


def highest(relation: str, cursor: Cursor) -> str:
    """Ask for the highest ordinary value, and for a time after that was true."""
    top = (
        f"SELECT {cursor.sql} FROM {relation} "  # noqa: S608 names are quoted
        f"WHERE {cursor.ordinary} "
        f"ORDER BY {cursor.sql} DESC LIMIT 1"
    )
    return f"SELECT ({top})::text, {_microseconds('clock_timestamp()')}"


def is_later(cursor: Cursor, new: t.Any, old: t.Any) -> str:
    """Ask whether a value comes after another, in the server's own order."""
    return f"SELECT {cursor.literal(new)} > {cursor.literal(old)}"


def _microseconds(expression: str) -> str:
    return f"(extract(epoch FROM {expression}) * 1000000)::int8"


SESSION = """
SELECT set_config('TimeZone', 'UTC', true),
       set_config('IntervalStyle', 'iso_8601', true),
       set_config('DateStyle', 'ISO, YMD', true),
       set_config('extra_float_digits', '1', true),
       set_config('bytea_output', 'hex', true),
       set_config('xmlbinary', 'base64', true),
       set_config('standard_conforming_strings', 'on', true)
"""

# 3 is the first ordinary transaction number, so age('3') tells the next one.
SNAPSHOT = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8,
       pg_snapshot_xmax(pg_current_snapshot())::text::int8,
       age('3'::xid),
       CASE WHEN has_function_privilege('pg_control_system()', 'execute')
            THEN (SELECT system_identifier FROM pg_control_system())::text
            ELSE '' END || '/' || (SELECT oid FROM pg_database
                                   WHERE datname = current_database())
"""

# Each open transaction holds a lock on its own virtual number, which everybody may
# see, and on its real one as soon as it has that; its start is hidden from users
# without pg_read_all_stats. With a number it holds back the horizon wherever it is.
_ACTIVITY = f"""
WITH open AS (
  SELECT session.xact_start FROM pg_stat_activity session
  WHERE session.pid <> pg_backend_pid()
    AND session.application_name <> 'tap-postgres'
    AND (session.datname = current_database()
         AND session.backend_type IS DISTINCT FROM 'autovacuum worker'
         AND (session.xact_start IS NOT NULL OR session.backend_type IS NULL AND EXISTS
              (SELECT FROM pg_locks l WHERE l.pid = session.pid
               AND l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock'))
         OR {{everywhere}} AND EXISTS
            (SELECT FROM pg_locks l WHERE l.pid = session.pid
             AND l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock'))
)
SELECT {_microseconds("statement_timestamp()")},
       (SELECT {_microseconds("min(xact_start)")} FROM open),
       (SELECT count(*) FROM open WHERE xact_start IS NULL),
       (SELECT count(*) FROM pg_prepared_xacts
        WHERE {{everywhere}} OR database = current_database()),
       pg_is_in_recovery()
"""  # noqa: S608 constants


def activity(*, everywhere: bool) -> str:
    """Ask who else is at work.

    Args:
        everywhere: Also who writes in another database of the server.
    """
    return _ACTIVITY.replace("{everywhere}", str(everywhere).lower())


LAYOUT = """
WITH RECURSIVE parts AS (
  SELECT to_regclass({name})::oid AS oid
  UNION SELECT link.inhrelid FROM pg_inherits link JOIN parts ON parts.oid = inhparent
)
SELECT max(pg_relation_size(oid)) / current_setting('block_size')::int8,
       (sum(pg_relation_size(oid)) / current_setting('block_size')::int8)::int8,
       md5(string_agg(oid || ':' || coalesce(pg_relation_filenode(oid), 0), ','
                      ORDER BY oid))
FROM parts
"""
