"""Several connections read one table: the same rows, of one moment."""

from __future__ import annotations

import contextlib
import logging
import threading

import pyarrow.parquet as pq
import pytest
from dativo_core.errors import ConfigurationError
from dativo_core.sql import reading
from tap_postgres import connection
from tap_postgres.client import Client
from tap_postgres.connections import Connections

ROWS = 2_000
FIRST = 10_000
TABLE = f"""
CREATE TABLE t (id int PRIMARY KEY, v bigint NOT NULL, pad text);
INSERT INTO t SELECT i, 100, rpad('', 100, 'x') FROM generate_series(1, {ROWS}) i;
ANALYZE t;
"""


def without_version(states):
    """Return states without what no two loads share."""
    loads = [state["bookmarks"]["public-t"].get("full_table", {}) for state in states]
    return [{**load, "version": 0, "horizon": 0} for load in loads]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_chunks_come_as_from_one_connection(source, count):
    """The same rows in the same order, and the same states between them."""
    source.sql(TABLE)
    expected = source.run()

    found = source.run(parallel_chunks=count)

    assert found.records == expected.records
    assert without_version(found.states) == without_version(expected.states)
    assert len(found.states) > 10
    assert found.state == expected.state


def test_a_small_table_takes_one_connection(source, monkeypatch):
    """As many as its chunks, whatever the setting allows."""
    counts = []
    snapshot = Connections.snapshot

    def counted(self, count):
        counts.append(count)
        return snapshot(self, count)

    monkeypatch.setattr(Connections, "snapshot", counted)
    source.sql("CREATE TABLE s (id int PRIMARY KEY)", "INSERT INTO s VALUES (1)")
    source.sql("ANALYZE s", "CREATE TABLE u (id int PRIMARY KEY)", TABLE)

    source.run(parallel_chunks=4)

    # Nobody knows how large `u` is, which was never analysed.
    assert counts == [1, 4, 4]


def test_files_come_as_from_one_connection(source, tmp_path):
    """A file ends where a STATE covers it."""
    source.sql(TABLE)
    batches = {
        "encoding": {"format": "parquet"},
        "storage": {"root": str(tmp_path)},
        "batch_size": 300,
    }

    found = source.run(parallel_chunks=2, batch_config=batches)

    assert len(found.of("BATCH")) == len(found.states) - 1 > 3
    assert found.records == []


def test_large_files_are_read_in_small_chunks(source, tmp_path, monkeypatch):
    """What waits for its turn is a chunk, not a file."""
    monkeypatch.setattr(reading, "AHEAD_ROWS", 100)
    source.sql(TABLE)
    batches = {
        "encoding": {"format": "parquet"},
        "storage": {"root": str(tmp_path)},
        "batch_size": 500,
    }

    found = source.run(parallel_chunks=2, batch_config=batches)

    assert len(found.of("BATCH")) == 4
    files = [m["manifest"][0].removeprefix("file://") for m in found.of("BATCH")]
    ids = [i for file in files for i in pq.read_table(file)["id"].to_pylist()]
    assert ids == list(range(1, ROWS + 1))


@contextlib.contextmanager
def writer(source):
    """Move amounts between rows, and a row between pages, until the block is over."""
    is_over = threading.Event()
    moved = [0]

    def move():
        with source.session() as execute:
            while not is_over.is_set():
                [number] = moved
                one = 1 + 7 * number % ROWS
                execute("BEGIN")
                execute(f"UPDATE t SET v = v - 1 WHERE id = {one}")
                execute(f"UPDATE t SET v = v + 1 WHERE id = {ROWS + 1 - one}")
                execute(f"DELETE FROM t WHERE id = {FIRST + number}")
                execute(f"INSERT INTO t VALUES ({FIRST + number + 1}, 0, '')")
                execute("COMMIT")
                moved[0] += 1

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield moved
    finally:
        is_over.set()
        thread.join()


def test_all_connections_see_one_moment(source):
    """While rows change, come and go, each run reads what was true at one time."""
    source.sql(TABLE, f"INSERT INTO t VALUES ({FIRST}, 0, '')")
    source.sql("ANALYZE t")
    with writer(source) as moved:
        runs = []
        for _ in range(5):
            before = moved[0]
            runs.append(source.run(parallel_chunks=2))
            assert moved[0] > before

    for run in runs:
        assert len(run.states) > 10
        assert len(run.records) == ROWS + 1
        assert sum(run.values("v")) == 100 * ROWS


@pytest.mark.parametrize("chunk", [0, 3])
def test_a_load_resumes_after_chunks_that_were_read_at_once(source, chunk):
    """STATE is the end of a prefix: what other connections had read comes again."""
    source.sql(TABLE)
    first = source.run(parallel_chunks=3).until_state(chunk)
    source.sql("UPDATE t SET v = 7 WHERE id % 5 = 0")

    second = source.run(state=first.state, parallel_chunks=3)

    held = {r["id"]: r["v"] for run in (first, second) for r in run.records}
    assert held == dict(source.database.query("SELECT id, v FROM t"))
    assert len(first.records) + len(second.records) < ROWS + ROWS // 2


def test_a_failure_on_another_connection_stops_the_run(source):
    """With its own words, and no thread or transaction left behind."""
    source.sql(TABLE)
    clause = [f"1 / (id - {ROWS}) < 2"]
    before = threading.active_count()

    with pytest.raises(ConfigurationError, match="division by zero"):
        source.run(
            parallel_chunks=3,
            stream_options={"public-t": {"custom_where_clauses": clause}},
        )

    assert threading.active_count() == before
    query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"
    assert source.database.query(query) == [(0,)]


def test_a_statement_can_be_cancelled_from_another_thread(source):
    """So that a run that ends does not wait for what nobody needs."""
    settings = {**source.config, "ssl_enable": False}
    place = connection.conninfo(settings, connection.PrivateFolder())
    client = Client(place, "here", logging.getLogger())
    failures = []

    def wait():
        try:
            with client.transaction():
                client.ask("SELECT pg_sleep(500)")
        except Exception as error:  # noqa: BLE001 looked at below
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(500)%'"
    while source.database.query(query) == [(1,)]:
        pass
    client.cancel()
    thread.join(60)

    assert not thread.is_alive()
    assert "cancel" in str(failures[0])
    client.close()


def test_a_connection_in_which_another_thread_is_stuck_is_left_alone(source):
    """It is not rolled back, nor closed: libpq serves one thread at a time."""
    settings = {**source.config, "ssl_enable": False}
    place = connection.conninfo(settings, connection.PrivateFolder())
    client = Client(place, "here", logging.getLogger())
    begun, leave = threading.Event(), threading.Event()

    def get_stuck():
        reading = client.read("SELECT 1 AS one", "Reading")
        next(reading)
        begun.set()
        leave.wait()
        reading.close()

    thread = threading.Thread(target=get_stuck)
    with client.transaction():
        thread.start()
        begun.wait()
    with client.transaction():
        assert client.ask("SELECT 2") == [(2,)]
        sessions = source.database.query(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' "
            "AND application_name = 'tap-postgres' AND datname = current_database()"
        )
    leave.set()
    thread.join()
    client.close()

    assert sessions == [(2,)]
