"""The log of a Parquet folder: numbered entries, each created exclusively.

To create the entry after the one that a run has read is compare-and-swap and fence at
once. Old entries are deleted, so their numbers can be taken again; a run that slept for
so long finds, after it has created its entry, that it is not the highest.
"""

from __future__ import annotations

import logging
import typing as t

from dativo_core.errors import ConfigurationError, FencedError, TryLaterError

from target_parquet_iceberg.parquet_entry import dump, parse

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from target_parquet_iceberg.parquet_entry import Entry
    from target_parquet_iceberg.parquet_store import Store

logger = logging.getLogger(__name__)

FOLDER = "_dativo"
KEPT = 10
ATTEMPTS = 5
HINT = "Let only one run load a table at a time."


def name_of(sequence: int) -> str:
    """Return the name of an entry."""
    return f"{FOLDER}/{sequence:020d}.json"


class Log:
    """The entries of one table.

    Args:
        store: The table's folder.
        title: How messages name the table.
        pause: Waits before another attempt, given its number.
    """

    def __init__(self, store: Store, title: str, pause: Callable[[int], None]) -> None:
        self._store = store
        self._title = title
        self._pause = pause

    def newest(self) -> Entry | None:
        """Return the highest entry, which is the table; None if there is none."""
        for _ in range(ATTEMPTS):
            sequences = self._sequences()
            if not sequences:
                return None
            entry = self.read(sequences[-1])
            if entry is not None:  # else it is old, and deleted since it was listed
                return entry
        what = f"Table {self._title}: other runs commit all the time."
        raise TryLaterError(what, hint=HINT)

    def read(self, sequence: int) -> Entry | None:
        """Return an entry; None if there is none of this number."""
        name = name_of(sequence)
        content = self._store.read(name)
        return None if content is None else parse(content, f"{self._title}/{name}")

    def sequence_with(self, state: t.Any, newest: Entry) -> int | None:
        """Return the entry that brought a bookmark; None if it is not kept."""
        entry: Entry | None = newest
        while entry is not None and entry.state != state:
            entry = self.read(entry.sequence - 1)
        return None if entry is None else entry.state_sequence

    def append(self, entry: Entry) -> None:
        """Make an entry the table.

        Raises:
            TakenError: if another run has got ahead.
            FencedError: if it may have gone on from this very entry.
        """
        self._create(entry)
        sequences = self._sequences()
        if sequences[-1] != entry.sequence:
            # Its number was free again, or somebody has gone on already.
            raise self._fenced(self.read(sequences[-1]))
        for sequence in sequences[:-KEPT]:
            self._store.delete(name_of(sequence))

    def check_storage(self, newest: Entry) -> None:
        """Make sure that storage refuses what is there already.

        Raises:
            ConfigurationError: if it ignores the condition and would fence nobody.
        """
        if not self._store.create(name_of(newest.sequence), dump(newest)):
            return
        if self._sequences()[-1] != newest.sequence:
            return  # others went on and had deleted the entry: that is no answer
        what = f"Table {self._title}: the store ignores 'If-None-Match'."
        hint = "Two runs could overwrite each other: use another store, or iceberg."
        raise ConfigurationError(what, hint=hint)

    def _create(self, entry: Entry) -> None:
        content = dump(entry)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if self._store.create(name_of(entry.sequence), content):
                    return
                found = self.read(entry.sequence)
            except (OSError, TimeoutError) as error:
                # It may have landed, even later: the next attempt will tell.
                if attempt == ATTEMPTS:
                    raise
                logger.warning("Table %s: no answer (%s)", self._title, error)
            else:
                if found is not None and found.run_id == entry.run_id:
                    return
                if found is not None:
                    raise TakenError(self._fenced(found).what, hint=HINT)
            self._pause(attempt)
        what = f"Table {self._title}: {ATTEMPTS} commits failed, one after the other."
        raise TryLaterError(what, hint="Look at the storage's own log, then run again.")

    def _fenced(self, found: Entry | None) -> FencedError:
        who = found.run_id if found else "another"
        what = f"Table {self._title}: run {who} has committed meanwhile."
        return FencedError(what, hint=HINT)

    def _sequences(self) -> list[int]:
        names = (name.rpartition("/")[2] for name in self._store.names(FOLDER))
        stems = (name.removesuffix(".json") for name in names)
        return sorted(int(stem) for stem in stems if stem.isdigit())


class TakenError(FencedError):
    """The entry is another run's, so nothing can refer to what this one has written."""
