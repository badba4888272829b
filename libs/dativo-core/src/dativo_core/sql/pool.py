"""Connections of one run: as many as are at work at the same time."""

from __future__ import annotations

import contextlib
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Closes(t.Protocol):
    """What can leave its server."""

    def close(self) -> None:
        """Leave it."""


C = t.TypeVar("C", bound=Closes)


class Pool(t.Generic[C]):
    """Lends connections; who gives one back has ended its transaction.

    Args:
        connect: Makes another one.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._idle: list[C] = []
        self._guard = threading.Lock()

    @contextlib.contextmanager
    def lend(self) -> Iterator[C]:
        """Lend a connection for a block."""
        with self._guard:
            client = self._idle.pop() if self._idle else None
        client = self._connect() if client is None else client
        try:
            yield client
        finally:
            with self._guard:
                self._idle.append(client)

    def close(self) -> None:
        """Close what is not lent."""
        with self._guard:
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()
