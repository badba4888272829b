"""Feed messages to the SDK's callbacks without its dict per record."""

from __future__ import annotations

import sys
import typing as t
from collections import Counter

from singer_sdk.singerlib.encoding.base import GenericSingerReader, SingerMessageType

from target_parquet_iceberg import messages
from target_parquet_iceberg.lines import split

if t.TYPE_CHECKING:
    from collections.abc import Callable

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
        readline = _readline(file_input or self.default_input)
        for message in messages.read(split(readline, self.max_line_bytes)):
            kind = _TYPES[type(message)]
            callbacks[kind](message)
            counts[kind] += 1
        return counts


def _readline(source: t.IO[t.Any]) -> Callable[[int], bytes]:
    if isinstance(source.readline(0), str):
        return lambda size: t.cast("str", source.readline(size)).encode()
    return source.readline
