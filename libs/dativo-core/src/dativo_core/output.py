"""Where lines go: to standard output, or to the one thread that writes there."""

from __future__ import annotations

import contextlib
import sys
import threading
import typing as t
from dataclasses import dataclass

from singer_sdk.io_base import SingerWriter

from dativo_core.verbatim import Line

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from singer_sdk.singerlib.encoding.simple import Message

Lines: t.TypeAlias = "bytes | memoryview"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to be done when all lines before it are written.

    Attributes:
        is_barrier: Whether a STATE covers all lines of the stream so far.
    """

    do: Callable[[], None]
    is_barrier: bool


Handed: t.TypeAlias = "Lines | Mark"


class LineWriter(SingerWriter):
    """Writes whole lines: the SDK's messages, and blocks of RECORD lines.

    A thread that has a way of its own hands them over instead, with their size: one
    thread alone writes, so that no line is torn and a signal finds it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    @contextlib.contextmanager
    def through(self, hand_over: Callable[[Handed, int], None]) -> Iterator[None]:
        """Let this thread hand over what it writes."""
        self._local.hand_over = hand_over
        try:
            yield
        finally:
            del self._local.hand_over

    def write_message(self, message: Message) -> None:
        """Write a message of the SDK."""
        if isinstance(message, Line):
            self.write_blocks([memoryview(message.line)])
        elif self._hand_over is None:
            super().write_message(message)
        else:
            line = f"{self.format_message(message)}\n".encode()
            self._hand_over(line, len(line))

    def write_blocks(self, blocks: Iterable[memoryview]) -> None:
        """Write blocks of whole lines."""
        if self._hand_over is not None:
            for block in blocks:
                self._hand_over(block, block.nbytes)
            return
        # The SDK writes its messages as text, above this buffer, and flushes each.
        sys.stdout.flush()
        for block in blocks:
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()

    def mark(self, do: Callable[[], None], *, is_barrier: bool = False) -> None:
        """Do something when all lines of this thread so far are written."""
        if self._hand_over is None:
            do()
        else:
            self._hand_over(Mark(do, is_barrier), 0)

    @property
    def _hand_over(self) -> Callable[[Handed, int], None] | None:
        return getattr(self._local, "hand_over", None)
