"""What every server of the sandbox shares: one private directory and one lifetime."""

from __future__ import annotations

import abc
import atexit
import contextlib
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from typing_extensions import Self

    from dativo_sandbox.process import ServerProcess


class Server(abc.ABC):
    """A server that leaves no process and no directory behind when it stops.

    Attributes:
        home: The private directory of the server that was started last.
    """

    name: t.ClassVar[str]
    home: Path

    def __init__(self) -> None:
        self._resources = contextlib.ExitStack()
        self._process: ServerProcess | None = None

    @property
    def pid(self) -> int:
        """The id of the server's main process, while it runs."""
        if self._process is None:
            msg = f"{self.name} is not running."
            raise RuntimeError(msg)
        return self._process.pid

    def start(self) -> Self:
        """Start the server, unless it runs, and return it when it answers."""
        if self._process is None:
            with contextlib.ExitStack() as resources:
                resources.callback(atexit.unregister, self._leave)
                atexit.register(self._leave, os.getpid())
                self._process = self._start(resources)
                self._resources = resources.pop_all()
        return self

    def stop(self) -> None:
        """Stop the server and remove its files; do nothing if it is stopped."""
        self._process = None
        self._resources.close()

    def _leave(self, owner: int) -> None:
        """Stop at exit, but not at that of a forked child."""
        if os.getpid() == owner:
            self.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abc.abstractmethod
    def _start(self, resources: contextlib.ExitStack) -> ServerProcess:
        """Start, and register on the stack whatever undoes it."""

    def _private_directory(
        self, resources: contextlib.ExitStack, *, mode: int = 0o700
    ) -> Path:
        path = Path(tempfile.mkdtemp(prefix=f"dativo-{self.name}-"))
        resources.callback(shutil.rmtree, path, ignore_errors=True)
        path.chmod(mode)
        self.home = path
        return path
