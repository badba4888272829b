"""What `dativo dlq` asks the warehouse: what has landed, and to drop rows."""

from __future__ import annotations

import typing as t
from functools import cached_property

from dativo_core import replays
from dativo_core.errors import ConfigurationError
from dativo_core.letter_files import kept_letters
from dativo_core.letter_files import replays as replays_in

from target_parquet_iceberg.catalogs import is_remote, local, open_catalog
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.plan import has_letter_tables, table_of
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.wiring import open_letters, pause

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from dativo_core.replays import Takes
    from pyiceberg.catalog import Catalog


class Desk:
    """The dead letters of one warehouse.

    Args:
        config: The target's settings.
    """

    def __init__(self, config: Mapping[str, t.Any]) -> None:
        self._settings = with_defaults(config)
        self.folder = open_letters(self._settings)

    def names(self, wanted: t.Sequence[str] = ()) -> list[str]:
        """Name the folders with letters, all or those of some streams.

        Raises:
            ConfigurationError: if a stream has none.
        """
        known = replays.folders(self.folder)
        found = []
        for name in wanted:
            folder = name if name in known else self._folder_of(name)
            if folder not in known:
                what = f"There are no dead letters of '{name}'."
                raise ConfigurationError(what, hint=f"There are of: {_list(known)}.")
            found.append(folder)
        return found if wanted else known

    def landed(self, name: str) -> frozenset[str]:
        """Return the replays of a folder whose rows are in their table."""
        known = set(replays_in(self.folder, name))
        if not known:  # the usual case needs no catalog
            return frozenset()
        streams = {one.content["stream"] for one in kept_letters(self.folder, name)}
        # Most folders have the name of their table, whatever the settings say now.
        tables = {name, *map(self._folder_of, streams)} - {""}
        with explained(self._settings["warehouse"]):
            taken = {replay for table in tables for replay in self._taken(table)}
        return frozenset(known & taken)

    def discard(self, name: str, takes: Takes) -> int:
        """Delete letters, from their table first; return how many."""
        ids = replays.leaving(self.folder, name, takes)
        is_iceberg = self._settings["format"] == "iceberg"
        if ids and is_iceberg and has_letter_tables(self._settings) and self._is_there:
            from target_parquet_iceberg.letter_tables import (  # noqa: PLC0415 heavy
                LetterTables,
            )

            namespace = self._settings["namespace"]
            with explained(self._settings["warehouse"]):
                tables = LetterTables(self._catalog, namespace, {}, pause)
                tables.discard(name, sorted(ids))
        return replays.discard(self.folder, name, takes)

    def _folder_of(self, stream: str) -> str:
        try:
            return table_of(stream, self._settings)
        except ConfigurationError:  # a name that no file can have
            return ""

    def _taken(self, table: str) -> t.Iterable[str]:
        if not self._is_there:
            return ()
        if self._settings["format"] == "parquet":
            return self._taken_by_files(table)
        from pyiceberg.exceptions import NoSuchTableError  # noqa: PLC0415 heavy

        from target_parquet_iceberg.staging import replays_of  # noqa: PLC0415

        try:
            identifier = (self._settings["namespace"], table)
            return replays_of(self._catalog.load_table(identifier))
        except NoSuchTableError:
            return ()

    def _taken_by_files(self, table: str) -> t.Iterable[str]:
        from target_parquet_iceberg.parquet_log import Log  # noqa: PLC0415 heavy
        from target_parquet_iceberg.parquet_store import open_stores  # noqa: PLC0415

        name = f"{self._settings['namespace']}/{table}"
        entry = Log(open_stores(self._settings)(name), table, pause).newest()
        return entry.replays if entry else ()

    @property
    def _is_there(self) -> bool:
        warehouse = self._settings["warehouse"]
        return is_remote(warehouse) or local(warehouse).is_dir()

    @cached_property
    def _catalog(self) -> Catalog:
        return open_catalog(self._settings)


def _list(names: t.Sequence[str]) -> str:
    return ", ".join(names) or "none"
