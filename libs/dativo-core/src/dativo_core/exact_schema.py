"""Catalogs that keep every keyword of a schema.

The SDK's own class knows a fixed set and drops the rest: of a decimal its precision
and scale, of a timestamp that it has no zone.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from singer_sdk.singerlib import Catalog, CatalogEntry, Schema


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
    given = {stream["tap_stream_id"]: stream for stream in content.get("streams", [])}
    return Catalog(
        (name, _complete(entry, given[name]))
        for name, entry in Catalog.from_dict(content).items()
    )


def _complete(entry: CatalogEntry, given: dict[str, t.Any]) -> CatalogEntry:
    # Where people choose a method by hand, Singer's place for it is the metadata.
    chosen: dict[str, t.Any] = {}
    for item in given.get("metadata", []):
        chosen = chosen if item["breadcrumb"] else item["metadata"]
    return dataclasses.replace(
        entry,
        schema=ExactSchema.from_dict(given.get("schema", {})),
        replication_method=chosen.get("replication-method") or entry.replication_method,
        replication_key=chosen.get("replication-key") or entry.replication_key,
    )
