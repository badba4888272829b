"""End a process that cannot take note of a signal, since no Python runs in it."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Container


class Watchdog:
    """A thread that ends the process if the main thread does not.

    Python runs the handler of a signal between two of its own instructions. A database
    driver that waits for its server, or a file system that hangs, lets it run none.

    Args:
        is_busy: Tells whether the main thread works on leaving: it gets `grace` more.
        end: Ends the process as the signal should have.
        patience: Seconds for the main thread to take note of a signal.
        grace: Seconds for what must not be cut.
    """

    def __init__(
        self,
        is_busy: Callable[[], bool],
        end: Callable[[int], None],
        *,
        patience: float,
        grace: float,
    ) -> None:
        self._is_busy = is_busy
        self._end = end
        self._patience = patience
        self._grace = grace
        self._is_stopped = False
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Learn of all signals that have a handler, from now on."""
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._is_stopped = True
        signal.set_wakeup_fd(-1)
        os.close(self._write)
        self._thread.join()
        os.close(self._read)

    def _watch(self) -> None:
        first = self._next((signal.SIGINT, signal.SIGTERM), None)
        if first is None:
            return
        # Who presses Ctrl-C after a signal wants to leave now.
        again = self._next((signal.SIGINT,), self._patience)
        if again is None and self._is_busy():
            again = self._next((signal.SIGINT,), self._grace)
        if again:
            self._next((), self._patience)
        if not self._is_stopped:
            self._end(again or first)

    def _next(self, wanted: Container[int], seconds: float | None) -> int | None:
        """Return the next signal of these; None when the time is over."""
        deadline = None if seconds is None else time.monotonic() + seconds
        # select() refuses the descriptors of a process with a thousand open files.
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not poll.poll(None if left is None else left * 1000):
                return None
            number = os.read(self._read, 1)
            if not number:  # stopped
                return None
            if number[0] in wanted:
                return number[0]
