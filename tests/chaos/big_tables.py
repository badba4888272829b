"""A table of any length that is made in seconds, and what must become of it."""

from __future__ import annotations

import contextlib
import sqlite3
import typing as t
from dataclasses import dataclass

from dativo_sandbox import lake
from dativo_sandbox.mariadb import MariaServer
from dativo_sandbox.postgres import PostgresServer
from pyiceberg.table import StaticTable

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DATABASE = "kills"
_COLUMNS = """
CREATE TABLE loaded (part int NOT NULL, n int NOT NULL, amount decimal(12,2),
  made {moment}, word varchar(40), flag {flag}, PRIMARY KEY (part, n))
"""
_MARIADB = """
INSERT INTO loaded SELECT seq DIV 1000, seq, seq * 37 MOD 1000000 / 100,
  TIMESTAMP('2020-01-01 00:00:00') + INTERVAL seq SECOND, CONCAT('row ', seq),
  NULLIF(seq MOD 3, 2)
FROM seq_1_to_{rows};
ANALYZE TABLE loaded
"""
_POSTGRES = """
INSERT INTO loaded SELECT n / 1000, n, (n::bigint * 37 % 1000000) / 100.0,
  timestamp '2020-01-01' + n * interval '1 second', 'row ' || n,
  NULLIF(n % 3, 2)::boolean
FROM generate_series(1, {rows}) n;
ANALYZE loaded
"""
# Every value follows from the number of its row.
_FOUND = """
SELECT count(*), count(DISTINCT n), count(*) FILTER (WHERE n BETWEEN 1 AND {rows}
  AND part = n // 1000 AND amount * 100 = n::BIGINT * 37 % 1000000
  AND made = TIMESTAMP '2020-01-01' + to_seconds(n) AND word = 'row ' || n
  AND flag::INT IS NOT DISTINCT FROM NULLIF(n % 3, 2))
FROM lake.{table}
"""


@dataclass(frozen=True)
class BigTable:
    """A table of a database whose rows have numbers from 1 on.

    Attributes:
        program: The tap that reads it.
        config: How it finds the database.
        name: What the table is called in the lake.
    """

    program: str
    config: dict[str, t.Any]
    name: str
    rows: int

    def found(self, warehouse: Path) -> dict[str, int]:
        """Compare what DuckDB reads with what was made."""
        with lake.lake(warehouse) as engine:
            query = _FOUND.format(rows=self.rows, table=self.name)
            [[rows, keys, equal]] = engine.execute(query).fetchall()
        return {
            "rows_in_source": self.rows,
            "rows_in_table": rows,
            "distinct_keys": keys,
            "missing": self.rows - keys,
            "duplicates": rows - keys,
            "other_values": rows - equal,
        }

    def seen(self, warehouse: Path) -> int:
        """Return how many rows readers see."""
        if not (warehouse / "catalog.db").exists():
            return 0
        try:
            location = lake.tables(warehouse).get(("lake", self.name))
        except sqlite3.OperationalError:  # whoever makes the catalog died before
            return 0
        return StaticTable.from_metadata(location).scan().count() if location else 0


@dataclass(frozen=True)
class Source:
    """A database that makes such tables."""

    server: Callable[[], t.Any]
    program: str
    schema: str
    types: dict[str, str]
    fill: str


SOURCES = {
    "mariadb": Source(
        MariaServer,
        "tap-mysql",
        DATABASE,
        {"moment": "datetime(6)", "flag": "tinyint"},
        _MARIADB,
    ),
    "postgres": Source(
        PostgresServer,
        "tap-postgres",
        "public",
        {"moment": "timestamp", "flag": "boolean"},
        _POSTGRES,
    ),
}


@contextlib.contextmanager
def filled(source: Source, rows: int) -> Iterator[BigTable]:
    """Fill a table on a private server."""
    with source.server() as server:
        database = server.create_database(DATABASE)
        database.execute(_COLUMNS.format(**source.types))
        database.execute(source.fill.format(rows=rows))
        [[made]] = database.query("SELECT count(*) FROM loaded")
        config = database.tap_config()
        yield BigTable(source.program, config, f"{source.schema}_loaded", made)
