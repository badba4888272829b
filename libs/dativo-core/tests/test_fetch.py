"""Many things at once, their results in order, and nothing left behind."""

from __future__ import annotations

import threading

import pytest
from dativo_core.fetch import CancelledError, ordered, pause


@pytest.fixture(autouse=True)
def _no_threads_left():
    """See that each test ends with the threads that it began with."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class Gates:
    """Work that ends when its gate is opened."""

    def __init__(self, count) -> None:
        self.begun = [threading.Event() for _ in range(count)]
        self.open = [threading.Event() for _ in range(count)]

    def __call__(self, task):
        self.begun[task].set()
        assert self.open[task].wait(30)
        return task


def test_results_are_in_order() -> None:
    """The last to begin may be the first to end."""
    gates = Gates(4)
    results = ordered(range(4), gates, workers=4, ahead=4)

    def end_backwards() -> None:
        for task in (3, 2, 1, 0):
            gates.begun[task].wait(30)
            gates.open[task].set()

    thread = threading.Thread(target=end_backwards)
    thread.start()
    assert list(results) == [0, 1, 2, 3]
    thread.join()


@pytest.mark.parametrize("workers", [1, 3, 50])
def test_many_tasks(workers) -> None:
    """Nothing is lost or twice, whatever the number of threads."""
    results = ordered(range(500), lambda task: task * 2, workers=workers, ahead=7)
    assert list(results) == [task * 2 for task in range(500)]


def test_nothing_to_do() -> None:
    """No task, no thread."""
    assert list(ordered([], str, workers=2, ahead=2)) == []


def test_memory_is_bounded() -> None:
    """Tasks are read no further ahead than asked, and never without need."""
    read = []

    def tasks():
        for task in range(1000):
            read.append(task)
            yield task

    results = ordered(tasks(), str, workers=2, ahead=5)
    assert read == []
    for expected in range(10):
        assert next(results) == str(expected)
        assert len(read) <= expected + 5
    results.close()
    assert len(read) <= 15


def test_no_more_work_than_workers_at_once() -> None:
    """Three threads serve ten tasks."""
    lock, at_once, most = threading.Lock(), [0], [0]

    def work(_) -> None:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        with lock:
            at_once[0] -= 1

    list(ordered(range(100), work, workers=3, ahead=10))
    assert 1 <= most[0] <= 3


def test_an_error_comes_in_its_place() -> None:
    """Results before it are not lost, and nothing begins after it."""
    begun = []

    def work(task):
        begun.append(task)
        if task == 3:
            raise KeyError(task)
        return task

    results = ordered(range(100), work, workers=1, ahead=10)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)
    assert begun == [0, 1, 2, 3]
    assert list(results) == []


def test_an_error_of_the_tasks_themselves() -> None:
    """It is raised where it happens, and the threads end."""

    def tasks():
        yield 1
        raise KeyError

    with pytest.raises(KeyError):
        list(ordered(tasks(), str, workers=2, ahead=2))


def test_closing_cuts_pauses_short() -> None:
    """Who sleeps between requests is woken, and told that nobody waits."""
    begun, ended = threading.Event(), []

    def work(task):
        if task == 0:
            return task
        begun.set()
        try:
            pause(1e6)
        except CancelledError:
            ended.append(task)
            raise

    results = ordered(range(9), work, workers=2, ahead=3)
    assert next(results) == 0
    assert begun.wait(30)
    results.close()
    assert set(ended) <= {1, 2}
    assert ended


def test_pause_elsewhere_is_sleep(monkeypatch) -> None:
    """Outside of a worker nobody can wake it."""
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    pause(3)
    assert slept == [3]


def test_pause_in_a_worker() -> None:
    """While results are wanted it ends by itself."""
    assert list(ordered([0], lambda _: pause(0), workers=1, ahead=1)) == [None]


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (1, 0)])
def test_numbers_that_make_no_sense(workers, ahead) -> None:
    """They are refused at once, not when the first result is awaited."""
    with pytest.raises(ValueError, match="at least 1"):
        ordered([], str, workers=workers, ahead=ahead)
