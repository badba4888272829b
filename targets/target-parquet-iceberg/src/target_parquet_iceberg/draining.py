"""Read the input ahead on a thread, so that the tap never waits for a commit.

A pipe holds 64 kB: a tap that writes while the target decodes or commits would stand
still as soon as it is full.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import typing as t
from collections import deque
from functools import partial
from time import sleep

if t.TYPE_CHECKING:
    from collections.abc import Iterator

READ_BYTES = 2**20
AHEAD_BYTES = 16 * 2**20
# After a shorter read, the next one waits: the first line is never late, and the last
# one not more than anyone could see.
GATHERED_BYTES = 2**15
GATHERING_SECONDS = 0.01


def chunks(source: t.IO[t.Any]) -> Iterator[bytes]:
    """Yield the bytes of a file, read ahead if the system can; text as UTF-8.

    What is read ahead is read from now on.
    """
    plain = getattr(source, "buffer", source)
    try:
        descriptor = plain.fileno()
    except (AttributeError, OSError):
        return iter(partial(_read, plain), b"")
    return Drain(descriptor).start()


def _read(source: t.IO[t.Any]) -> bytes:
    part = source.read(READ_BYTES)
    return part.encode() if isinstance(part, str) else t.cast("bytes", part)


class Drain:
    """The bytes of a file descriptor, some of them read before anyone asks.

    Args:
        descriptor: An open file; nobody else may read from it.
        ahead_bytes: How much is held at most, one read more or less.
    """

    def __init__(self, descriptor: int, ahead_bytes: int = AHEAD_BYTES) -> None:
        self._descriptor = descriptor
        self._ahead_bytes = ahead_bytes
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._is_over = False
        self._error: OSError | None = None
        self._change = threading.Condition()

    def start(self) -> Iterator[bytes]:
        """Begin to read; return what comes, joined.

        Raises:
            OSError: with the last bytes, if the input cannot be read.
        """
        _widen(self._descriptor)
        # Nothing can end a read that waits for a tap: the process must not wait for it.
        threading.Thread(target=self._fill, name="stdin", daemon=True).start()
        return self._parts()

    def _parts(self) -> Iterator[bytes]:
        try:
            yield from iter(self._take, b"")
        finally:
            self._end()
        if self._error is not None:
            raise self._error

    def _take(self) -> bytes:
        with self._change:
            self._change.wait_for(lambda: self._held or self._is_over)
            parts = [self._held.popleft()] if self._held else []
            length = sum(map(len, parts))
            while self._held and length + len(self._held[0]) <= READ_BYTES:
                parts.append(self._held.popleft())
                length += len(parts[-1])
            self._held_bytes -= length
            self._change.notify_all()
        return b"".join(parts)

    def _fill(self) -> None:
        leave_signals()
        try:
            for part in iter(partial(os.read, self._descriptor, READ_BYTES), b""):
                if not self._put(part):
                    break
                if len(part) < GATHERED_BYTES:
                    # A tap that writes line by line would wake two threads for each.
                    sleep(GATHERING_SECONDS)
        except OSError as error:
            self._error = error
        finally:
            self._end()

    def _put(self, part: bytes) -> bool:
        with self._change:
            self._change.wait_for(
                lambda: self._held_bytes < self._ahead_bytes or self._is_over
            )
            self._held.append(part)
            self._held_bytes += len(part)
            self._change.notify_all()
            return not self._is_over

    def _end(self) -> None:
        with self._change:
            self._is_over = True
            self._change.notify_all()


def _widen(descriptor: int) -> None:
    """Let a pipe hold more, where the system can: fewer and larger reads."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl  # noqa: PLC0415 not on every system

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, READ_BYTES)


def leave_signals() -> None:
    """Leave signals to the main thread: one that comes here would not wake it."""
    with contextlib.suppress(AttributeError):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
