"""The bookmarks of plain Parquet: the newest entry of each table's log has it."""

from __future__ import annotations

import json
import typing as t
import uuid
from urllib.parse import quote, unquote

from dativo_core.errors import ConfigurationError

from target_parquet_iceberg.bookmarks import MANUAL_RUN
from target_parquet_iceberg.catalogs import check_there
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.parquet_files import Files
from target_parquet_iceberg.parquet_log import FOLDER, Log
from target_parquet_iceberg.parquet_store import open_stores
from target_parquet_iceberg.settings import with_defaults

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from target_parquet_iceberg.parquet_entry import Entry

PIPELINES = "_dativo_pipelines"


class ParquetBookmarks:
    """The bookmarks of all folders of a namespace.

    Args:
        config: The target's settings.
        pause: Waits before another attempt, given its number.
        makes: Whether a local warehouse may be missing, as before a first run.
    """

    def __init__(
        self,
        config: Mapping[str, t.Any],
        pause: Callable[[int], None],
        *,
        makes: bool = False,
    ) -> None:
        self._settings = with_defaults(config)
        self._pause = pause
        self._makes = makes

    def all(self) -> dict[str, dict[str, t.Any]]:
        """Return the bookmark of every stream that has one."""
        with explained(self._settings["warehouse"]):
            return {
                entry.stream: entry.state
                for _, entry in self._tables()
                if entry.state is not None
            }

    def store(self, stream: str, bookmark: dict[str, t.Any] | None) -> None:
        """Correct a bookmark, or remove it; a load that goes on is fenced."""
        with explained(self._settings["warehouse"]):
            found = [(name, e) for name, e in self._tables() if e.stream == stream]
            if not found:
                msg = f"No table holds stream '{stream}'."
                raise ConfigurationError(msg, hint="`dativo state show` lists them.")
            for name, entry in found:
                self._write(name, entry, bookmark)

    def pipelines(self) -> list[str]:
        """Return the names of the pipelines that load into the namespace."""
        with explained(self._settings["warehouse"]):
            names = self._root.names(PIPELINES)
        stems = (name.rpartition("/")[2].removesuffix(".json") for name in names)
        return sorted(unquote(stem) for stem in stems)

    def add_pipeline(self, name: str) -> None:
        """Remember the name of a pipeline."""
        with explained(self._settings["warehouse"]):
            self._root.create(_file_of(name), json.dumps({"name": name}).encode())

    def remove_pipeline(self, name: str) -> None:
        """Forget the name of a pipeline."""
        with explained(self._settings["warehouse"]):
            self._root.delete(_file_of(name))

    @property
    def _root(self) -> t.Any:
        return self._stores(self._settings["namespace"])

    @property
    def _stores(self) -> t.Any:
        if not self._makes:
            check_there(self._settings)
        return open_stores(self._settings)

    def _tables(self) -> Iterator[tuple[str, Entry]]:
        marker = f"/{FOLDER}/"
        names = self._root.names("")
        for table in sorted({n.split(marker)[0] for n in names if marker in n}):
            entry = self._log(table).newest()
            if entry is not None and entry.promoted_to is None:
                yield table, entry

    def _log(self, table: str) -> Log:
        namespace = self._settings["namespace"]
        store = self._stores(f"{namespace}/{table}")
        return Log(store, f"{namespace}.{table}", self._pause)

    def _write(
        self, table: str, entry: Entry, bookmark: dict[str, t.Any] | None
    ) -> None:
        run_id = f"{MANUAL_RUN}-{uuid.uuid4().hex[:8]}"
        # Whoever writes an entry has finished the one before.
        store = self._stores(f"{self._settings['namespace']}/{table}")
        Files(store, run_id).roll_forward(entry)
        sequence = entry.sequence + 1
        following = entry.then(run_id, state=bookmark, state_sequence=sequence)
        self._log(table).append(following)


def _file_of(pipeline: str) -> str:
    return f"{PIPELINES}/{quote(pipeline, safe='')}.json"
