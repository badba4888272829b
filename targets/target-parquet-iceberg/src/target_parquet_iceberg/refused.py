"""Streams that cannot be loaded: others go on, and the run says so at its end."""

from __future__ import annotations

import logging
import typing as t

from dativo_core.dead_letters import DeadLetter
from dativo_core.errors import ConfigurationError, DataLimitError

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_core.dead_letters import DeadLetterOffice

    from target_parquet_iceberg.messages import Batch, Record

logger = logging.getLogger(__name__)
AT_ONCE = 500


class RefusedStreams:
    """Keeps the records of streams whose SCHEMA cannot be used as dead letters.

    Their bookmarks must not move: the run after the correction reads them again. So it
    is no loss that a stream beyond its limits of dead letters is only counted.
    """

    def __init__(
        self,
        dead_letters: DeadLetterOffice,
        folder_of: Callable[[str], str],
        masked: Callable[[DeadLetter], DeadLetter],
    ) -> None:
        self._dead_letters = dead_letters
        self._folder_of = folder_of
        self._masked = masked
        self._reasons: dict[str, ConfigurationError] = {}
        self._seen: dict[str, int] = {}
        self._waiting: dict[str, list[DeadLetter]] = {}
        self._full: set[str] = set()

    @property
    def names(self) -> list[str]:
        """The streams' names."""
        return list(self._reasons)

    def __contains__(self, stream: str) -> bool:
        return stream in self._reasons

    def refuse(self, stream: str, reason: ConfigurationError) -> None:
        """Load nothing of this stream from here on."""
        if stream not in self._reasons:
            self._reasons[stream] = reason
            logger.warning("%s Its records go to the dead letters.", reason.what)

    def take(self, record: Record | Batch) -> None:
        """Keep a record of such a stream, or the name of a file of them."""
        stream = record.stream
        self._seen[stream] = self._seen.get(stream, 0) + 1
        if stream in self._full:
            return
        waiting = self._waiting.setdefault(stream, [])
        expected, found = "a SCHEMA that can be used", "another SCHEMA"
        letter = DeadLetter(stream, "schema", "", expected, found, record.raw)
        waiting.append(self._masked(letter))
        if len(waiting) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Make durable what waits."""
        for stream, letters in self._waiting.items():
            try:
                self._dead_letters.accept(
                    stream, self._folder_of(stream), letters, self._seen[stream]
                )
            except DataLimitError:
                self._full.add(stream)
        self._waiting.clear()

    def check(self) -> None:
        """End the run, now that all else is done.

        Raises:
            ConfigurationError: if there are such streams.
        """
        if not self._reasons:
            return
        first = next(iter(self._reasons.values()))
        seen = sum(self._seen.values())
        dead = sum(self._dead_letters.counts.get(name, 0) for name in self._reasons)
        what = first.what
        if len(self._reasons) > 1:
            others = ", ".join(repr(name[:80]) for name in self.names[1:])
            what += f" Nor can {others} be loaded."
        what += f" All else is loaded; of {seen} records, {dead} are dead letters."
        raise ConfigurationError(what, hint=first.hint)
