"""Programs that a test holds at a moment, and what they leave.

No test waits for a time: programs are held by a lock of the database, a server that
does not answer, or a named pipe.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from endings import cells as matrix
from target_parquet_iceberg.catalogs import open_catalog

HELD_TARGET = Path(__file__).with_name("held_target.py")
PATIENCE_SECONDS = 240
TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
SENT = {"TERM": [TERM], "INT": [INT], "INT twice": [INT, INT], "KILL": [KILL]}
IN_COMMIT = ("writing files", "committing")
ROWS = 50_000


def cells(receiver):
    """Return the cells of one receiver; most are for `nox -s signals` only."""
    return [
        pytest.param(
            cell,
            id=cell.name,
            marks=() if matrix.is_always(cell) else pytest.mark.slow,
        )
        for cell in matrix.CELLS
        if cell.receiver == receiver
    ]


@contextlib.contextmanager
def silent_server(source):
    """Let the tap ask a server that never answers; yield what waits until it asks."""
    ordinary = source.tap["port"]
    with contextlib.ExitStack() as open_, socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        source.tap |= {"host": "127.0.0.1", "port": server.getsockname()[1]}
        yield lambda: open_.enter_context(server.accept()[0]).recv(1)
    source.tap["port"] = ordinary


@contextlib.contextmanager
def locked_table(source):
    """Let the tap wait for the rows of its table, which the block holds back."""
    with source.source.connect() as connection, connection.cursor() as cursor:
        cursor.executescript("LOCK TABLE orders")
        yield


class Held:
    """Programs that a test holds at a moment; `log` is where they say so."""

    def __init__(self, source, moment):
        self._open = contextlib.ExitStack()
        self._source = source
        self.moment = moment

    def __enter__(self):
        """Prepare what they wait for."""
        if self.moment == "idle":
            self._asked = self._open.enter_context(silent_server(self._source))
        if self.moment == "reading":
            self._open.enter_context(locked_table(self._source))
        return self

    def __exit__(self, *_):
        """Let go of everything."""
        self._open.close()

    def reach(self, tap_log, target_log):
        """Wait until they are there."""
        if self.moment == "idle":
            self._asked()
        elif self.moment == "reading":
            hear(tap_log, "Reading public-orders")
        else:
            hear(target_log, "held")

    def release(self, *, is_dead):
        """Let them go on, if they are not dead."""
        self._open.close()
        if self.moment in matrix.HELD and not is_dead:
            self._source.gate.open("w").close()


def hear(log, word):
    """Read a log up to a line with this word."""
    for said in iter(log.readline, b""):
        if word.encode() in said:
            return
    pytest.fail(f"It ended without saying {word}.")


def popen(command, **pipes):
    """Start a program that is killed if the test fails."""
    return subprocess.Popen(command, bufsize=0, **pipes)


def code(process):
    """Return the exit code as a shell would."""
    return 128 - process.returncode if process.returncode < 0 else process.returncode


def held_target(source, moment):
    """Return the command of the target that is held at the moment."""
    command = [sys.executable, HELD_TARGET, moment, source.gate]
    return command + source.target_command()[1:]


def assert_covered(source, cell, told):
    """The table has what the last STATE covers, and nothing else."""
    reached = reached_by(told[-1] if told else {})
    assert (reached > 0) == (cell.rows == "covered")
    assert stored(source) == (reached, reached, reached)


def reached_by(told):
    """Return the last row that a STATE covers; the first load of a table has parts."""
    bookmark = told.get("bookmarks", {}).get("public-orders", {})
    return int(bookmark.get("partial", {}).get("after") or 0)


def stored(source):
    """Return how many rows, how many different ones, and the last."""
    with open_catalog({"warehouse": str(source.warehouse)}) as catalog:
        if not catalog.table_exists(("lake", "public_orders")):
            return 0, 0, 0
        found = catalog.load_table(("lake", "public_orders")).scan().to_arrow()["id"]
    ids = found.to_pylist()
    return len(ids), len(set(ids)), max(ids, default=0)


def assert_completes(source):
    """The next run makes the table whole, no row twice."""
    source.run()
    assert stored(source) == (ROWS, ROWS, ROWS)
