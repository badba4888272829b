"""A process that runs no Python is ended all the same, with the signal's code."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading

import pytest
from dativo_core.watchdog import Watchdog

TERM, INT = signal.SIGTERM, signal.SIGINT
NEVER = 3600.0
# It waits in C for a lock that it holds itself, as a driver does for its server. What
# it says goes past Python's buffer, where nobody may write while a write is going on.
DEAF = """
import ctypes, os, sys
from dativo_core import signals
class Deferral(signals._Deferral):
    def __getattribute__(self, name):
        if name == "is_open":
            os.write(1, b"asked\\n")
        return super().__getattribute__(name)
signals.DEAF_SECONDS, signals.GRACE_SECONDS = map(float, sys.argv[1:3])
signals._deferral = Deferral(is_open=sys.argv[3] == "committing")
signals.install()
libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(256)
libc.pthread_mutex_lock(lock)
try:
    os.write(1, b"deaf\\n")
    libc.pthread_mutex_lock(lock)
finally:
    signals.settle()
"""


@pytest.mark.parametrize(
    ("numbers", "seconds", "moment", "code"),
    [
        ([TERM], (0.01, NEVER), "reading", 143),
        ([INT], (0.01, NEVER), "reading", 130),
        ([TERM], (0.01, 0.01), "committing", 143),
        ([TERM, INT], (0.01, NEVER), "committing", 130),
        ([TERM, TERM], (0.01, 0.01), "reading", 143),
    ],
)
def test_a_deaf_process_ends(numbers, seconds, moment, code) -> None:
    """No handler runs; a commit is given its time, Ctrl-C after a signal takes it."""
    command = [sys.executable, "-c", DEAF, *map(str, seconds), moment]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as deaf:
        assert deaf.stdout.readline() == b"deaf\n"
        deaf.send_signal(numbers[0])
        # Two signals that wait at once arrive in the order of their numbers.
        for number in numbers[1:]:
            assert deaf.stdout.readline() == b"asked\n"
            deaf.send_signal(number)
        # A signal that is faster than the lock is heard.
        assert b"Stopped by SIG" in deaf.stderr.read()
    assert deaf.returncode == code


@pytest.fixture
def watched():
    """Make watchdogs that bite into a list; signals themselves do nothing."""
    before = {number: signal.signal(number, lambda *_: None) for number in (TERM, INT)}
    ended: list[int] = []
    bitten = threading.Event()

    def end(number):
        ended.append(number)
        bitten.set()

    def make(is_busy, patience, grace):
        dog = Watchdog(is_busy, end, patience=patience, grace=grace)
        dog.start()
        made.append(dog)
        return ended, bitten

    made: list[Watchdog] = []
    yield make
    for dog in made:
        dog.stop()
    for number, action in before.items():
        signal.signal(number, action)


def test_another_interrupt_takes_the_grace_away(watched) -> None:
    """Who waits for a commit an hour may press Ctrl-C again."""
    ended, bitten = watched(lambda: True, 0.01, NEVER)
    os.kill(os.getpid(), TERM)
    os.kill(os.getpid(), INT)
    assert bitten.wait(60)
    assert ended == [INT]


def test_a_stopped_watchdog_ends_nothing(watched) -> None:
    """Not even when a signal has come already."""
    ended, _ = watched(lambda: True, NEVER, NEVER)
    os.kill(os.getpid(), TERM)
    assert ended == []


def test_other_signals_are_none_of_its_business(watched) -> None:
    """Only those that stop a run count."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    ended, bitten = watched(lambda: False, 0.01, NEVER)
    os.kill(os.getpid(), signal.SIGALRM)
    os.kill(os.getpid(), TERM)
    assert bitten.wait(60)
    signal.signal(signal.SIGALRM, before)
    assert ended == [TERM]


def test_many_open_files_do_not_blind_it(watched) -> None:
    """select() would refuse the descriptors that follow the first 1,024."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = 2048 if before[1] == resource.RLIM_INFINITY else min(2048, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(many, before[0]), before[1]))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        for _ in range(1024):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        ended, bitten = watched(lambda: False, 0.01, NEVER)
        os.kill(os.getpid(), TERM)
        assert bitten.wait(60)
    assert ended == [TERM]
