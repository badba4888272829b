"""A child process is ready, fails or ends as its owner is told."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import typing as t

import pytest
from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.process import LOOPBACK, ServerProcess, companion, free_ports

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IDLE = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {IDLE}"
OWNER = """
import pathlib, signal, sys
from dativo_sandbox.process import ServerProcess
log = pathlib.Path(sys.argv[1])
process = ServerProcess("idle", [sys.executable, "-c", sys.argv[2]], log=log)
process.start(lambda: "up" in log.read_text())
print(process.pid, flush=True)
signal.pause()
"""


def _program(code: str, log: Path) -> ServerProcess:
    return ServerProcess("idle", [sys.executable, "-c", code], log=log)


def _is_up(log: Path) -> Callable[[], bool]:
    return lambda: "up" in log.read_text()


def test_ports_are_free_and_distinct() -> None:
    """Nothing listens on a chosen port or its companion."""
    ports = free_ports(8)
    every = [*ports, *map(companion, ports)]
    assert len(set(every)) == 16
    for port in every:
        with socket.socket() as listener:
            # A connection that has just ended may still have the number.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((LOOPBACK, port))


def test_stop_ends_the_process(tmp_path: Path, ends: Callable[[int], bool]) -> None:
    """A polite request suffices for a polite program."""
    process = _program(IDLE, tmp_path / "log")
    process.start(_is_up(tmp_path / "log"))
    pid = process.pid
    process.stop()
    assert ends(pid)
    with pytest.raises(RuntimeError, match="not running"):
        _ = process.pid


def test_stop_kills_what_does_not_listen(
    tmp_path: Path, ends: Callable[[int], bool]
) -> None:
    """A program that ignores SIGTERM is killed."""
    process = _program(STUBBORN, tmp_path / "log")
    process.start(_is_up(tmp_path / "log"))
    pid = process.pid
    process.stop(timeout_seconds=0.05)
    assert ends(pid)


def test_early_end_shows_the_log(tmp_path: Path) -> None:
    """The message carries the status and the program's last words."""
    process = _program("import sys; sys.exit('disk on fire')", tmp_path / "log")
    with pytest.raises(ServerStartError, match=r"status 1(.|\n)*disk on fire"):
        process.start(lambda: False)


def test_late_start_is_given_up(tmp_path: Path, ends: Callable[[int], bool]) -> None:
    """A program that never answers is stopped, and the time it had is named."""
    process = _program(IDLE, tmp_path / "log")
    pids: list[int] = []
    with pytest.raises(ServerStartError, match=r"not ready after 0\.1 s"):
        process.start(
            lambda: False,
            timeout_seconds=0.1,
            wait=lambda _: pids.append(process.pid),
        )
    assert ends(pids[0])


def test_process_dies_with_a_killed_owner(
    tmp_path: Path, ends: Callable[[int], bool]
) -> None:
    """Even kill -9 of the owner leaves no orphan."""
    command = [sys.executable, "-c", OWNER, str(tmp_path / "log"), IDLE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.send_signal(signal.SIGKILL)
    assert ends(pid)


def test_process_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """A server started by a pool's thread is not stopped as the thread ends."""
    log = tmp_path / "log"
    process = _program(IDLE, log)
    thread = threading.Thread(target=process.start, args=(_is_up(log),))
    thread.start()
    thread.join()
    with pytest.raises(subprocess.TimeoutExpired):
        process._child.wait(0.2)
    process.stop()
