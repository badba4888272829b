"""SQL text: quoting, values, and the conditions that choose rows."""

from __future__ import annotations

import base64
import binascii
import re
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dativo_core.errors import ConfigurationError
from dativo_core.sql.dialect import Dialect

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from dativo_core.sql.relation import Column

_LITERAL = r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\""
DIALECT = Dialect("`", re.compile(_LITERAL, re.DOTALL))
TIME_TYPES = {"date", "datetime", "timestamp"}
NUMBER_TYPES = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal"}
# A statement's clock is read before its transaction begins, and clocks differ.
CLOCK_SLACK_SECONDS = 60

_FLAGS = {"false": "0", "true": "1"}
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?")

# The rest of a pipeline may take its time to read on: a commit, a slow disk. The parts
# for MariaDB and for MySQL alone lift limits on the time of a statement and of a
# transaction. `sql_select_limit` would cut an answer without a word.
SESSION = (
    # In any other character set a server sends ? for what that lacks.
    "SET NAMES utf8mb4",
    "SET SESSION sql_mode = ''",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION net_write_timeout = 3600, net_read_timeout = 3600, "
    "wait_timeout = 28800 /*M!100100 , max_statement_time = 0 */ "
    "/*M!100300 , idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0 "
    "*/ /*!50708 , max_execution_time = 0 */",
    "SET SESSION sql_select_limit = 18446744073709551615, sql_big_selects = 1",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
)
BEGIN = ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",)

# Whoever writes has to wait behind who waits for a lock.
LOCK_PATIENCE = "SET SESSION lock_wait_timeout = 5"
UNLOCK = "UNLOCK TABLES"
USUAL_PATIENCE = "SET SESSION lock_wait_timeout = DEFAULT"

# As microseconds since 1970, which no time zone changes.
CLOCK = (
    "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED), @@global.read_only"
)
# InnoDB tells starts in the server's own zone, in whole seconds.
SERVER_ZONE = "SET SESSION time_zone = 'SYSTEM'"
OUR_ZONE = "SET SESSION time_zone = '+00:00'"
# The second column tells whether the list is new: then this statement is in it.
_OLDEST_OPEN = """
SELECT CAST(UNIX_TIMESTAMP(MIN(
         IF(trx_mysql_thread_id <> CONNECTION_ID(), trx_started, NULL)
       )) * 1000000 AS SIGNED),
       COUNT(IF(trx_mysql_thread_id = CONNECTION_ID()
                AND trx_query LIKE '%{word}%', 1, NULL))
FROM information_schema.innodb_trx
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A column by which rows are put in order.

    Attributes:
        nullable: Whether a row may have none.
    """

    relation: str
    name: str
    type: str
    nullable: bool = False

    @classmethod
    def of(cls, relation: str, column: Column, *, nullable: bool = False) -> Key:
        """Return the key that a column of a relation is."""
        return cls(relation, column.name, column.type, nullable)

    @property
    def sql(self) -> str:
        """The column; alone, its name would mean the selected expression."""
        return DIALECT.qualified(self.relation, self.name)

    @property
    def is_time(self) -> bool:
        """Whether values come from a clock."""
        return self.type in TIME_TYPES

    @property
    def can_compare(self) -> bool:
        """Whether two values can be compared here, without the server."""
        return self.is_time or self.type in NUMBER_TYPES

    def literal(self, value: t.Any) -> str:
        """Return a value as SQL.

        Raises:
            ConfigurationError: The state has something else.
        """
        try:
            return _literal(self.type, str(value))
        except (ValueError, binascii.Error) as error:
            msg = f"The state has no value of column '{self.name}'."
            raise ConfigurationError(msg, hint="Correct the state, or clear it.") from (
                error
            )


def _literal(kind: str, text: str) -> str:
    if kind in TIME_TYPES:
        return f"'{plain_moment(text)}'"
    if kind in NUMBER_TYPES or kind == "double":
        text = _FLAGS.get(text, text)
        if not _NUMBER.fullmatch(text):
            raise ValueError(kind)
        return text
    if kind in {"binary", "varbinary"}:
        return f"x'{base64.b64decode(text, validate=True).hex()}'"
    return quote_literal(text)


def plain_moment(text: str) -> str:
    """Return a moment as MySQL spells it, from ISO 8601 in any zone."""
    text = text.replace("T", " ").removesuffix("Z").removesuffix("+00:00")
    if _MOMENT.fullmatch(text):
        return text
    moment = datetime.fromisoformat(text)
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(" ")


def earlier(text: str, seconds: int) -> str | None:
    """Return the moment so many seconds before; None if it lies outside all years."""
    whole, _, fraction = plain_moment(text).partition(".")
    try:
        moment = datetime.fromisoformat(whole) - timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    if " " not in whole:
        # Rows of a day are compared by its midnight.
        return moment.date().isoformat()
    # Before 3.11 Python reads a fraction of three or six digits only.
    return moment.isoformat(" ") + (f".{fraction}" if fraction else "")


def oldest_open(word: str) -> str:
    """Ask, in a transaction, for the oldest one of others, and whether that is new.

    InnoDB gives the same list again to all who ask within a tenth of a second.

    Args:
        word: One that no other statement has.
    """
    return _OLDEST_OPEN.replace("{word}", word)


def lock(table: str) -> str:
    """Let nobody write to a table."""
    return f"LOCK TABLES {table} READ"


def quote_literal(text: str) -> str:
    """Quote text, in the `sql_mode` that we set."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def in_order(keys: Sequence[Key]) -> str:
    """Return what to order by."""
    return ", ".join(key.sql for key in keys)


def behind(keys: Sequence[Key], values: Sequence[t.Any]) -> str:
    """Rows that come after those of the values, as tuples.

    MySQL uses an index for this form, not for `(a, b) > (1, 2)`.
    """
    return _beside(keys, values, [">"] * len(keys))


def up_to(keys: Sequence[Key], values: Sequence[t.Any]) -> str:
    """Rows that do not come after those of the values, as tuples."""
    return _beside(keys, values, ["<"] * (len(keys) - 1) + ["<="])


def _beside(keys: Sequence[Key], values: Sequence[t.Any], signs: Sequence[str]) -> str:
    literals = [key.literal(value) for key, value in zip(keys, values, strict=True)]
    options = []
    for position, key in enumerate(keys):
        # What all these rows share, and then where they lie.
        equal = [f"{keys[n].sql} = {literals[n]}" for n in range(position)]
        lies = f"{key.sql} {signs[position]} {literals[position]}"
        options.append(" AND ".join([*equal, lies]))
    return " OR ".join(f"({option})" for option in options)


def at_least(key: Key, value: t.Any, *, slack: bool) -> str:
    """Rows at or above a value, and those that have none."""
    bound = key.literal(value)
    if slack and key.is_time:
        # Nothing comes before a zero date, and the server says null of it.
        before = f"{bound} - INTERVAL {CLOCK_SLACK_SECONDS} SECOND"
        bound = f"COALESCE({before}, {bound})"
    condition = f"{key.sql} >= {bound}"
    return f"{condition} OR {key.sql} IS NULL" if key.nullable else condition


def highest(relation: str, key: Key) -> str:
    """Ask for the highest value that is not in the future.

    Such a value would stand above all others forever and hide them.
    """
    clock = {"timestamp": "UTC_TIMESTAMP(6)"}.get(key.type, _LOCAL_NOW)
    past = f" WHERE {key.sql} <= {clock}" if key.is_time else ""
    return f"SELECT CAST(MAX({key.sql}) AS CHAR) FROM {relation}{past}"  # noqa: S608


# Who writes without a zone writes in that of the server's sessions.
_LOCAL_NOW = (
    "COALESCE(CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@global.time_zone), "
    "UTC_TIMESTAMP(6) + INTERVAL 14 HOUR)"
)
