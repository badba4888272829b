"""A state backend for Meltano that keeps no second copy: the tables are the state.

`MELTANO_STATE_BACKEND_URI=dativo:///path/to/warehouse`, or `dativo:///?config=FILE`
with the target's settings. Meltano and this package share an environment.
"""

from __future__ import annotations

import contextlib
import fnmatch
import typing as t
from urllib.parse import parse_qs, urlsplit

from dativo_core.errors import ConfigurationError
from meltano.core.state_store.base import MeltanoState, StateStoreManager
from target_parquet_iceberg.bookmarks import open_bookmarks

from dativo_cli.options import target_settings

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class DativoStateStoreManager(StateStoreManager):
    """Reads bookmarks from the tables, where the target has put them."""

    label = "The tables of the warehouse"

    def __init__(self, uri: str, **_settings: t.Any) -> None:
        super().__init__()
        self._bookmarks = open_bookmarks(settings_of(uri), makes=True)

    def get(self, state_id: str) -> MeltanoState | None:
        """Return the bookmarks of all tables, if a pipeline of that name has run."""
        if state_id not in self._bookmarks.pipelines():
            return None
        found = {"bookmarks": self._bookmarks.all()}
        return MeltanoState(state_id, {}, {"singer_state": found})

    def set(self, state: MeltanoState) -> None:
        """Remember the pipeline, and nothing else.

        The bookmark came with the rows. By the time Meltano hands on a STATE the
        target may have committed the next one, so writing it would move a table back.
        `dativo state set` changes a bookmark by hand.
        """
        self._bookmarks.add_pipeline(state.state_id)

    def delete(self, state_id: str) -> None:
        """Forget the bookmarks; the rows stay."""
        for stream in self._bookmarks.all():
            self._bookmarks.store(stream, None)
        self._bookmarks.remove_pipeline(state_id)

    def get_state_ids(self, pattern: str | None = None) -> Iterable[str]:
        """List the pipelines that have run."""
        return fnmatch.filter(self._bookmarks.pipelines(), pattern or "*")

    @contextlib.contextmanager
    def acquire_lock(
        self, state_id: str, *, retry_seconds: float = 1
    ) -> Iterator[None]:
        """Do nothing: every commit to a table is fenced."""
        del state_id, retry_seconds
        yield


def settings_of(uri: str) -> dict[str, t.Any]:
    """Return the target's settings that a backend URI names.

    Raises:
        ConfigurationError: if it names neither a warehouse nor a settings file.
    """
    parts = urlsplit(uri)
    config = parse_qs(parts.query).get("config", [None])[0]
    warehouse = parts.path.strip("/") and parts.path
    if not config and not warehouse:
        msg = f"The state backend '{uri}' names no warehouse."
        hint = "Use dativo:///path/to/warehouse or dativo:///?config=/path/target.json."
        raise ConfigurationError(msg, hint=hint)
    return target_settings(config, warehouse or None)
