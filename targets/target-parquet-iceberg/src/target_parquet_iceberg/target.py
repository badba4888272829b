"""The target as the SDK and Meltano know it: settings, command line, wiring."""

from __future__ import annotations

import json
import sys
import typing as t
from dataclasses import replace
from functools import cached_property

from dativo_core import settings as core_settings
from dativo_core.errors import DataLimitError
from dativo_core.signals import terminate
from singer_sdk import Target
from singer_sdk.exceptions import (
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
)
from singer_sdk.helpers.capabilities import PluginCapabilities
from singer_sdk.plugin_base import PluginBase

from target_parquet_iceberg import messages
from target_parquet_iceberg.mapping import SdkMapping, Unmapped
from target_parquet_iceberg.reader import MessageReader
from target_parquet_iceberg.settings import SCHEMA, with_defaults

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from target_parquet_iceberg.load import Load
    from target_parquet_iceberg.mapping import Mapping
    from target_parquet_iceberg.runs import Run


class NoSchemaError(DataLimitError, RecordsWithoutSchemaException):
    """Too many records came before their schema."""


class NoKeyError(DataLimitError, MissingKeyPropertiesError):
    """Too many records came without their keys."""


class TargetParquetIceberg(Target):
    """Load Singer streams into Apache Iceberg tables or Parquet files."""

    name = "target-parquet-iceberg"
    package_name = "dativo-target-parquet-iceberg"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = SCHEMA
    message_reader_class = MessageReader
    capabilities: t.ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
        PluginCapabilities.ACTIVATE_VERSION,
    ]

    def __init__(self, **options: t.Any) -> None:
        super().__init__(**options)
        reader = t.cast("MessageReader", self.message_reader)
        reader.max_line_bytes = with_defaults(self.config)["max_line_bytes"]
        reader.take = self._take
        reader.warm_up = self._warm_up
        reader.abandon = self._abandon

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, t.Any]) -> None:
        """Add the settings of stream maps and flattening, and no others."""
        add = t.cast("t.Any", PluginBase.append_builtin_config).__func__
        add(cls, config_jsonschema)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        self.append_builtin_config(self.config_jsonschema)
        return core_settings.accept(
            self._config, self.config_jsonschema, plugin=self.name, strict=raise_errors
        )

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        terminate(signum, frame)

    @cached_property
    def load(self) -> Load:
        """The load of this run; the warehouse is opened with it."""
        from target_parquet_iceberg.wiring import build_load  # noqa: PLC0415

        return build_load(
            with_defaults(self.config),
            emit=self._write_state_message,
            errors={"schema": NoSchemaError, "key": NoKeyError},
        )

    @cached_property
    def _mapping(self) -> Mapping:
        is_mapped = self.config.get("stream_maps") or self.config.get(
            "flattening_enabled"
        )
        return SdkMapping(self.mapper) if is_mapped else Unmapped()

    def _process_schema_message(self, message_dict: t.Any) -> None:
        for schema in self._mapping.schemas(message_dict):
            self.load.schema(schema)

    def _process_record_message(self, message_dict: t.Any) -> None:
        if isinstance(message_dict, messages.Malformed):
            self.load.malformed(message_dict)
            return
        for record in self._mapping.records(message_dict):
            self.load.record(record)

    def _take(self, run: Run) -> Iterable[messages.Message]:
        is_mapped = not isinstance(self._mapping, Unmapped)
        return run.messages() if is_mapped else self.load.run(run)

    def _process_state_message(self, message_dict: t.Any) -> None:
        self.load.state(message_dict.value)

    def _process_activate_version_message(self, message_dict: t.Any) -> None:
        for stream in self._mapping.aliases(message_dict.stream):
            self.load.activate_version(replace(message_dict, stream=stream))

    def _process_batch_message(self, message_dict: t.Any) -> None:
        is_mapped = not isinstance(self._mapping, Unmapped)
        self.load.batch(message_dict, self._mapping if is_mapped else None)

    def process_endofpipe(self) -> None:
        """Commit what is left."""
        try:
            self.load.finish()
        except BaseException:
            self._abandon()
            raise

    def _warm_up(self) -> None:
        """Import what the load needs, while the tap does the same."""
        from target_parquet_iceberg.wiring import import_format  # noqa: PLC0415

        import_format(with_defaults(self.config))

    def _abandon(self) -> None:
        if "load" in self.__dict__:
            self.load.abandon()

    def _write_state_message(self, state: dict[str, t.Any]) -> None:
        sys.stdout.write(json.dumps(state) + "\n")
        sys.stdout.flush()
