"""Connections of one run: as many as are at work at the same time."""

from __future__ import annotations

import contextlib
import threading
import typing as t
import weakref

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Closes(t.Protocol):
    """What can leave its server."""

    def close(self) -> None:
        """Leave it."""

    def cancel(self) -> None:
        """Let it stop the present statement; from any thread."""

    def forget(self) -> None:
        """Leave the connection alone for good, since another thread is in it."""


C = t.TypeVar("C", bound=Closes)


class Pool(t.Generic[C]):
    """Lends connections; who gives one back has ended its transaction.

    What is idle at the end of the process leaves its server in good order.

    Args:
        connect: Makes another one.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._idle: list[C] = []
        self._lent: list[C] = []
        self._guard = threading.Lock()
        weakref.finalize(self, _close, self._idle)

    @contextlib.contextmanager
    def lend(self) -> Iterator[C]:
        """Lend a connection for a block."""
        with self._guard:
            client = self._idle.pop() if self._idle else self._connect()
            self._lent.append(client)
        try:
            yield client
        finally:
            with self._guard:
                self._lent.remove(client)
                self._idle.append(client)

    def cancel(self) -> None:
        """Let the server stop what it does for those who have borrowed."""
        with self._guard:
            lent = [*self._lent]
        for client in lent:
            client.cancel()

    def forget(self) -> None:
        """Leave alone what is still lent when nobody waits any more."""
        with self._guard:
            for client in self._lent:
                client.forget()

    def close(self) -> None:
        """Close what is not lent."""
        with self._guard:
            _close(self._idle)


def _close(idle: list[C]) -> None:
    while idle:
        idle.pop().close()
