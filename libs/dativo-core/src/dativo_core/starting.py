"""The first second of a command, in which it imports what it needs.

This module imports next to nothing: a command asks it first.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import typing as t

if t.TYPE_CHECKING:
    from types import FrameType

MOST_FILES = 65_536


def begin() -> None:
    """Let SIGINT and SIGTERM end what has not begun yet, allow files, choose memory."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    _allow_files()
    # One thread makes the rows, another one frees them: of that, mimalloc, Arrow's
    # default, keeps 30 to 50 MB more. Arrow looks when it is imported, at nothing else.
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")


def _allow_files() -> None:
    # The soft limit is low for the sake of select(), which nothing here uses.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _leave(signum: int, _frame: FrameType | None) -> None:
    # An exception could be lost in an import from C, and there is nothing to clean up.
    os._exit(128 + signum)
