"""Private folders for what a process need not keep.

A process that is killed leaves its folder, with rows or keys in it. Whoever makes the
next one removes it: a folder is in use while its process holds a lock on it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import typing as t
import weakref
from pathlib import Path

from dativo_core.errors import TryLaterError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Scratch:
    """A folder of mode 0700, gone when it is closed or dropped, or at the exit."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._remove: Callable[[], object] = lambda: None

    @property
    def path(self) -> Path:
        """The folder; it is made when it is first asked for."""
        if self._path is None:
            _sweep(Path(tempfile.gettempdir()))
            self._path, lock = _make()
            self._remove = weakref.finalize(self, _end, self._path, lock)
        return self._path

    def __enter__(self) -> Path:
        """Return the folder."""
        return self.path

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self.close()

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        self._remove()
        self._path = None


@contextlib.contextmanager
def filling() -> Iterator[None]:
    """Say which folder it is that has no more room.

    Raises:
        TryLaterError: naming the folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        what = f"The temporary folder {tempfile.gettempdir()} is full."
        hint = "Make room there, or name another one in TMPDIR, then run again."
        raise TryLaterError(what, hint=hint) from error


def prefix() -> str:
    """Return what the names of all folders of this host begin with."""
    # Some shared file systems keep locks from other hosts.
    return f"dativo-scratch-{os.uname().nodename}-"


def _make() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix()))
        # A sweep of another process may be faster than this.
        with contextlib.suppress(FileNotFoundError):
            lock = _open(path)
            # Where a file system knows no locks, no sweep removes anything.
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _sweep(root: Path) -> None:
    for path in root.glob(f"{prefix()}*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.geteuid():
                _remove_if_left(path)


def _remove_if_left(path: Path) -> None:
    lock = _open(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _end(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
