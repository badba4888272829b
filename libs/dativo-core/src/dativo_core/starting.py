"""The first second of a command, in which it imports what it needs.

This module imports next to nothing: a command asks it first.
"""

from __future__ import annotations

import os
import signal
import sys
import typing as t

if t.TYPE_CHECKING:
    from types import FrameType


def begin() -> None:
    """Let SIGINT and SIGTERM end what has not begun yet; choose Arrow's allocator."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # One thread makes the rows, another one frees them: of that, mimalloc, Arrow's
    # default, keeps 30 to 50 MB more. Arrow looks when it is imported, at nothing else.
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")


def _leave(signum: int, _frame: FrameType | None) -> None:
    # An exception could be lost in an import from C, and there is nothing to clean up.
    os._exit(128 + signum)
