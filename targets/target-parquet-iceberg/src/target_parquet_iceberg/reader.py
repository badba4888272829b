"""Feed messages to the SDK's callbacks without its dict per record."""

from __future__ import annotations

import gc
import sys
import typing as t
from collections import Counter

from singer_sdk.singerlib.encoding.base import GenericSingerReader, SingerMessageType

from target_parquet_iceberg import messages
from target_parquet_iceberg.draining import chunks
from target_parquet_iceberg.lines import LineReader
from target_parquet_iceberg.runs import Run, read

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OBJECTS_BETWEEN_LOOKS = 50_000
_TYPES: dict[type, SingerMessageType] = {
    messages.Record: SingerMessageType.RECORD,
    messages.Schema: SingerMessageType.SCHEMA,
    messages.State: SingerMessageType.STATE,
    messages.ActivateVersion: SingerMessageType.ACTIVATE_VERSION,
    messages.Batch: SingerMessageType.BATCH,
    # A line that is no message counts as a record that cannot be stored.
    messages.Malformed: SingerMessageType.RECORD,
}


class MessageReader(GenericSingerReader[bytes]):
    """Reads lines as bytes and passes on `messages` instead of dicts."""

    max_line_bytes = 64 * 2**20
    take: Callable[[Run], Iterable[messages.Message]] = staticmethod(Run.messages)
    """Takes a run of lines that look like RECORDs; returns what it leaves."""
    warm_up: Callable[[], None] = staticmethod(lambda: None)
    """Does what can be done before the tap has said anything."""
    abandon: Callable[[], None] = staticmethod(lambda: None)
    """Cleans up after a failure."""

    @property
    def default_input(self) -> t.IO[bytes]:
        """Standard input, as bytes."""
        return sys.stdin.buffer

    def deserialize_json(self, line: bytes) -> t.NoReturn:
        """Do nothing: records stay bytes here."""
        raise NotImplementedError

    def process_lines(
        self,
        file_input: t.IO[t.Any] | None,
        callbacks: dict[str, Callable[[t.Any], None]],
    ) -> Counter[str]:
        """Pass every message to the callback of its type; count them by type."""
        counts: Counter[str] = Counter()
        lines = LineReader(chunks(file_input or self.default_input))
        self.warm_up()
        # Records are no garbage that refers to itself, nor is what has been imported:
        # looking for it costs 5 percent.
        gc.set_threshold(max(OBJECTS_BETWEEN_LOOKS, gc.get_threshold()[0]))
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        try:
            self._pass_on(lines, callbacks, counts)
        except BaseException:
            self.abandon()
            raise
        return counts

    def _pass_on(
        self,
        lines: LineReader,
        callbacks: dict[str, Callable[[t.Any], None]],
        counts: Counter[str],
    ) -> None:
        for piece in read(lines, self.max_line_bytes):
            left: Iterable[messages.Message]
            if isinstance(piece, Run):
                counts[SingerMessageType.RECORD] += piece.count
                left = self.take(piece)
            else:
                counts[_TYPES[type(piece)]] += 1
                left = (piece,)
            for message in left:
                callbacks[_TYPES[type(message)]](message)
