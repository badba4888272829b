"""The tap: its settings, and discovery."""

from __future__ import annotations

import functools
import typing as t

from dativo_core.errors import ConfigurationError
from dativo_core.sql.preflight import LOCAL_HOSTS
from dativo_core.sql.settings import (
    BATCH_CONFIG,
    DEFAULT_REPLICATION_METHOD,
    PARALLEL_CHUNKS,
    PARALLEL_TABLES,
    STATE_INTERVAL_ROWS,
    STREAM_OPTIONS,
)
from dativo_core.sql.tap import SqlTap
from singer_sdk import typing as th

from tap_mysql import catalog, connection, examining
from tap_mysql.client import Client
from tap_mysql.connections import Connections
from tap_mysql.examining import Seen
from tap_mysql.my_types import Options
from tap_mysql.streams import MySQLReader

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from dativo_core.sql.preflight import Checkup
    from dativo_core.sql.reading import Reader
    from dativo_core.sql.relation import Relation

TLS_SETTINGS = ["ssl_mode", "ssl_ca", "ssl_cert", "ssl_key"]
_FOREIGN = "Ignored, and accepted for the other variant's sake."

SETTINGS = th.PropertiesList(
    th.Property(
        "host",
        th.StringType,
        default="localhost",
        description="Server name or address.",
    ),
    th.Property("port", th.IntegerType, default=3306, description="Server port."),
    th.Property(
        "unix_socket",
        th.StringType,
        description="Path of the server's socket, instead of host and port.",
    ),
    th.Property("user", th.StringType, description="Account to log in as."),
    th.Property("password", th.StringType, secret=True, description="Its password."),
    th.Property(
        "database",
        th.StringType,
        description="Database to read, unless `filter_dbs` names others.",
    ),
    th.Property(
        "filter_dbs",
        th.StringType,
        description="Databases to discover, with commas between them; empty means "
        "`database`, or all but the system's.",
    ),
    th.Property(
        "session_sqls",
        th.ArrayType(th.StringType),
        description="Statements to run first on each connection, such as timeouts. "
        "The tap sets time zone, `sql_mode` and isolation after them.",
    ),
    DEFAULT_REPLICATION_METHOD,
    STREAM_OPTIONS,
    th.Property(
        "zero_dates",
        th.StringType,
        default="keep",
        allowed_values=["keep", "null", "text"],
        description="What becomes of `0000-00-00`, `2024-00-00` and days that do not "
        "exist: `keep` sends the text (the target dead-letters the row), `null` sends "
        "null, `text` makes all dates and times of day columns of text.",
    ),
    th.Property(
        "tinyint1",
        th.StringType,
        default="integer",
        allowed_values=["integer", "boolean"],
        description="What `tinyint(1)` is. As a boolean, other values than 0 and 1 go "
        "to the dead letters.",
    ),
    th.Property(
        "look_back_seconds",
        th.IntegerType(minimum=0),
        default=600,
        description="How long others' transactions may stay open, if the user lacks "
        "the PROCESS privilege or the server is a replica: INCREMENTAL reads so much "
        "again.",
    ),
    STATE_INTERVAL_ROWS,
    PARALLEL_CHUNKS,
    PARALLEL_TABLES,
    th.Property(
        "row_reader",
        th.StringType,
        default="arrow",
        allowed_values=["arrow", "pymysql"],
        description="Who takes rows apart: `arrow` column by column, `pymysql` some "
        "ten times slower, with the same result.",
    ),
    BATCH_CONFIG,
    th.Property(
        "ssl",
        th.BooleanType,
        description="Whether to speak TLS: on if a setting below is given. Unset, TLS "
        "is used where the server offers it, but nothing is checked.",
    ),
    th.Property(
        "ssl_mode",
        th.StringType,
        allowed_values=["require", "verify-ca", "verify-full"],
        description="How far to check the server: only that it speaks TLS, its "
        "certificate, or also its name, as is done if this is not set.",
    ),
    th.Property(
        "ssl_ca",
        th.StringType,
        description="Certificates to trust besides the system's: a path or PEM text.",
    ),
    th.Property(
        "ssl_cert", th.StringType, description="Certificate to present: a path."
    ),
    th.Property("ssl_key", th.StringType, description="Its key: a path."),
    th.Property(
        "internal_hostname",
        th.StringType,
        description="Name in the server's certificate, where it is not `host`.",
    ),
    th.Property("engine", th.StringType, description=_FOREIGN),
    th.Property("cursorclass", th.StringType, description=_FOREIGN),
    th.Property("server_id", th.IntegerType, description=_FOREIGN),
    th.Property("use_gtid", th.BooleanType, description=_FOREIGN),
)


class TapMySQL(SqlTap):
    """Singer tap for MySQL and MariaDB: exact values, Arrow reading, resumable."""

    name = "tap-mysql"
    package_name = "dativo-tap-mysql"
    filter_setting = "filter_dbs"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = SETTINGS.to_dict()

    @property
    def place(self) -> str:
        """The server in words, for messages."""
        return connection.place(self.config)

    @functools.cached_property
    def connections(self) -> Connections:
        """The connections of this run."""
        return Connections(self._connect, self.logger)

    def _connect(self) -> Client:
        return Client(
            connection.arguments(self.config),
            self.place,
            self.logger,
            session_sqls=self.config.get("session_sqls") or (),
            by_columns=self.config["row_reader"] == "arrow",
        )

    def imply(self) -> None:
        """Turn TLS on where a setting about it is given."""
        if any(map(self._config.get, TLS_SETTINGS)):
            self._config.setdefault("ssl", True)

    def tables(self) -> Iterator[tuple[Relation, Reader]]:
        """Ask for each table that the user may read."""
        look_back = self.config["look_back_seconds"]
        with self.connections.lend() as client:
            tables = self._tables(client)
        for table in tables:
            yield table.relation, MySQLReader(self.connections, table, look_back)

    def examine(self) -> Checkup:
        """Ask the server how it is, and say what about it will hurt."""
        is_local = bool(self.config.get("unix_socket"))
        is_local |= self.config["host"] in LOCAL_HOSTS
        with self.connections.lend() as client:
            return examining.examine(
                client,
                self._seen(client),
                self.chosen(),
                is_local=is_local,
                has_chunks=self.config["parallel_chunks"] > 1,
            )

    def _tables(self, client: Client) -> list[catalog.Table]:
        seen = self._seen(client)
        if seen.databases and not seen.tables:
            existing = ", ".join(name for [name] in client.ask(catalog.DATABASES))
            msg = (
                f"filter_dbs {seen.databases} match no readable table of {self.place}."
            )
            raise ConfigurationError(msg, hint=f"There are the databases: {existing}.")
        return seen.tables

    def _seen(self, client: Client) -> Seen:
        databases = self._databases()
        asked = catalog.questions(databases)
        [[is_mariadb]] = client.ask(catalog.IS_MARIADB)
        answers = catalog.Answers(
            tables=client.ask(asked.tables),
            columns=client.ask(asked.columns),
            indexes=client.ask(asked.indexes),
            checks=client.ask(asked.checks) if is_mariadb else (),
        )
        options = Options(self.config["zero_dates"], self.config["tinyint1"])
        found = catalog.tables(answers, options)
        return Seen(databases, found, catalog.closed(answers))

    def _databases(self) -> list[str]:
        named = self.config.get("filter_dbs") or self.config.get("database") or ""
        return [name.strip() for name in named.split(",") if name.strip()]
