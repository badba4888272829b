"""The first second of a command, in which it imports what it needs.

This module imports next to nothing: a command asks it first.
"""

from __future__ import annotations

import os
import signal
import typing as t

if t.TYPE_CHECKING:
    from types import FrameType


def guard() -> None:
    """Let SIGINT and SIGTERM end a process that has not begun yet with their codes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(signum: int, _frame: FrameType | None) -> None:
    # An exception could be lost in an import from C, and there is nothing to clean up.
    os._exit(128 + signum)
