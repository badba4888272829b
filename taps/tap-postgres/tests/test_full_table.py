"""Full loads: complete, versioned, and resumed without loss after a crash."""

from __future__ import annotations

import contextlib
import json
import logging
import threading

import pytest
from adbc_driver_manager import Error
from dativo_core.errors import TryLaterError
from dativo_core.sql import progress
from dativo_sandbox.tap_runs import captured
from tap_postgres import full_load, incremental

ROWS = 500
TABLE = f"""
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, rpad(i::text, 100) FROM generate_series(1, {ROWS}) i;
ANALYZE t;
"""


def merged(*runs):
    """Return what a target holds that keeps the last record of each key."""
    return {record["id"]: record["v"] for run in runs for record in run.records}


def table(source):
    """Return what the database holds."""
    return dict(source.database.query("SELECT id, v FROM t"))


def test_a_load_is_whole_and_its_version_is_said_before_and_after(source):
    """Every record carries the version that the first and last messages name."""
    source.sql(TABLE)

    run = source.run()

    [before, after] = run.of("ACTIVATE_VERSION")
    assert run.messages[-2:] == [after, run.of("STATE")[-1]]
    assert set(run.versions) == {before["version"]}
    assert before == after
    assert merged(run) == table(source)
    assert len(run.records) == ROWS
    assert run.state == {"bookmarks": {"public-t": {}}}


@pytest.mark.parametrize("chunk", range(4))
def test_a_load_resumes_from_every_chunk_with_what_changed_since(source, chunk):
    """Rows updated, moved and inserted between the two runs are read again."""
    source.sql(TABLE)
    first = source.run().until_state(chunk)
    assert "full_table" in first.state["bookmarks"]["public-t"]
    source.sql(
        "UPDATE t SET v = 'second ' || id WHERE id % 7 = 0",
        "INSERT INTO t SELECT i, 'new' FROM generate_series(1001, 1010) i",
        "UPDATE t SET v = repeat('x', 2000) WHERE id IN (3, 499)",
    )

    second = source.run(state=first.state)

    assert merged(first, second) == table(source)
    assert len(second.records) < ROWS + 110
    versions = {*first.versions, *second.versions}
    assert versions == {m["version"] for m in second.of("ACTIVATE_VERSION")}
    assert len(versions) == 1


def test_a_rewritten_table_is_loaded_afresh(source):
    """VACUUM FULL moves rows to other pages, so the marker is worth nothing."""
    source.sql(TABLE)
    first = source.run().until_state(1)
    source.sql("DELETE FROM t WHERE id < 300")
    source.sql("VACUUM FULL t")

    second = source.run(state=first.state)

    assert merged(second) == table(source)
    assert min(second.versions) > max(first.versions)


def test_a_transaction_open_at_the_first_run_is_seen_by_the_second(source):
    """A row written before the crash but committed after it is not lost."""
    source.sql(TABLE)
    with source.session() as other:
        other("BEGIN")
        other("UPDATE t SET v = 'late' WHERE id = 1")
        first = source.run().until_state(2)
        other("COMMIT")

    second = source.run(state=first.state)

    assert merged(first, second) == table(source)


def test_a_table_without_key_starts_over(source):
    """Without a key nobody could merge what was read twice."""
    source.sql(TABLE, "ALTER TABLE t DROP CONSTRAINT t_pkey")

    run = source.run()

    assert run.states == [{"bookmarks": {"public-t": {}}}]
    assert len(run.records) == ROWS


def test_partitions_are_read_through_their_parent(source):
    """Page ranges apply to all partitions at once."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (400)",
        "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (400) TO (9999)",
        f"INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, {ROWS}) i",
        "ANALYZE t",
    )
    first = source.run().until_state(0)

    second = source.run(state=first.state)

    assert first.records
    assert merged(first, second) == table(source)
    assert len(first.records) + len(second.records) == ROWS


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_views_are_read_at_once(source, kind):
    """A view has no pages, and a materialized one no key: neither resumes."""
    source.sql(TABLE, f"CREATE {kind} w AS SELECT id, v FROM t")

    run = source.run(source.catalog("public-w"))

    assert merged(run) == table(source)
    assert len(run.states) == 1


def test_an_empty_table_is_a_complete_load(source):
    """No rows, but proof that there are none."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")

    run = source.run()

    assert run.records == []
    assert len(run.of("ACTIVATE_VERSION")) == 2


def test_deselected_columns_are_neither_read_nor_announced(source):
    """Keys stay, whatever is deselected."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
    source.sql("INSERT INTO t VALUES (1, 2, 3)")

    run = source.run(source.catalog("public-t", deselected=["id", "a"]))

    [schema] = run.of("SCHEMA")
    assert list(schema["schema"]["properties"]) == ["id", "b"]
    assert run.records == [{"id": 1, "b": 3}]


def test_stream_maps_see_the_same_values(source):
    """The record-by-record way leaves the same records and state."""
    source.sql(TABLE)
    maps = {"public-t": {"v": "v.upper()"}}

    run = source.run(stream_maps=maps)

    assert {r["id"]: r["v"] for r in run.records} == {
        key: value.upper() for key, value in table(source).items()
    }
    assert run.state == {"bookmarks": {"public-t": {}}}
    assert len(run.of("ACTIVATE_VERSION")) == 2


FLAT = {"flattening_enabled": True, "flattening_max_depth": 5}


def test_the_sdks_own_path_writes_the_same_records(source):
    """Flattening with nothing to flatten sends every record through the SDK alone."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, big int8, n numeric(30, 4), r float8,"
        " s float4, at timestamptz, day date, flag bool, name text, doc jsonb,"
        " b bytea)",
        "INSERT INTO t VALUES (1, 9007199254740993, 1.10, 0.1, 1e10,"
        " '2024-02-29 12:00Z', '2024-02-29', true,"
        " E'é\\n\"\\\\\\u2028\\x01/', '{\"a\": [1.0, null]}', 'x'),"
        " (2, -1, 1e20, 'NaN', '-0', 'epoch', '0001-01-01', false, '', '[]', ''),"
        " (3, 0, 0, 1e300, 1.5, NULL, NULL, NULL, NULL, NULL, NULL)",
    )

    blocks, one_by_one = source.run(), source.run(**FLAT)

    assert len(blocks.records) == 3
    # The SDK escapes letters and writes 1e10 in full: bytes are those of one writer.
    assert json.dumps(one_by_one.records) == json.dumps(blocks.records)


def test_custom_where_clauses_choose_rows(source):
    """All clauses must hold; a comment in one does not hide the next."""
    source.sql(TABLE)
    clauses = ["id > 10 -- not the first", "t.id <= 12"]

    run = source.run(stream_options={"public-t": {"custom_where_clauses": clauses}})

    assert run.values("id") == [11, 12]


@pytest.mark.parametrize("change", ["column", "clause"])
def test_a_load_that_asks_for_something_else_begins_anew(source, change):
    """Its first rows would lack a column, or be those of another condition."""
    source.sql(TABLE)
    first = source.run().until_state(1)
    settings = {}
    if change == "column":
        source.sql("ALTER TABLE t ADD COLUMN n int DEFAULT 5")
    else:
        options = {"custom_where_clauses": ["id > 3"]}
        settings = {"stream_options": {"public-t": options}}
    second = source.run(state=first.state, **settings)

    assert min(second.values("id")) < 10
    assert min(second.versions) > max(first.versions)


def test_a_table_that_takes_the_place_of_another_is_read_whole(source):
    """As tools do that build a table anew, while a run is at other streams."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    tap = source.tap()
    assert list(tap.streams) == ["public-t"]
    source.sql("DROP TABLE t", TABLE)

    run = captured(tap.sync_all)

    assert merged(run) == table(source)


@pytest.mark.parametrize(
    ("module", "question", "key"),
    [(full_load, "ask_layout", None), (incremental, "ask_snapshot", "id")],
)
def test_a_table_that_is_rewritten_behind_the_snapshot_is_not_called_empty(
    source, monkeypatch, module, question, key
):
    """Between the snapshot and the first row; the run is to be tried again."""
    source.sql(TABLE)
    catalog = source.catalog("public-t", key=key)
    real, asked = getattr(module, question), []

    def ask(*arguments):
        answer = real(*arguments)
        asked.append(answer)
        if len(asked) == (2 if module is full_load else 1):
            # Who holds the table has the other one wait, and that one gives up.
            with contextlib.suppress(Error), source.session() as other:
                other("SET lock_timeout = '50ms'")
                other("ALTER TABLE t ADD COLUMN u uuid DEFAULT gen_random_uuid()")
        return answer

    monkeypatch.setattr(module, question, ask)

    with contextlib.suppress(TryLaterError):
        assert merged(source.run(catalog)) == table(source)


def test_a_view_waits_for_who_rewrites_its_table(source):
    """To a snapshot that is older than the rewriting the table would be empty."""
    source.sql(TABLE, "CREATE VIEW w AS SELECT id, v FROM t")
    stream = source.tap().streams["public-w"]
    found = []
    reader = threading.Thread(target=lambda: found.extend(stream.get_records(None)))
    with source.session() as other:
        other("BEGIN")
        other("ALTER TABLE t ADD COLUMN u uuid DEFAULT gen_random_uuid()")
        reader.start()
        while not source.database.query("SELECT FROM pg_locks WHERE NOT granted"):
            pass
        other("COMMIT")
    reader.join()

    assert {record["id"]: record["v"] for record in found} == table(source)


@pytest.mark.parametrize(
    ("key", "clauses", "words"),
    [
        (None, [], "Syncing public-t: 500 rows, "),
        (None, ["id > 0"], "Syncing public-t: 500 rows, "),
        ("id", [], "Syncing public-t: 500 rows, "),
    ],
)
def test_progress_is_told(source, caplog, monkeypatch, key, clauses, words):
    """Against the server's estimate, where all rows are read."""
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0)
    source.sql(TABLE)
    catalog = source.catalog("public-t", key=key)

    with caplog.at_level(logging.INFO):
        source.run(
            catalog, stream_options={"public-t": {"custom_where_clauses": clauses}}
        )

    told = [m for m in caplog.messages if m.startswith("Syncing ")]
    is_all = key is None and not clauses
    assert any(" of 500 rows, " in message for message in told) == is_all
    assert told[-1].startswith(words)
