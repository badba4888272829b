"""What is open on a server, and in which order it closes."""

from __future__ import annotations

import contextlib
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator


class Closes(t.Protocol):
    """A handle of the driver."""

    def close(self) -> None:
        """Give it back; at most once, and after all that was opened on it."""


C = t.TypeVar("C", bound=Closes)


class Handles:
    """Database, connection, statement and answer: the last closes first, each once."""

    def __init__(self) -> None:
        self._open: list[Closes] = []
        self._user: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether another thread is in them: none may be used by two."""
        user = self._user
        if user is None or user is threading.current_thread():
            return False
        return user.is_alive()

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Let this thread alone use them for a block."""
        self._user = threading.current_thread()
        try:
            yield
        finally:
            self._user = None

    def add(self, handle: C) -> C:
        """Keep a handle until all are closed."""
        self._open.append(handle)
        return handle

    @contextlib.contextmanager
    def closing(self, handle: C) -> Iterator[C]:
        """Close a handle at the end of a block, if it is still open then."""
        self.add(handle)
        try:
            yield handle
        finally:
            if handle in self._open:
                self._open.remove(handle)
                handle.close()

    def close(self) -> None:
        """Close all, but leave them alone while another thread is in them."""
        if self.is_busy:
            return
        handles, self._open = self._open, []
        with contextlib.ExitStack() as open_now:
            for handle in handles:
                open_now.callback(handle.close)
