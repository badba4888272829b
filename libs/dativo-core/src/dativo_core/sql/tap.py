"""What a tap of a SQL database is, but for its settings and its discovery."""

from __future__ import annotations

import functools
import typing as t

from singer_sdk import Tap
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import Catalog, Metadata

from dativo_core import settings, signals
from dativo_core.errors import ConfigurationError
from dativo_core.exact_schema import read_catalog
from dativo_core.output import LineWriter
from dativo_core.sql.journal import Journal
from dativo_core.sql.preflight import Choice
from dativo_core.sql.stream import SqlStream
from dativo_core.sql.tables import Tables

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.singerlib import CatalogEntry
    from singer_sdk.streams import Stream

    from dativo_core.sql.pool import Pool
    from dativo_core.sql.preflight import Checkup
    from dativo_core.sql.reading import Reader
    from dativo_core.sql.relation import Relation


class SqlTap(Tap):
    """Singer tap of a SQL database; it asks for its tables at every run.

    A tap says `place`, `filter_setting`, `tables()`, `examine()` and `connections`.
    """

    dynamic_catalog = True
    message_writer_class = LineWriter
    filter_setting: t.ClassVar[str]
    """Name of the setting that chooses what is discovered."""
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
        super().__init__(catalog=catalog, **arguments)

    @property
    def place(self) -> str:
        """The database in words, for messages; no password."""
        raise NotImplementedError

    def tables(self) -> Iterable[tuple[Relation, Reader]]:
        """Return what the user may read, and who reads it."""
        raise NotImplementedError

    def examine(self) -> Checkup:
        """Ask the source how it is, and say what about it will hurt."""
        raise NotImplementedError

    def imply(self) -> None:
        """Set what follows from the settings given, before the defaults are there."""

    @functools.cached_property
    def connections(self) -> Pool[t.Any]:
        """The connections of this run."""
        raise NotImplementedError

    def chosen(self) -> dict[str, Choice] | None:
        """Return the streams that the catalog selects; None if there is no catalog."""
        if self.input_catalog is None:
            return None
        return {
            name: _choice(entry)
            for name, entry in self.input_catalog.items()
            if entry.metadata.resolve_selection()[()]
        }

    # The SDK calls it in one place, for --test, and offers no other to say more.
    def run_connection_test(self) -> bool:  # type: ignore[misc]
        """Say what will hurt sooner or later, then read a row of each stream."""
        checkup = self.examine()
        self.logger.info("%s is %s.", self.place, dict(checkup.facts)["server"])
        for complaint in checkup.complaints:
            self.logger.warning("%s", complaint)
        return super().run_connection_test()

    @functools.cached_property
    def journal(self) -> Journal:
        """Where the streams of this run stand."""
        selected = [s.name for s in self.streams.values() if s.selected]
        return Journal(self.state, selected, self.state_writer.write_state)

    def sync_all(self) -> None:  # type: ignore[misc]
        """Sync all streams, several at once if the user wants it."""
        writer, count = self.message_writer, self.config["parallel_tables"]
        # Without a state, none is written before a stream begins.
        if self.state:
            self.journal.announce()
        selected = [one for one in self.streams.values() if one.selected]
        if count == 1 or not isinstance(writer, LineWriter):
            super().sync_all()
            return
        # Made here, not by the first thread that asks.
        _ = self.journal
        self._reset_state_progress_markers()
        if self.state:
            self.state_writer.write_state(self.state)
        Tables(selected, count, writer, self.connections).sync()

    @property
    def streams(self) -> dict[str, Stream]:
        """All streams; an error if the catalog selects one that is not there."""
        found = super().streams
        for name, entry in (self.input_catalog or {}).items():
            if name not in found and entry.metadata.resolve_selection()[()]:
                msg = (
                    f"Stream '{name}' is selected, but {self.place} has no such table."
                )
                raise ConfigurationError(
                    msg,
                    hint=f"Check its name, {self.filter_setting} and the user's "
                    "grants, or deselect it.",
                )
        return found

    def discover_streams(self) -> Sequence[Stream]:
        """Return a stream for each relation that the user may read."""
        streams: dict[str, Stream] = {}
        for relation, reader in self.tables():
            if relation.stream in streams:
                msg = f"Two tables of {self.place} would be stream '{relation.stream}'."
                raise ConfigurationError(
                    msg, hint=f"Choose with {self.filter_setting}."
                )
            streams[relation.stream] = SqlStream(self, relation, reader)
        return list(streams.values())

    def setup_mapper(self) -> None:
        """Select what marks progress, whatever the catalog deselects."""
        for entry in (self.input_catalog or {}).values():
            root = entry.metadata.root
            if key := entry.replication_key or root.replication_key:
                metadata = entry.metadata["properties", key]
                metadata.inclusion = Metadata.InclusionType.AUTOMATIC
        super().setup_mapper()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        signals.terminate(signum, frame)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        found = settings.accept(
            self._config, schema, plugin=self.name, strict=raise_errors
        )
        self.imply()
        for name, definition in schema["properties"].items():
            if self._config.get(name) is None and "default" in definition:
                self._config[name] = definition["default"]
        return found


def _choice(entry: CatalogEntry) -> Choice:
    root = entry.metadata.root
    key = entry.replication_key or root.replication_key
    method = entry.replication_method or root.forced_replication_method
    is_incremental = method in {None, "INCREMENTAL"}
    return Choice(root.schema_name, entry.table, key if is_incremental else None)
