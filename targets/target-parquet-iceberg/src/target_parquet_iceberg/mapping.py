"""Apply the user's stream maps and flattening, if there are any."""

from __future__ import annotations

import typing as t
from decimal import Decimal

import msgspec

from target_parquet_iceberg.messages import Record, Schema

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk.mapper import PluginMapper

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


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
        for stream_map in self._mapper.stream_maps.get(record.stream, ()):
            mapped = stream_map.transform(_decode(record.raw))
            if mapped is not None:
                yield Record(
                    stream_map.stream_alias,
                    _encode(mapped),
                    record.version,
                    record.time_extracted,
                )

    def aliases(self, stream: str) -> Iterable[str]:
        """Return the names that the maps give to the stream."""
        return [m.stream_alias for m in self._mapper.stream_maps.get(stream, ())]
