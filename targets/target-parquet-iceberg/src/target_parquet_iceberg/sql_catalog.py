"""PyIceberg's SQL catalog, whose commits do not grow with the table's history.

It parses the metadata that the same process has just written, and copies all of it
deeply: with 300 snapshots, half of a small commit's time.
"""

from __future__ import annotations

import time
import typing as t

from cachetools import LRUCache
from pyiceberg.catalog import AVAILABLE_CATALOGS, CatalogType
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.update import (
    _apply_table_update,
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)

if t.TYPE_CHECKING:
    from pyiceberg.catalog.sql import IcebergTables
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableRequirement, TableUpdate
    from pyiceberg.typedef import Identifier

TABLES_IN_MEMORY = 64


class LightSqlCatalog(SqlCatalog):
    """Remembers the metadata that it has read or written: such files never change."""

    def __init__(self, name: str, **properties: str) -> None:
        self._known: LRUCache[str, TableMetadata] = LRUCache(TABLES_IN_MEMORY)
        super().__init__(name, **properties)

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        location = orm_table.metadata_location
        metadata = self._known.get(location) if location else None
        if metadata is None or location is None:
            table = super()._convert_orm_to_iceberg(orm_table)
            self._known[table.metadata_location] = table.metadata
            return table
        namespace = self.identifier_to_tuple(orm_table.table_namespace)
        return Table(
            identifier=(*namespace, orm_table.table_name),
            metadata=metadata,
            metadata_location=location,
            io=self._load_file_io(metadata.properties, location),
            catalog=self,
        )

    def _update_and_stage_table(
        self,
        current_table: Table | None,
        table_identifier: Identifier,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> StagedTable:
        if current_table is None:
            return super()._update_and_stage_table(
                current_table, table_identifier, requirements, updates
            )
        for requirement in requirements:
            requirement.validate(current_table.metadata)
        metadata = updated(current_table, updates)
        provider = load_location_provider(metadata.location, metadata.properties)
        number = self._parse_metadata_version(current_table.metadata_location) + 1
        location = provider.new_table_metadata_file_location(number)
        self._known[location] = metadata
        return StagedTable(
            identifier=table_identifier,
            metadata=metadata,
            metadata_location=location,
            io=self._load_file_io(metadata.properties, location),
            catalog=self,
        )


def updated(table: Table, updates: tuple[TableUpdate, ...]) -> TableMetadata:
    """Return the metadata that the updates make, the log of its files included."""
    before = table.metadata
    context = _TableMetadataUpdateContext()
    metadata = before
    for update in updates:
        metadata = _apply_table_update(update, metadata, context)
    if context.has_changes():
        metadata = _update_table_metadata_log(
            metadata, table.metadata_location, before.last_updated_ms
        )
        if metadata.last_updated_ms == before.last_updated_ms:
            # Never back, though a clock may go: other engines compare.
            now = max(int(1000 * time.time()), before.last_updated_ms)
            metadata = metadata.model_copy(update={"last_updated_ms": now})
    metadata.spec().check_compatible(metadata.schema())
    metadata.sort_order().check_compatible(metadata.schema())
    return metadata


def install() -> None:
    """Let `load_catalog` make these."""
    AVAILABLE_CATALOGS[CatalogType.SQL] = lambda name, found: LightSqlCatalog(
        name, **found
    )
