"""Catalogs that keep every keyword of a schema.

The SDK's own class knows a fixed set and drops the rest: of a decimal its precision
and scale, of a timestamp that it has no zone.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from singer_sdk.singerlib import Catalog, Schema


class ExactSchema(Schema):
    """A JSON Schema that comes out as it went in."""

    exact: dict[str, t.Any]

    @classmethod
    def from_dict(cls, data: dict[str, t.Any], **_defaults: t.Any) -> ExactSchema:
        """Keep the schema."""
        schema = cls()
        schema.exact = copy.deepcopy(data)
        return schema

    def to_dict(self) -> dict[str, t.Any]:
        """Return the schema."""
        return copy.deepcopy(self.exact)


def read_catalog(content: dict[str, t.Any]) -> Catalog:
    """Read a catalog file's content without loss."""
    schemas = {
        stream["tap_stream_id"]: ExactSchema.from_dict(stream.get("schema", {}))
        for stream in content.get("streams", [])
    }
    return Catalog(
        (name, dataclasses.replace(entry, schema=schemas[name]))
        for name, entry in Catalog.from_dict(content).items()
    )
