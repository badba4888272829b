"""What rows are read from: private servers that hold the same rows each time."""

from __future__ import annotations

import contextlib
import json
import typing as t

import checksums
import lineitem
from dativo_sandbox.mariadb import MariaServer
from dativo_sandbox.postgres import PostgresServer
from tables import LINEITEM

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from checksums import Facts
    from dativo_sandbox.database import Database
    from tables import Column, Table


class Source(t.Protocol):
    """A server."""

    version: str

    def make(self, tables: Sequence[Table], rows: int, folder: Path) -> list[Facts]:
        """Make tables in a database of their own, and the files that name it.

        Args:
            tables: What to make.
            rows: How many rows each gets.
            folder: Where `tap.json` and `dsn.txt` go; its name becomes the database's.

        Returns:
            Number and checksum of the rows of each table.
        """


class PostgresSource:
    """Makes rows out of their numbers."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        [[number]] = server.database().query("SHOW server_version")
        self.version = f"PostgreSQL {number}"

    def make(self, tables: Sequence[Table], rows: int, folder: Path) -> list[Facts]:
        """Make tables, and the files that name them."""
        database = self._server.create_database(folder.name)
        settings = database.tap_config() | {"filter_schemas": ["public"]}
        _write(folder, settings, database.dsn)
        return [fill(database, table, rows) for table in tables]


class MysqlSource:
    """Holds copies of what Postgres has made.

    Args:
        server: Holds the copies.
        origin: Where the rows are made first.
    """

    def __init__(self, server: MariaServer, origin: PostgresServer) -> None:
        self._server, self._origin = server, origin
        [[number]] = server.database().query("SELECT version()")
        self.version = f"MariaDB {number}"

    def make(self, tables: Sequence[Table], rows: int, folder: Path) -> list[Facts]:
        """Make tables, copy their rows, and write the files that name them."""
        database = self._server.create_database("bench")
        login = f"{database.user}:{database.password}@{database.host}:{database.port}"
        _write(folder, database.tap_config(), f"mysql://{login}/{database.name}")
        origin = self._origin.create_database("origin_of_mysql")
        found = []
        for table in tables:
            found.append(fill(origin, table, rows))
            lines = folder / f"{table.name}.tsv"
            _export(origin, table, lines)
            database.execute(_mysql_ddl(table))
            database.execute(
                f"LOAD DATA INFILE '{lines}' INTO TABLE {table.name} "
                "CHARACTER SET utf8mb4"
            )
            database.execute(f"ANALYZE TABLE {table.name}")
        self._origin.drop_database(origin.name)
        return found


_MYSQL_TYPES = {
    "timestamptz": "datetime(6)",
    "double precision": "double",
    "boolean": "tinyint(1)",
    "text": "varchar(255)",
}
_AS_LINE = {
    "timestamptz": "to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    "boolean": "{c}::int",
}


@contextlib.contextmanager
def started(names: Collection[str]) -> Iterator[Mapping[str, Source]]:
    """Start the servers that are asked for, and stop them at the end."""
    with contextlib.ExitStack() as servers:
        found: dict[str, Source] = {}
        if set(names) & {"postgres", "mysql"}:
            postgres = servers.enter_context(PostgresServer())
            found["postgres"] = PostgresSource(postgres)
        if "mysql" in names:
            # Files that this process writes are read by the server itself.
            settings = {"secure-file-priv": ""}
            server = servers.enter_context(MariaServer(settings=settings))
            found["mysql"] = MysqlSource(server, postgres)
        yield found


def fill(database: Database, table: Table, rows: int) -> Facts:
    """Create and fill a table; its after-care must not fall into the first run."""
    database.execute(table.ddl())
    if table is LINEITEM:
        lineitem.fill(database, rows)
    else:
        database.execute(table.fill(rows))
    database.execute(f"VACUUM (ANALYZE) {table.name}")
    sql = f"SELECT {checksums.in_postgres(table)} FROM {table.name}"  # noqa: S608 our own
    [found] = database.query(sql)
    return found


def _export(database: Database, table: Table, path: Path) -> None:
    """Write rows as MySQL loads them: no text of these tables has a tab in it."""
    values = (f"coalesce(({_line(column)})::text, '\\N')" for column in table.columns)
    sql = f"SELECT concat_ws(E'\\t', {', '.join(values)}) FROM {table.name}"  # noqa: S608 our own
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        with path.open("w", encoding="utf-8") as file:
            for batch in cursor.fetch_record_batch():
                file.writelines(f"{line}\n" for line in batch.column(0).to_pylist())
    path.chmod(0o644)


def _line(column: Column) -> str:
    return _AS_LINE.get(column.kind, "{c}").format(c=column.name)


def _mysql_ddl(table: Table) -> str:
    parts = [
        f"{column.name} {_MYSQL_TYPES.get(column.kind, column.kind)}"
        for column in table.columns
    ]
    return f"CREATE TABLE {table.name} ({', '.join(parts)}, PRIMARY KEY (id))"


def _write(folder: Path, settings: Mapping[str, t.Any], dsn: str) -> None:
    (folder / "tap.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "dsn.txt").write_text(dsn, encoding="utf-8")
