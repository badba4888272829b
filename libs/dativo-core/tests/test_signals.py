"""A signal ends a run at once, or when what must not be cut is over."""

from __future__ import annotations

import os
import signal

import pytest
from dativo_core import signals
from dativo_core.signals import deferred, terminate

TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.fixture(autouse=True)
def _restored():
    """Leave the process as it was."""
    numbers = (INT, TERM, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    signals.install()
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signals._deferral.watchdog.stop()
    signals._deferral.watchdog = None
    signals._deferral.is_heard = False
    signals._deferral.waiting = None
    for number, action in before.items():
        signal.signal(number, action)


@pytest.mark.parametrize(("number", "code"), [(INT, 130), (TERM, 143)])
def test_outside_a_commit_a_signal_leaves_at_once(number, code, capfd) -> None:
    """The exit code is the signal's, a line says so, and an alarm insists on it."""
    with pytest.raises(SystemExit) as leaving:
        terminate(number)
    assert leaving.value.code == code
    assert f"Stopped by {number.name} before the end." in capfd.readouterr().err
    assert signal.getitimer(signal.ITIMER_REAL)[1] == signals.REPEAT_SECONDS


def commit(numbers, done, step=list) -> None:
    """Get signals while something is going on that must not be cut."""
    with deferred():
        for number in numbers:
            os.kill(os.getpid(), number)
        step()
        done.append("commit")


def fail() -> None:
    """Fail as a commit may."""
    raise KeyError


@pytest.mark.parametrize(
    ("numbers", "code"), [([INT], 130), ([TERM], 143), ([TERM, TERM], 143)]
)
def test_a_signal_waits_for_the_commit(numbers, code, capfd) -> None:
    """What has begun is done before the process leaves with the code of the first."""
    done = []
    with pytest.raises(SystemExit) as leaving:
        commit(numbers, done)
    assert (leaving.value.code, done) == (code, ["commit"])
    assert "when the commit was done" in capfd.readouterr().err


@pytest.mark.parametrize("first", [INT, TERM])
def test_another_interrupt_does_not_wait(first) -> None:
    """Whoever presses Ctrl-C after a signal wants to leave now."""
    done = []
    with pytest.raises(SystemExit) as leaving:
        commit([first, INT], done)
    assert (leaving.value.code, done) == (130, [])


def test_the_wait_is_bounded(monkeypatch) -> None:
    """A commit that does not end is left behind."""
    monkeypatch.setattr(signals, "GRACE_SECONDS", 0.01)
    with pytest.raises(SystemExit) as leaving:
        commit([TERM], [], signal.pause)
    assert leaving.value.code == 143


def test_a_failed_commit_says_why() -> None:
    """Its error tells more than the signal that waited."""
    with pytest.raises(KeyError):
        commit([TERM], [], fail)


def test_nothing_waits_without_a_signal(capfd) -> None:
    """The block is an ordinary one, and a signal after it does not wait."""
    with deferred():
        pass
    assert capfd.readouterr().err == ""
    with pytest.raises(SystemExit):
        os.kill(os.getpid(), TERM)
    assert "before the end" in capfd.readouterr().err
