"""The tap: its settings, and discovery."""

from __future__ import annotations

import functools
import itertools
import typing as t

from dativo_core import settings, signals
from dativo_core.errors import ConfigurationError
from dativo_core.exact_schema import read_catalog
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import Catalog, Metadata

from tap_postgres import catalog as pg_catalog
from tap_postgres import connection
from tap_postgres.client import Client
from tap_postgres.streams import PostgresStream
from tap_postgres.values import Options

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.streams import Stream

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
    th.Property(
        "default_replication_method",
        th.StringType,
        default="FULL_TABLE",
        allowed_values=["FULL_TABLE", "INCREMENTAL"],
        description="Method of streams for which the catalog names none.",
    ),
    th.Property(
        "stream_options",
        th.ObjectType(
            additional_properties=th.ObjectType(
                th.Property("custom_where_clauses", th.ArrayType(th.StringType)),
                additional_properties=False,
            )
        ),
        description="Options by stream name: `custom_where_clauses`, a list of SQL "
        "conditions that rows must meet, all of them.",
    ),
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
    th.Property(
        "state_interval_rows",
        th.IntegerType(minimum=1),
        default=100_000,
        description="About how many rows lie between two STATE messages.",
    ),
    th.Property(
        "batch_config",
        th.ObjectType(
            th.Property(
                "encoding",
                th.ObjectType(
                    th.Property("format", th.StringType, allowed_values=["parquet"]),
                    th.Property(
                        "compression",
                        th.StringType,
                        allowed_values=["zstd", "snappy", "gzip", "none"],
                    ),
                    additional_properties=False,
                ),
            ),
            th.Property(
                "storage",
                th.ObjectType(
                    th.Property("root", th.StringType),
                    th.Property("prefix", th.StringType),
                    th.Property(
                        "params",
                        th.ObjectType(additional_properties=True),
                        secret=True,
                    ),
                    additional_properties=False,
                ),
            ),
            th.Property("batch_size", th.IntegerType(minimum=1)),
            additional_properties=False,
        ),
        description="Write rows to Parquet files and send BATCH messages, not records: "
        "`encoding: {format: parquet, compression: zstd}`, `storage: {root, prefix, "
        "params}` with the folder `_staging` of the target's warehouse as root, and "
        "`batch_size`, the rows of a file (1,000,000). Rows that no column can hold "
        "still come as records. Not with stream maps or flattening.",
    ),
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


class TapPostgres(Tap):
    """Singer tap for PostgreSQL: exact values, Arrow reading, resumable loads."""

    name = "tap-postgres"
    package_name = "dativo-tap-postgres"
    dynamic_catalog = True
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = SETTINGS.to_dict()
    capabilities: t.ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.TEST,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *, catalog: t.Any = None, **arguments: t.Any) -> None:
        if isinstance(catalog, dict) and not isinstance(catalog, Catalog):
            catalog = read_catalog(catalog)
        self._private_folder = connection.PrivateFolder()
        super().__init__(catalog=catalog, **arguments)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        signals.terminate(signum, frame)

    @functools.cached_property
    def client(self) -> Client:
        """The connection of this run."""
        conninfo = connection.conninfo(self.config, self._private_folder)
        return Client(conninfo, connection.place(self.config), self.logger)

    @functools.cached_property
    def following(self) -> dict[str, str]:
        """The stream that is read after each of the others."""
        selected = [s.name for s in self.streams.values() if s.selected]
        return dict(itertools.pairwise(selected))

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        found = settings.accept(
            self._config, schema, plugin=self.name, strict=raise_errors
        )
        if self._config.get("ssl_enable") is None:
            self._config["ssl_enable"] = any(map(self._config.get, TLS_SETTINGS))
        for name, definition in schema["properties"].items():
            if self._config.get(name) is None and "default" in definition:
                self._config[name] = definition["default"]
        return found

    def setup_mapper(self) -> None:
        """Select what marks progress, whatever the catalog deselects."""
        for entry in (self.input_catalog or {}).values():
            root = entry.metadata.root
            if key := entry.replication_key or root.replication_key:
                metadata = entry.metadata["properties", key]
                metadata.inclusion = Metadata.InclusionType.AUTOMATIC
        super().setup_mapper()

    @property
    def streams(self) -> dict[str, Stream]:
        """All streams; an error if the catalog selects one that is not there."""
        found = super().streams
        for name, entry in (self.input_catalog or {}).items():
            if name not in found and entry.metadata.resolve_selection()[()]:
                msg = (
                    f"Stream '{name}' is selected, but {self._where} has no such table."
                )
                raise ConfigurationError(
                    msg,
                    hint="Check its name, filter_schemas and the user's grants, or "
                    "deselect it.",
                )
        return found

    def discover_streams(self) -> Sequence[Stream]:
        """Return a stream for each relation that the user may read."""
        with self.client.transaction():
            relations = self._relations()
            [[_, money_scale]] = self.client.ask(pg_catalog.FACTS)
        options = Options(
            special_dates=self.config["special_dates"],
            non_finite_floats=self.config["non_finite_floats"],
            money_scale=money_scale,
        )
        streams: dict[str, Stream] = {}
        for relation in relations:
            if relation.stream in streams:
                msg = (
                    f"Two tables of {self._where} would be stream '{relation.stream}'."
                )
                raise ConfigurationError(msg, hint="Choose with filter_schemas.")
            streams[relation.stream] = PostgresStream(
                self, relation, options, self.client
            )
        return list(streams.values())

    def _relations(self) -> list[pg_catalog.Relation]:
        schemas = self.config.get("filter_schemas") or []
        asked = pg_catalog.questions(schemas)
        found = pg_catalog.relations(
            self.client.ask(asked.relations),
            self.client.ask(asked.columns),
            self.client.ask(asked.keys),
            self.client.ask(asked.types),
        )
        if schemas and not found:
            existing = ", ".join(name for [name] in self.client.ask(pg_catalog.SCHEMAS))
            msg = f"filter_schemas {schemas} match no readable table of {self._where}."
            raise ConfigurationError(msg, hint=f"There are the schemas: {existing}.")
        return found

    @property
    def _where(self) -> str:
        return connection.place(self.config)
