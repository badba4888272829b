"""Hand over what several threads make to one that takes it, bounded by bytes."""

from __future__ import annotations

import threading
import typing as t
from collections import deque

T = t.TypeVar("T")


class AbandonedError(BaseException):
    """Nobody takes the result any more: no failure, so nobody should report it."""


class Lane(t.Generic[T]):
    """What one thread hands over, in its order."""

    __slots__ = ("error", "is_over", "items")

    def __init__(self) -> None:
        self.items: deque[tuple[T, int]] = deque()
        self.is_over = False
        self.error: BaseException | None = None


class Lanes(t.Generic[T]):
    """Lanes that share one allowance.

    The lane from which something is taken may always hold one thing, or those that
    wait for their turn could stop it for good.

    Args:
        max_bytes: What all lanes may hold.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._open: list[Lane[T]] = []
        self._head: Lane[T] | None = None
        self.held = 0
        self._is_abandoned = False

    def open(self) -> Lane[T]:
        """Add a lane."""
        lane: Lane[T] = Lane()
        with self._changed:
            self._open.append(lane)
        return lane

    def put(self, lane: Lane[T], item: T, size: int) -> None:
        """Hand over a thing of so many bytes; wait while too much is held.

        Raises:
            AbandonedError: if nobody wants it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_abandoned or self._has_room(lane))
            if self._is_abandoned:
                raise AbandonedError
            lane.items.append((item, size))
            self.held += size
            self._changed.notify_all()

    def end(self, lane: Lane[T], error: BaseException | None = None) -> None:
        """Say that nothing more comes, and why if that is a failure."""
        with self._changed:
            lane.is_over, lane.error = True, error
            self._changed.notify_all()

    def take(self, lane: Lane[T]) -> T | None:
        """Return the next thing of a lane; None at its end. Raise its error there."""
        with self._changed:
            self._head = lane
            self._changed.notify_all()
            self._changed.wait_for(lambda: lane.items or lane.is_over)
            if lane.items:
                item, size = lane.items.popleft()
                self.held -= size
                self._changed.notify_all()
                return item
            self._open.remove(lane)
            if lane.error is not None:
                raise lane.error
            return None

    def ready(self) -> Lane[T] | None:
        """Wait for a lane that has something, or is over; None if none is open."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._first() is not None)
            return self._first()

    def abandon(self) -> None:
        """Stop those who wait to hand something over."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def _has_room(self, lane: Lane[T]) -> bool:
        is_next = lane is self._head and not lane.items
        return is_next or self.held < self._max_bytes

    def _first(self) -> Lane[T] | None:
        # The one that was served last comes last.
        for lane in sorted(self._open, key=lambda lane: lane is self._head):
            if lane.items or lane.is_over:
                return lane
        return None
