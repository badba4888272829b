"""Do many things at once, and hand over their results in order."""

from __future__ import annotations

import collections
import queue
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = t.TypeVar("T")
R = t.TypeVar("R")

_here = threading.local()


class CancelledError(Exception):
    """The result of this work is wanted no more."""


def pause(seconds: float) -> None:
    """Sleep; in a worker whose results are wanted no more, raise CancelledError.

    Give this to what sleeps between requests, or a cancelled run waits for it.
    """
    stopped: threading.Event | None = getattr(_here, "stopped", None)
    if stopped is None:
        time.sleep(seconds)
    elif stopped.wait(seconds):
        raise CancelledError


class _Job(t.Generic[T, R]):
    """One task and, once `done`, its result or its error."""

    def __init__(self, task: T) -> None:
        self._task = task
        self._done = threading.Event()
        self._result: R
        self._error: BaseException | None = None

    def run(self, work: Callable[[T], R]) -> bool:
        try:
            self._result = work(self._task)
        except BaseException as error:  # noqa: BLE001 it is raised where it is awaited
            self._error = error
        self._done.set()
        return self._error is None

    def cancel(self) -> None:
        self._error = CancelledError()
        self._done.set()

    def result(self) -> R:
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


def ordered(
    tasks: Iterable[T], work: Callable[[T], R], *, workers: int, ahead: int
) -> Iterator[R]:
    """Yield `work(task)` for each task, in the order of the tasks.

    Up to `workers` run at once, and up to `ahead` tasks are begun or done beyond the
    one that is awaited, which bounds the memory. `tasks` is read in the caller's
    thread, as far ahead.

    After an error no further task begins. It is raised in its place: results before it
    come first, so that what was reached can be kept. When the iterator is closed, or
    ends, no thread of it is left; work that sleeps by `pause` ends at once, and other
    work is waited for.
    """
    if workers < 1 or ahead < 1:
        msg = f"workers and ahead must be at least 1, not {workers} and {ahead}"
        raise ValueError(msg)
    return _ordered(tasks, work, workers, ahead)


def _ordered(
    tasks: Iterable[T], work: Callable[[T], R], workers: int, ahead: int
) -> Iterator[R]:
    pool = _Pool(work, workers)
    pending: collections.deque[_Job[T, R]] = collections.deque()
    source = iter(tasks)
    try:
        while True:
            while len(pending) < ahead and not pool.has_failed.is_set():
                try:
                    task = next(source)
                except StopIteration:
                    break
                pending.append(pool.submit(task))
            if not pending:
                return
            yield pending.popleft().result()
    finally:
        pool.close()


class _Pool(t.Generic[T, R]):
    """Threads that are started when there is work, and end when it is closed.

    They are daemons: a process that a signal ends does not wait for a request.
    """

    def __init__(self, work: Callable[[T], R], workers: int) -> None:
        self._work = work
        self._workers = workers
        self._jobs: queue.SimpleQueue[_Job[T, R] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        self.has_failed = threading.Event()

    def submit(self, task: T) -> _Job[T, R]:
        job: _Job[T, R] = _Job(task)
        self._jobs.put(job)
        if len(self._threads) < self._workers:
            name = f"fetch-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return job

    def close(self) -> None:
        self._stopped.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        _here.stopped = self._stopped
        while (job := self._jobs.get()) is not None:
            if self._stopped.is_set() or self.has_failed.is_set():
                job.cancel()
            elif not job.run(self._work):
                self.has_failed.set()
