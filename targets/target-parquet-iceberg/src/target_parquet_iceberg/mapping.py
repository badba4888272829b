"""Apply the user's stream maps and flattening, if there are any."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from dativo_core.dead_letters import REPLAY_MARK
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.messages import Record, Schema

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk.mapper import PluginMapper, StreamMap


class Mapping(t.Protocol):
    """Turns the tap's streams and records into those that are loaded."""

    def schemas(self, schema: Schema) -> Iterable[Schema]:
        """Return the schema of every stream that this one becomes."""

    def records(self, record: Record) -> Iterable[Record]:
        """Return the records that this one becomes."""

    def aliases(self, stream: str) -> Iterable[str]:
        """Return the names of the streams that this one becomes."""


class Unmapped:
    """Leaves everything as the tap sent it: the fast lane."""

    def schemas(self, schema: Schema) -> Iterable[Schema]:
        """Return the schema itself."""
        return (schema,)

    def records(self, record: Record) -> Iterable[Record]:
        """Return the record itself."""
        return (record,)

    def aliases(self, stream: str) -> Iterable[str]:
        """Return the name itself."""
        return (stream,)


class SdkMapping:
    """Maps record by record with the SDK's own mapper."""

    def __init__(self, mapper: PluginMapper) -> None:
        self._mapper = mapper

    def schemas(self, schema: Schema) -> Iterable[Schema]:
        """Register the schema; return what the maps make of it."""
        if REPLAY_MARK in schema.schema:  # the records have been through the maps
            return [schema]
        self._mapper.register_raw_stream_schema(
            schema.stream, schema.schema, list(schema.key_properties)
        )
        return [
            Schema(
                stream_map.stream_alias,
                stream_map.transformed_schema,
                tuple(stream_map.transformed_key_properties or ()),
            )
            for stream_map in self._mapper.stream_maps[schema.stream]
            # A stream mapped to null keeps a map that drops every record.
            if stream_map.transformed_schema.get("properties")
        ]

    def records(self, record: Record) -> Iterable[Record]:
        """Return the mapped records, decimals digit for digit."""
        stream_maps = self._mapper.stream_maps.get(record.stream)
        if stream_maps is None:  # its SCHEMA did not come: a dead letter
            yield record
            return
        for stream_map in stream_maps:
            raw = _transformed(stream_map, record)
            if raw is not None:
                yield replace(record, stream=stream_map.stream_alias, raw=raw)

    def aliases(self, stream: str) -> Iterable[str]:
        """Return the names that the maps give to the stream."""
        return [m.stream_alias for m in self._mapper.stream_maps.get(stream, ())]


def _transformed(stream_map: StreamMap, record: Record) -> bytes | None:
    try:
        values = exact_json.decode(record.raw)
    except exact_json.UNDECODABLE:
        return record.raw  # the decoder will say what is wrong with it
    if not isinstance(values, dict):
        return record.raw
    try:
        mapped = stream_map.transform(values)
    except Exception as error:
        msg = f"Stream '{record.stream}': a stream map failed: {error}."
        raise ConfigurationError(msg, hint="Correct it in stream_maps.") from error
    return None if mapped is None else exact_json.encode(mapped)
