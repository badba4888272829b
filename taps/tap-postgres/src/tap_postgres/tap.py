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

from tap_postgres import catalog, connection, examining
from tap_postgres.client import Client
from tap_postgres.connections import Connections
from tap_postgres.pg_types import Options
from tap_postgres.streams import PostgresReader

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from dativo_core.sql.preflight import Checkup
    from dativo_core.sql.reading import Reader
    from dativo_core.sql.relation import Relation

SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
TLS_SETTINGS = [
    "ssl_mode",
    "ssl_certificate_authority",
    "ssl_client_certificate",
    "ssl_client_private_key",
]
KEEP_OR_NULL = ["keep", "null"]

SETTINGS = th.PropertiesList(
    th.Property(
        "host",
        th.StringType,
        default="localhost",
        description="Server name or address.",
    ),
    th.Property("port", th.IntegerType, default=5432, description="Server port."),
    th.Property("user", th.StringType, description="Role to log in as."),
    th.Property("password", th.StringType, secret=True, description="Its password."),
    th.Property("database", th.StringType, description="Database to read."),
    th.Property(
        "filter_schemas",
        th.ArrayType(th.StringType),
        description="Schemas to discover; empty means all but the system's.",
    ),
    DEFAULT_REPLICATION_METHOD,
    STREAM_OPTIONS,
    th.Property(
        "special_dates",
        th.StringType,
        default="keep",
        allowed_values=KEEP_OR_NULL,
        description="What becomes of infinite dates and years outside 1 to 9999: "
        "`keep` sends the text (the target dead-letters the row), `null` sends null.",
    ),
    th.Property(
        "non_finite_floats",
        th.StringType,
        default="keep",
        allowed_values=KEEP_OR_NULL,
        description="What becomes of NaN and infinite floats: `keep` sends their names "
        "as strings, `null` sends null.",
    ),
    STATE_INTERVAL_ROWS,
    PARALLEL_TABLES,
    PARALLEL_CHUNKS,
    BATCH_CONFIG,
    th.Property(
        "ssl_enable",
        th.BooleanType,
        description="Whether the settings below decide about TLS: on if one of them is "
        "given. Off means libpq's habits.",
    ),
    th.Property(
        "ssl_mode",
        th.StringType,
        default="verify-full",
        allowed_values=SSL_MODES,
        description="How far to trust the server, in libpq's words.",
    ),
    th.Property(
        "ssl_certificate_authority",
        th.StringType,
        description="Certificates to trust: a path, PEM text, or `system`.",
    ),
    th.Property(
        "ssl_client_certificate",
        th.StringType,
        description="Certificate to present: a path or PEM text.",
    ),
    th.Property(
        "ssl_client_private_key",
        th.StringType,
        secret=True,
        description="Its key: a path (mode 0600) or PEM text.",
    ),
    th.Property(
        "ssl_storage_directory",
        th.StringType,
        description="Ignored, and accepted for the other variant's sake: PEM text goes "
        "to a private folder that is removed at exit.",
    ),
)


class TapPostgres(SqlTap):
    """Singer tap for PostgreSQL: exact values, Arrow reading, resumable loads."""

    name = "tap-postgres"
    package_name = "dativo-tap-postgres"
    filter_setting = "filter_schemas"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = SETTINGS.to_dict()

    def __init__(self, **arguments: t.Any) -> None:
        self._private_folder = connection.PrivateFolder()
        super().__init__(**arguments)

    @property
    def place(self) -> str:
        """The database in words, for messages."""
        return connection.place(self.config)

    @functools.cached_property
    def connections(self) -> Connections:
        """The connections of this run."""
        conninfo = connection.conninfo(self.config, self._private_folder)
        return Connections(lambda: Client(conninfo, self.place, self.logger))

    def tables(self) -> Iterator[tuple[Relation, Reader]]:
        """Ask for each relation that the user may read."""
        with self.connections.lend() as client, client.transaction():
            tables = self._tables(client)
        for table in tables:
            yield table.relation, PostgresReader(self.connections, table)

    def examine(self) -> Checkup:
        """Ask the server how it is, and say what about it will hurt."""
        host = self.config["host"]
        with self.connections.lend() as client:
            with client.transaction():
                tables = self._seen(client)
            return examining.examine(
                client,
                tables,
                self._schemas(),
                self.chosen(),
                is_local=host in LOCAL_HOSTS or host.startswith("/"),
            )

    def _tables(self, client: Client) -> list[catalog.Table]:
        schemas, found = self._schemas(), self._seen(client)
        if schemas and not found:
            existing = ", ".join(name for [name] in client.ask(catalog.SCHEMAS))
            msg = f"filter_schemas {schemas} match no readable table of {self.place}."
            raise ConfigurationError(msg, hint=f"There are the schemas: {existing}.")
        return found

    def _schemas(self) -> list[str]:
        return self.config.get("filter_schemas") or []

    def _seen(self, client: Client) -> list[catalog.Table]:
        asked = catalog.questions(self._schemas())
        return catalog.tables(
            database=self.config.get("database"),
            options=self._options(client),
            relations=client.ask(asked.relations),
            columns=client.ask(asked.columns),
            keys=client.ask(asked.keys),
            types=client.ask(asked.types),
        )

    def _options(self, client: Client) -> Options:
        [[_, money_scale]] = client.ask(catalog.FACTS)
        return Options(
            special_dates=self.config["special_dates"],
            non_finite_floats=self.config["non_finite_floats"],
            money_scale=money_scale,
        )

    def imply(self) -> None:
        """Turn TLS on where a setting about it is given."""
        if self._config.get("ssl_enable") is None:
            self._config["ssl_enable"] = any(map(self._config.get, TLS_SETTINGS))
