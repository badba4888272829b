"""Cut the input into runs of RECORD lines, which nobody has to look at one by one.

A tap writes thousands of RECORD lines of a stream in a row, all beginning with the same
bytes. Such a run is one piece until its columns are parsed; any other line is a message
of its own. That a line begins like a RECORD proves nothing: who takes a run has to
check every line, and asks for its messages if one of them is something else.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

from target_parquet_iceberg import messages
from target_parquet_iceberg.lines import split

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from target_parquet_iceberg.lines import LineReader
    from target_parquet_iceberg.messages import Message

# What one run holds: its values should fit into the processor's cache, but what is done
# once for each column has to be worth it. Four runs and a bit are one read.
RUN_BYTES = 2**18 + 2**14
RUN_LINES = 500
# Fewer lines are cheaper one by one.
LEAST_LINES = 16
_STRING = rb'"(?:[^"\\]|\\.)*"'
_TYPE = rb'"type"\s*:\s*"RECORD"'
_STREAM = rb'"stream"\s*:\s*' + _STRING
_HEAD = re.compile(
    rb"\{\s*(?:%b\s*,\s*%b|%b\s*,\s*%b)" % (_TYPE, _STREAM, _STREAM, _TYPE)
)


@dataclass(frozen=True, slots=True)
class Run:
    """Whole lines that all begin like RECORD messages of one stream, and end in `}`."""

    stream: str
    text: bytes
    count: int

    def messages(self) -> Iterator[Message]:
        """Yield what the lines are."""
        return messages.read(BytesIO(self.text), is_start=False)

    def halves(self) -> tuple[Run, ...]:
        """Cut the run in two; nothing comes of one that is too short for that."""
        cut = self.text.find(b"\n", len(self.text) // 2) + 1
        texts = self.text[:cut], self.text[cut:]
        if self.count < 2 * LEAST_LINES or not texts[1]:
            return ()
        return tuple(Run(self.stream, text, text.count(b"\n")) for text in texts)


def read(source: LineReader, max_line_bytes: int) -> Iterator[Message | Run]:
    """Yield all messages in order, those of many lines in a row as runs."""
    lines = split(source.readline, max_line_bytes)
    # The first line alone may begin with a mark of byte order.
    yield from messages.read(itertools.islice(lines, 1))
    cutter = _Cutter()
    while True:
        text = source.lines(min(cutter.run_bytes, max_line_bytes))
        if text:
            yield from cutter.cut(text)
            continue
        # A line that is longer, or the last one, without an end.
        odd = list(itertools.islice(lines, 1))
        if not odd:
            return
        yield from messages.read(odd, is_start=False)


class _Cutter:
    """Remembers how the latest RECORD began."""

    def __init__(self) -> None:
        self._head = b""
        self._stream = ""
        self.run_bytes = RUN_BYTES

    def cut(self, text: bytes) -> Iterator[Message | Run]:
        """Yield the messages and runs of whole lines."""
        count = self._count(text)
        if count >= LEAST_LINES:
            yield self._run(text, count)
            return
        at = 0
        while at < len(text):
            end = self._end_of_run(text, at)
            piece = text[at:end]
            count = piece.count(b"\n")
            if count >= LEAST_LINES and self._is_clean(piece, count):
                yield self._run(piece, count)
            else:
                yield from self._messages(piece)
            at = end

    def _count(self, text: bytes) -> int:
        """Count the lines, if all begin alike and end like objects; else 0.

        Nearly every text is like that, and two searches tell.
        """
        count = text.count(b"\n") if self._head and text.startswith(self._head) else 0
        ends = text.count(b"}\n" + self._head) + text.endswith(b"}\n")
        return count if ends == count else 0

    def _run(self, text: bytes, count: int) -> Run:
        self.run_bytes = max(RUN_BYTES, RUN_LINES * len(text) // count)
        return Run(self._stream, text, count)

    def _end_of_run(self, text: bytes, at: int) -> int:
        """Find the end of the lines that begin alike; of one line, if none do."""
        if not (self._head and text.startswith(self._head, at)):
            return text.index(b"\n", at) + 1
        found = _other_line(self._head).search(text, at)
        return found.start() + 1 if found else len(text)

    def _is_clean(self, piece: bytes, count: int) -> bool:
        """Tell whether every line ends like an object, so that none is half of one."""
        ends = piece.count(b"}\n" + self._head) + piece.endswith(b"}\n")
        return ends == count

    def _messages(self, piece: bytes) -> Iterator[Message]:
        for message in messages.read(BytesIO(piece), is_start=False):
            if isinstance(message, messages.Record):
                self._note(piece, message.stream)
            yield message

    def _note(self, piece: bytes, stream: str) -> None:
        head = _HEAD.match(piece)
        if head:
            self._head, self._stream = head[0], stream


@lru_cache(maxsize=256)
def _other_line(head: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\n(?!%b)" % re.escape(head))
