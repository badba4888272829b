"""Several connections at once: the same rows, of one moment, in the same order."""

from __future__ import annotations

import logging
import threading

import pytest
from dativo_sandbox.tap_runs import captured

TABLE = """
CREATE TABLE t (a int, id int, v text, PRIMARY KEY (a, id));
INSERT INTO t SELECT seq % 7, seq, CONCAT('v', seq) FROM seq_1_to_2000;
ANALYZE TABLE t
"""


def test_chunks_come_in_the_order_of_the_key(source):
    """Whatever connection has read them, and with the states of one connection."""
    source.sql(TABLE)
    alone = source.run()

    together = source.run(parallel_chunks=3)

    assert together.records == alone.records
    afters = [
        [
            state["bookmarks"][source.stream("t")].get("full_table", {}).get("after")
            for state in run.states
        ]
        for run in (alone, together)
    ]
    assert afters[0] == afters[1]
    assert len(together.states) > 15


def test_chunks_are_planned_on_one_connection(source):
    """Each of them takes a question, and none takes a login."""
    source.sql(TABLE)
    tap = source.tap(parallel_chunks=2)
    [[_, before]] = source.database.query("SHOW STATUS LIKE 'Connections'")

    captured(tap.sync_all)

    [[_, after]] = source.database.query("SHOW STATUS LIKE 'Connections'")
    assert int(after) - int(before) < 8


@pytest.mark.parametrize("chunk", [0, 18])
def test_a_load_goes_on_with_other_connections(source, chunk):
    """A marker means the same, however many read."""
    source.sql(TABLE)
    whole = source.run(parallel_chunks=2)
    first = whole.until_state(chunk)

    for parallel in (1, 3):
        second = source.run(state=first.state, parallel_chunks=parallel)
        assert [*first.values("id"), *second.values("id")] == whole.values("id")


def test_all_see_one_moment(source):
    """While others move a unit from row to row, the sum stays what it is."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n int)",
        "INSERT INTO t SELECT seq, 100 FROM seq_1_to_1000",
        "ANALYZE TABLE t",
    )
    stop = threading.Event()

    def move():
        connection = source.database.connect()
        with connection, connection.cursor() as cursor:
            step = 0
            while not stop.is_set():
                step += 1
                one, other = step * 37 % 1000 + 1, step * 151 % 1000 + 1
                cursor.execute(f"UPDATE t SET n = n - 1 WHERE id = {one}")
                cursor.execute(f"UPDATE t SET n = n + 1 WHERE id = {other}")
                connection.commit()

    mover = threading.Thread(target=move)
    mover.start()
    try:
        runs = [source.run(parallel_chunks=3) for _ in range(3)]
    finally:
        stop.set()
        mover.join()

    assert [sum(run.values("n")) for run in runs] == [100_000] * 3
    assert runs[0].values("n") != runs[-1].values("n")


def test_without_a_grant_one_connection_reads(source, caplog):
    """The load is right all the same, and a warning says why it is slow."""
    source.sql(
        TABLE,
        "CREATE OR REPLACE USER lone IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON `{source.database.name}`.* TO lone",
    )
    with caplog.at_level(logging.WARNING):
        run = source.run(parallel_chunks=2, user="lone", password="secret")
    source.sql("DROP USER lone")

    assert len(run.records) == 2000
    assert "is read on one connection" in caplog.text


def test_who_writes_and_does_not_commit_is_not_waited_for_long(source, caplog):
    """One connection reads then, and sees nothing of it."""
    source.sql(TABLE)
    with source.session() as other, caplog.at_level(logging.WARNING):
        other("BEGIN")
        other("UPDATE t SET v = 'open' WHERE id = 1")
        run = source.run(parallel_chunks=2)

    assert "open" not in run.values("v")
    assert len(run.records) == 2000
    assert "could not be locked for a moment" in caplog.text


def test_tables_are_read_beside_each_other(source):
    """Each is whole, and the last state covers all."""
    source.sql(
        *(
            f"CREATE TABLE t{n} (id int PRIMARY KEY, v int); "
            f"INSERT INTO t{n} SELECT seq, {n} FROM seq_1_to_300"
            for n in range(5)
        )
    )

    run = source.run(parallel_tables=3)

    for n in range(5):
        of_table = [
            message["record"]["id"]
            for message in run.of("RECORD")
            if message["stream"] == source.stream(f"t{n}")
        ]
        assert sorted(of_table) == list(range(1, 301))
    assert set(run.state["bookmarks"]) == {source.stream(f"t{n}") for n in range(5)}


def test_a_failure_of_one_connection_stops_all(source):
    """And says what it was."""
    source.sql(TABLE)
    options = {
        source.stream("t"): {
            "custom_where_clauses": [
                "id < 1500 OR (SELECT 1 UNION SELECT 2) = 1",
            ]
        }
    }

    with pytest.raises(Exception, match="more than 1 row"):
        source.run(parallel_chunks=3, stream_options=options)
