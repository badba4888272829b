"""Workers that answer as they are ready, while one who asks decides what is next."""

from __future__ import annotations

import queue
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

T = t.TypeVar("T")
R = t.TypeVar("R")


class Crew(t.Generic[T, R]):
    """Threads that do one kind of work.

    They are daemons: a process that a signal ends does not wait for a request.

    Args:
        work: What to do with a task.
        size: How many tasks at once.
    """

    def __init__(self, work: Callable[[T], R], size: int) -> None:
        self._work = work
        self._tasks: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[T, R | BaseException]] = (
            queue.SimpleQueue()
        )
        self._size = size
        self._started = 0

    def ask(self, task: T) -> None:
        """Hand over a task."""
        if self._started < self._size:
            self._started += 1
            threading.Thread(target=self._serve, daemon=True).start()
        self._tasks.put(task)

    def answer(self) -> tuple[T, R | BaseException]:
        """Wait for any task to be done; return it with its result or its error."""
        return self._answers.get()

    def dismiss(self) -> None:
        """Let the threads end when they have done what they are at."""
        for _ in range(self._started):
            self._tasks.put(None)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self._answers.put((task, self._work(task)))
            except BaseException as error:  # noqa: BLE001 it is judged where it is awaited
                self._answers.put((task, error))
