"""Child processes on loopback that are ready when they say so and die with us."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t

from dativo_sandbox import launcher
from dativo_sandbox.errors import ServerStartError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"
# Ports and companions lie below those that kernels give to outgoing connections.
_PORTS = range(10_240, 20_240)
_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0
_TAIL_LINES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """A system user that a server runs as."""

    user: int
    group: int


def companion(port: int) -> int:
    """Say where a server on this port may also listen, for gRPC."""
    return port + 10_000


def free_ports(count: int) -> list[int]:
    """Choose ports that are free, and whose companions are."""
    candidates = random.sample(_PORTS, len(_PORTS))
    free = (p for p in candidates if _is_free(p) and _is_free(companion(p)))
    return list(itertools.islice(free, count))


def free_port() -> int:
    """Choose one free port."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


class ServerProcess:
    """A program in a process group of its own, its output in a log file.

    Started from the main thread, it also dies when this process is killed; started
    from another thread it must not, for Linux would stop it as that thread ends.

    Args:
        name: What to call the program in messages.
        arguments: The program, by absolute path, and its arguments.
        log: The file that receives what it prints.
        environment: The variables it sees, by default those of this process.
        account: The user to run as, by default that of this process.
        stop_signal: What asks it to stop, before it is killed.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._name = name
        self._arguments = arguments
        self._log = log
        self._environment = environment
        self._account = account
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id, while it runs."""
        if self._child is None:
            msg = f"{self._name} is not running."
            raise RuntimeError(msg)
        return self._child.pid

    def start(
        self,
        is_ready: Callable[[], bool],
        *,
        timeout_seconds: float = 30.0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start the program and return once it is ready.

        Raises:
            ServerStartError: It ended, or was not ready in time; it is stopped then.
        """
        self._child = self._spawn()
        try:
            self._await(self._child, is_ready, timeout_seconds, wait)
        except BaseException:
            self.stop()
            raise

    def stop(self, timeout_seconds: float = _STOP_SECONDS) -> None:
        """Ask the program to end, and kill its process group if it does not."""
        child, self._child = self._child, None
        if child is None:
            return
        child.send_signal(self._stop_signal)
        try:
            child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._kill(child)

    def _kill(self, child: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._log.touch(mode=0o600)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*self._launcher(), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._log.parent,
                env=self._environment,
                start_new_session=True,
            )

    def _launcher(self) -> list[str]:
        account = self._account or Account(-1, -1)
        is_main = threading.current_thread() is threading.main_thread()
        tie = self._stop_signal if is_main else 0
        words = (account.user, account.group, os.getpid(), int(tie))
        return [sys.executable, "-I", "-S", launcher.__file__, *map(str, words)]

    def _await(
        self,
        child: subprocess.Popen[bytes],
        is_ready: Callable[[], bool],
        timeout_seconds: float,
        wait: Callable[[float], None],
    ) -> None:
        deadline = time.monotonic() + timeout_seconds
        while child.poll() is None:
            if is_ready():
                return
            if time.monotonic() > deadline:
                break
            wait(_POLL_SECONDS)
        status = child.poll()
        late = f"was not ready after {timeout_seconds:g} s"
        what = late if status is None else f"ended with status {status}"
        msg = f"{self._name} {what}. The end of its log:\n{self._tail()}"
        raise ServerStartError(msg)

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (nothing)"
