"""Several tables at once: the rows and states of one after the other, interleaved."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict

import pyarrow.parquet as pq
import pytest
from dativo_core.errors import ConfigurationError, ExitCode

COUNTS = {"public-a": 900, "public-b": 650, "public-c": 300, "public-d": 0}
NO_KEY, VIEW = "public-nokey", "public-view"
NAMES = sorted([*COUNTS, NO_KEY, VIEW])


@pytest.fixture
def tables(source):
    """Tables of all kinds; return a catalog: `b` and `c` are incremental."""
    for stream, count in COUNTS.items():
        name = stream.removeprefix("public-")
        source.sql(
            f"CREATE TABLE {name} (id int PRIMARY KEY, v text)",
            f"INSERT INTO {name} SELECT i, '{name} ' || i"
            f" FROM generate_series(1, {count}) i",
            f"ANALYZE {name}",
        )
    source.sql(
        "CREATE TABLE nokey AS SELECT * FROM a",
        "CREATE VIEW view AS SELECT * FROM c",
    )
    catalog = source.discover()
    for entry in catalog["streams"]:
        if entry["tap_stream_id"] in {"public-b", "public-c"}:
            entry |= {"replication_method": "INCREMENTAL", "replication_key": "id"}
    return catalog


def told(run, stream):
    """Return what a run says of one stream, without what no two runs share."""
    said = []
    for message in run.messages:
        if message.get("stream") == stream:
            shown = {**message, "time_extracted": 0}
            said.append({**shown, "version": 0} if "version" in message else shown)
    return said


def bookmarks(state):
    """Return how far streams are, without what no two runs share."""
    return {
        name: (found.get("replication_key_value"), found.get("full_table"))
        for name, found in state["bookmarks"].items()
    }


@pytest.mark.parametrize("settings", [{}, {"parallel_chunks": 2}])
def test_streams_say_what_they_say_alone(source, tables, settings):
    """Message for message; only the streams are interleaved."""
    alone = source.run(tables)

    together = source.run(tables, parallel_tables=3, **settings)

    for name in NAMES:
        assert told(together, name) == told(alone, name)
    assert bookmarks(together.state) == bookmarks(alone.state)
    assert together.messages[-1]["type"] == "STATE"
    order = [m["stream"] for m in together.of("RECORD")]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    assert changes > len(NAMES)


def test_every_state_is_right_for_every_stream(source, tables):
    """No row lies between a stream's bookmark and another stream's STATE."""
    run = source.run(tables, parallel_tables=4)

    since, finished = set(), set()
    begun = defaultdict(int)
    for message in run.messages[:-1]:
        if message["type"] == "STATE":
            assert len(since) <= 1
            since = set()
            unfinished = message["value"]["currently_syncing"]
            assert begun[unfinished] < 2 or unfinished not in finished
        elif message["type"] == "RECORD":
            since.add(message["stream"])
        elif message["type"] == "ACTIVATE_VERSION":
            begun[message["stream"]] += 1
            if begun[message["stream"]] == 2:
                finished.add(message["stream"])
    assert "currently_syncing" not in run.state


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_run_that_is_cut_goes_on(source, tables, share):
    """What a STATE covers and what comes after it are everything."""
    run = source.run(tables, parallel_tables=3)
    at = int(len(run.messages) * share)
    last = max(i for i in range(at) if run.messages[i]["type"] == "STATE")
    first = type(run)(run.messages[: last + 1])
    state = run.messages[last]["value"]
    assert state["currently_syncing"]

    second = source.run(tables, state, parallel_tables=3)

    for name, count in COUNTS.items():
        ids = [
            record["record"]["id"]
            for part in (first, second)
            for record in part.of("RECORD")
            if record["stream"] == name
        ]
        assert set(ids) == set(range(1, count + 1))
        if name in {"public-b", "public-c"}:
            # A scan that goes on begins at the value that it had reached.
            assert len(ids) - count in {0, 1}


def test_files_are_named_by_their_streams(source, tables, tmp_path):
    """BATCH messages and their states are interleaved as rows are."""
    batches = {
        "encoding": {"format": "parquet"},
        "storage": {"root": str(tmp_path)},
        "batch_size": 100,
    }

    run = source.run(tables, parallel_tables=3, batch_config=batches)

    counts = defaultdict(int)
    for message in run.of("BATCH"):
        [url] = message["manifest"]
        path = url.removeprefix("file://")
        counts[message["stream"]] += pq.read_metadata(path).num_rows
    expected = {name: count for name, count in COUNTS.items() if count}
    assert counts == {**expected, NO_KEY: 900, VIEW: 300}


def test_stream_maps_work_on_every_thread(source, tables):
    """Each stream has a mapper of its own."""
    maps = {name: {"v": "v.upper()", "n": "id * 2"} for name in NAMES}

    run = source.run(tables, parallel_tables=4, stream_maps=maps)

    assert len(run.records) == sum(COUNTS.values()) + 1_200
    assert all(r["v"].isupper() and r["n"] == 2 * r["id"] for r in run.records)


def test_a_failure_ends_the_run_with_its_own_words(source, tables):
    """No thread and no transaction stays behind."""
    clauses = {"public-c": {"custom_where_clauses": ["1 / (id - 299) < 2"]}}
    before = threading.active_count()

    with pytest.raises(ConfigurationError, match=r"public-c.*division by zero"):
        source.run(tables, parallel_tables=3, stream_options=clauses)

    assert threading.active_count() == before
    query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"
    assert source.database.query(query) == [(0,)]


@pytest.fixture(params=["parallel_tables", "parallel_chunks"])
def flood(source, tmp_path, request):
    """A process that has much to write, and waits for its reader."""
    source.sql(
        *(
            f"CREATE TABLE t{n} AS SELECT i AS id, repeat('x', 500) AS v"
            " FROM generate_series(1, 40000) i"
            for n in range(3)
        )
    )
    path = tmp_path / "config.json"
    settings = {request.param: 3, "state_interval_rows": 5_000}
    path.write_text(json.dumps({**source.config, **settings}))
    command = [sys.executable, "-m", "tap_postgres", "--config", str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        for line in process.stdout:
            if b'"RECORD"' in line:
                break
        yield process
        process.kill()


def test_a_signal_ends_all_threads(flood):
    """Also while the reader of the output does not read."""
    os.kill(flood.pid, signal.SIGTERM)

    assert flood.wait(60) == 128 + signal.SIGTERM
    said = flood.stderr.read().decode()
    assert "Fatal" not in said
    assert "Traceback" not in said


def test_a_closed_pipe_ends_all_threads(flood):
    """With the code that tells so."""
    flood.stdout.close()

    assert flood.wait(60) == ExitCode.TRY_LATER
    assert "closed the pipe" in flood.stderr.read().decode()
