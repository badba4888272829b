"""A connection closes in order, whoever leaves it and when."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading

import pytest
from tap_postgres import connection
from tap_postgres.client import Client
from tap_postgres.handles import Handles

MANY = "SELECT repeat('x', 1000) AS v FROM generate_series(1, 100000)"
SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'tap-postgres' AND datname = current_database()
"""


@pytest.fixture
def conninfo(source):
    """How to reach the server."""
    return connection.conninfo(source.config, connection.PrivateFolder())


def in_transaction(client):
    """Read in a transaction, as streams do."""
    with client.transaction():
        yield from client.read(MANY, "Reading")


def sessions_end(source):
    """Tell whether the server soon has none of them any more."""
    return any(source.database.query(SESSIONS) == [(0,)] for _ in range(2_000))


def test_a_client_that_nobody_has_any_more_closes_while_it_reads(source, conninfo):
    """Its parts lie in a cycle, so that Python finds them in any order."""
    client = Client(conninfo, "here", logging.getLogger("test"))
    reading = in_transaction(client)
    next(reading)
    cycle = [client, reading]
    cycle.append(cycle)
    assert source.database.query(SESSIONS) == [(1,)]

    del client, reading, cycle
    gc.collect()

    assert sessions_end(source)


def test_a_client_closes_although_somebody_reads(source, conninfo):
    """And who reads finds no trouble in leaving afterwards."""
    client = Client(conninfo, "here", logging.getLogger("test"))
    reading = in_transaction(client)
    next(reading)

    client.close()
    reading.close()

    assert sessions_end(source)


LEFT_OPEN = f"""
import logging, sys
from tap_postgres.client import Client
client = Client(sys.stdin.read(), "here", logging.getLogger())
def read():
    with client.transaction():
        yield from client.read({MANY!r}, "Reading")
reading = read()
next(reading)
"""


def test_a_process_that_ends_while_it_reads_says_nothing(conninfo):
    """As after a failure that somebody still holds."""
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN],
        input=conninfo,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


class Closed:
    """A handle that tells when it closes."""

    def __init__(self, name, log):
        self.name = name
        self.log = log

    def close(self):
        """Close it."""
        self.log.append(self.name)
        if self.name.startswith("bad"):
            raise RuntimeError(self.name)


def test_the_last_closes_first_and_a_failure_stops_no_other():
    """Each once, also if a block ends later."""
    log = []
    handles = Handles()
    with handles.closing(Closed("a", log)):
        handles.add(Closed("bad", log))
        handles.add(Closed("c", log))
        with pytest.raises(RuntimeError, match="bad"):
            handles.close()
    handles.close()

    assert log == ["c", "bad", "a"]


def test_what_another_thread_uses_is_left_alone():
    """Until that thread is gone."""
    log = []
    handles = Handles()
    handles.add(Closed("a", log))
    begun, leave = threading.Event(), threading.Event()

    def reading():
        with handles.used():
            yield

    def use():
        next(kept)
        begun.set()
        leave.wait()

    kept = reading()
    thread = threading.Thread(target=use)
    thread.start()
    begun.wait()
    handles.close()
    assert log == []

    leave.set()
    thread.join()
    handles.close()
    assert log == ["a"]
