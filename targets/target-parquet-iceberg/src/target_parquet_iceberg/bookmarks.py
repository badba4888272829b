"""Read back, and correct, the bookmarks that commits have left in the tables."""

from __future__ import annotations

import contextlib
import json
import typing as t
from functools import cached_property

from dativo_core.errors import ConfigurationError
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchNamespaceError
from sqlalchemy.exc import IntegrityError

from target_parquet_iceberg.catalogs import check_there, open_catalog
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.staging import STATE, STREAM, mark
from target_parquet_iceberg.transactions import LightTransaction

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

PIPELINES = "dativo.pipelines"
MANUAL_RUN = "state-set-by-hand"


class Shelf(t.Protocol):
    """The bookmarks of all tables of a namespace, whatever they are made of."""

    def all(self) -> dict[str, dict[str, t.Any]]:
        """Return the bookmark of every stream that has one."""

    def store(self, stream: str, bookmark: dict[str, t.Any] | None) -> None:
        """Correct a bookmark, or remove it; a load that goes on is fenced."""

    def pipelines(self) -> list[str]:
        """Return the names of the pipelines that load into the namespace."""

    def add_pipeline(self, name: str) -> None:
        """Remember the name of a pipeline."""

    def remove_pipeline(self, name: str) -> None:
        """Forget the name of a pipeline."""


def open_bookmarks(config: Mapping[str, t.Any], *, makes: bool = False) -> Shelf:
    """Return the bookmarks of the warehouse that the target's settings describe.

    Args:
        config: The target's settings.
        makes: Whether to make a local warehouse that is not there, as a first run does.
    """
    if with_defaults(config)["format"] == "iceberg":
        return Bookmarks(config, makes=makes)
    from target_parquet_iceberg.parquet_bookmarks import (  # noqa: PLC0415 needs this
        ParquetBookmarks,
    )
    from target_parquet_iceberg.wiring import pause  # noqa: PLC0415 as above

    return ParquetBookmarks(config, pause, makes=makes)


class Bookmarks:
    """The bookmarks of all Iceberg tables of a namespace.

    Args:
        config: The target's settings.
        makes: Whether to make a local warehouse that is not there, as a first run does.
    """

    def __init__(self, config: Mapping[str, t.Any], *, makes: bool = False) -> None:
        self._makes = makes
        self._settings = with_defaults(config)
        self._namespace = self._settings["namespace"]

    @cached_property
    def _catalog(self) -> Catalog:
        if not self._makes:
            check_there(self._settings)
        with explained(self._settings["warehouse"]):
            return open_catalog(self._settings)

    def all(self) -> dict[str, dict[str, t.Any]]:
        """Return the bookmark of every stream that has one."""
        with explained(self._settings["warehouse"]):
            return {
                stream: json.loads(table.properties[STATE])
                for stream, table in self._tables()
                if STATE in table.properties
            }

    def store(self, stream: str, bookmark: dict[str, t.Any] | None) -> None:
        """Correct a bookmark, or remove it; a load that goes on is fenced."""
        tables = [table for found, table in self._tables() if found == stream]
        if not tables:
            msg = f"No table holds stream '{stream}'."
            raise ConfigurationError(msg, hint="`dativo state show` lists them.")
        for table in tables:
            _write(table, bookmark)

    def pipelines(self) -> list[str]:
        """Return the names of the pipelines that load into the namespace."""
        try:
            properties = self._catalog.load_namespace_properties(self._namespace)
        except NoSuchNamespaceError:
            return []
        names: list[str] = json.loads(str(properties.get(PIPELINES, "[]")))
        return names

    def add_pipeline(self, name: str) -> None:
        """Remember the name of a pipeline."""
        names = self.pipelines()
        if name not in names:
            self._write_pipelines([*names, name])

    def remove_pipeline(self, name: str) -> None:
        """Forget the name of a pipeline."""
        self._write_pipelines([other for other in self.pipelines() if other != name])

    def _write_pipelines(self, names: list[str]) -> None:
        with contextlib.suppress(NamespaceAlreadyExistsError, IntegrityError):
            self._catalog.create_namespace(self._namespace)
        updates = {PIPELINES: json.dumps(sorted(names))}
        self._catalog.update_namespace_properties(self._namespace, updates=updates)

    def _tables(self) -> Iterator[tuple[str, Table]]:
        try:
            identifiers = self._catalog.list_tables(self._namespace)
        except NoSuchNamespaceError:
            return
        for identifier in identifiers:
            table = self._catalog.load_table(identifier)
            if STREAM in table.properties:
                yield table.properties[STREAM], table


def _write(table: Table, bookmark: dict[str, t.Any] | None) -> None:
    state = "" if bookmark is None else json.dumps(bookmark, sort_keys=True)
    mark(LightTransaction(table), MANUAL_RUN, state)
