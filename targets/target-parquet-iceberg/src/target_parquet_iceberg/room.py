"""Bound what threads hold in memory, all of them together."""

from __future__ import annotations

import threading

from target_parquet_iceberg.limits import MEMORY_BYTES


class Room:
    """Room for so many bytes, or for one thing that is larger.

    Args:
        most_bytes: How much may be held at once.
    """

    def __init__(self, most_bytes: int = MEMORY_BYTES) -> None:
        self.most_bytes = most_bytes
        self._held_bytes = 0
        self._change = threading.Condition()

    def enter(self, size: int) -> None:
        """Wait until there is room for so many bytes, and take it."""
        with self._change:
            self._change.wait_for(lambda: self._has_room(size))
            self._held_bytes += size

    def leave(self, size: int) -> None:
        """Give so much of it back."""
        with self._change:
            self._held_bytes -= size
            self._change.notify_all()

    def _has_room(self, size: int) -> bool:
        return not self._held_bytes or self._held_bytes + size <= self.most_bytes
