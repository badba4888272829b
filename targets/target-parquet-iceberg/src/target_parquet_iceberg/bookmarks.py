"""Read back the bookmarks that commits have left in the tables."""

from __future__ import annotations

import json
import typing as t

from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.iceberg import STATE, STREAM
from target_parquet_iceberg.settings import with_defaults

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def stored(config: Mapping[str, t.Any]) -> Iterator[tuple[str, dict[str, t.Any]]]:
    """Yield stream and bookmark for every table of the namespace that has one."""
    settings = with_defaults(config)
    with explained(settings["warehouse"]):
        catalog = open_catalog(settings)
        if not catalog.namespace_exists(settings["namespace"]):
            return
        for identifier in catalog.list_tables(settings["namespace"]):
            properties = catalog.load_table(identifier).properties
            if STATE in properties and STREAM in properties:
                yield properties[STREAM], json.loads(properties[STATE])
