"""Signals that stop a run: at once, or when the commit that has begun is over."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import typing as t
from dataclasses import dataclass

from dativo_core import logs
from dativo_core.watchdog import Watchdog

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)
REPEAT_SECONDS = 1.0
# Kubernetes kills 30 seconds after its SIGTERM.
GRACE_SECONDS = 20.0
# For the main thread to take note of a signal, before the process ends without it.
DEAF_SECONDS = 3.0


@dataclass
class _Deferral:
    """Whether signals wait, and which one does; handlers are the whole process's."""

    is_open: bool = False
    waiting: int | None = None
    is_heard: bool = False
    watchdog: Watchdog | None = None


_deferral = _Deferral()


def install() -> None:
    """Let SIGINT and SIGTERM end this process as `terminate` does, whatever it does."""
    for number in STOPS:
        signal.signal(number, terminate)
    if _deferral.watchdog is not None:
        _deferral.watchdog.stop()
    _deferral.watchdog = Watchdog(
        lambda: _deferral.is_heard or _deferral.is_open,
        _end,
        patience=DEAF_SECONDS,
        grace=GRACE_SECONDS,
    )
    _deferral.watchdog.start()


def settle() -> None:
    """Let nothing cut the last clean-up but a SIGINT, which ends it without more."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let the first signal wait until the block is over, `GRACE_SECONDS` at most.

    An error of the block goes before the signal. A SIGINT after any other signal does
    not wait; a second SIGTERM changes nothing, since orchestrators send it twice.
    """
    _deferral.is_open = True
    try:
        yield
    finally:
        _deferral.is_open = False
    if _deferral.waiting is not None:
        _leave(_deferral.waiting, "when the commit was done")


def terminate(signum: int, _frame: FrameType | None = None) -> None:
    """Leave with the code of the signal: a cut run is never a success.

    The SDK's own handlers exit 0 (https://github.com/meltano/sdk/issues/3775).
    """
    _deferral.is_heard = True
    if not _deferral.is_open:
        _leave(signum, "before the end")
    elif _deferral.waiting is None:
        _wait(signum)
    elif signum == signal.SIGINT:
        _leave(signum, "in the middle of a commit")


def _end(signum: int) -> None:
    """Leave without the main thread, which waits for an answer that does not come."""
    _say(f"Stopped by {signal.Signals(signum).name} while something did not answer.")
    os._exit(128 + signum)


def _wait(signum: int) -> None:
    _deferral.waiting = signum
    _say(f"{signal.Signals(signum).name}: the commit under way ends first.")
    _leave_after(GRACE_SECONDS, signum)


def _leave(signum: int, when: str) -> t.NoReturn:
    _deferral.waiting = None
    # Python drops an exception that a signal raises inside a finaliser or an import
    # from C, and the process would read on: say it again until it is heard.
    _leave_after(REPEAT_SECONDS, signum)
    _say(f"Stopped by {signal.Signals(signum).name} {when}.")
    raise SystemExit(128 + signum)


def _leave_after(seconds: float, signum: int) -> None:
    def leave(*_: t.Any) -> t.NoReturn:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_SECONDS)


def _say(what: str) -> None:
    logs.write_at_once(logging.WARNING, what, __name__)
