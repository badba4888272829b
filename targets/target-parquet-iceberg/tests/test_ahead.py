"""Rows go into data files before their commit: nobody sees it, nothing changes."""

from __future__ import annotations

import functools
import threading

import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table
from target_parquet_iceberg import data_files
from target_parquet_iceberg.ahead import AheadFiles
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.snapshots import SnapshotWriter

APPEND = {"load_method": "append-only"}
COMMIT_LATE = {"commit_interval_seconds": 3600}


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Decode every record at once, and let single rows be row groups."""
    monkeypatch.setattr("target_parquet_iceberg.stream_load.LEAST_FILE_BYTES", 1)
    monkeypatch.setattr("target_parquet_iceberg.limits.LEAST_BLOCK_BYTES", 1)


@pytest.fixture
def ahead(monkeypatch):
    """How many rows each piece had that was written before its commit."""
    pieces = []
    write = AheadFiles.write

    def written(self, piece):
        pieces.append(piece.num_rows)
        write(self, piece)

    monkeypatch.setattr(AheadFiles, "write", written)
    return pieces


@pytest.fixture
def load(lake):
    """Load with next to no memory, and commit at the end only."""
    return functools.partial(lake.load, buffer_max_bytes=1, **COMMIT_LATE)


def covered(say, numbers, **more):
    """Return a record and the STATE that covers it, for each number."""
    for number in numbers:
        yield say.record("s", id=number, n=more.get("n", number))
        yield say.state(s={"v": number})


def stored(lake):
    """Return all rows, as DuckDB reads them; no file must be left over."""
    known = lake.table("s").inspect.all_files()["file_path"].to_pylist()
    names = {path.removeprefix("file://") for path in known}
    assert {str(path) for path in lake.data_files()} == names
    return lake.query("SELECT id, n FROM lake.s ORDER BY id, n")


def test_rows_are_written_before_their_commit(lake, load, say, ahead) -> None:
    """They are row groups of one file, which one commit makes part of the table."""
    schema = say.schema("s", id="integer", n="integer")
    assert load(schema, *covered(say, range(4)), **APPEND).code == 0
    assert ahead == [1, 1, 1, 1]
    assert stored(lake) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    [task] = lake.table("s").scan().plan_files()
    assert task.file.record_count == 4
    assert len(task.file.split_offsets) == 4
    assert len(lake.table("s").snapshots()) == 1


def test_rows_that_no_state_covers_go_to_disk(lake, load, say, ahead) -> None:
    """At a cut end they are left out, and come again with the next run."""
    schema = say.schema("s", ("id",), id="integer", n="integer")
    assert load(schema, say.state(s={"v": 0}), **APPEND).code == 0
    rows = [*covered(say, [1, 2]), say.record("s", id=3, n=3)]
    assert load(schema, *rows, **APPEND).code != 0
    assert ahead == [1, 1]
    assert stored(lake) == [(1, 1), (2, 2)]
    rows = [say.record("s", id=number, n=number) for number in (2, 3, 4)]
    assert load(schema, *rows, say.state(s={"v": 4}), **APPEND).code == 0
    assert stored(lake) == [(1, 1), (2, 2), (3, 3), (4, 4)]


@pytest.mark.parametrize("kind", ["integer", "string", "number"])
def test_append_leaves_out_rows_that_come_again(lake, load, say, ahead, kind) -> None:
    """From the table, and from the same commit; other rows with their key stay."""
    cast = {"integer": int, "string": str, "number": float}[kind]
    schema = say.schema("s", ("id",), id=kind, n="integer")

    def rows(*numbers, n):
        for number in numbers:
            yield say.record("s", id=cast(number), n=n)
            yield say.state(s={"v": number})

    assert load(schema, *rows(1, 2, n=1), **APPEND).code == 0
    again = [*rows(2, 3, n=1), *rows(2, 3, n=2), *rows(3, n=1)]
    assert load(schema, *again, **APPEND).code == 0
    assert ahead == [1] * 7
    expected = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert stored(lake) == [(cast(number), n) for number, n in expected]


def test_last_of_a_key_wins_in_upserts(lake, load, say, ahead) -> None:
    """Whether its rivals are in the table, in files of the commit, or in memory."""
    schema = say.schema("s", ("id",), id="integer", n="integer")
    assert load(schema, *covered(say, [1, 2, 3])).code == 0
    rows = [*covered(say, [1, 2], n=10), *covered(say, [2, 4], n=20)]
    eof = {"completion": "eof"}
    assert load(schema, *rows, say.record("s", id=1, n=30), **eof).code == 0
    assert len(ahead) == 8
    assert stored(lake) == [(1, 30), (2, 20), (3, 3), (4, 20)]


def test_full_load_waits_in_files_for_its_end(lake, load, say, ahead) -> None:
    """Cut, it leaves the old table and no file; whole, it is the table."""
    method = {"load_method": "overwrite"}
    schema = say.schema("s", id="integer", n="integer")
    assert load(schema, *covered(say, [1]), **method).code == 0
    ahead.clear()
    syncing = {"type": "STATE", "value": {"currently_syncing": "s", "bookmarks": {}}}
    rows = [say.record("s", id=2, n=2), syncing, say.record("s", id=3, n=3)]
    assert load(schema, *rows, syncing, **method).code != 0
    assert stored(lake) == [(1, 1)]
    assert load(schema, *covered(say, [2, 3]), **method).code == 0
    assert sum(ahead) == 3
    assert lake.query("SELECT id FROM lake.s ORDER BY id") == [(2,), (3,)]


def test_newer_version_deletes_the_files_of_the_older(lake, load, say, ahead) -> None:
    """A full load that begins anew has no rows of the one before it."""
    schema = say.schema("s", ("id",), id="integer", n="integer")
    first = [say.record("s", 1, id=1, n=1), say.state(s={"v": 1})]
    second = [say.record("s", 2, id=2, n=2), say.state(s={"v": 2})]
    third = [say.record("s", 2, id=2, n=3), say.state(s={"v": 3})]
    messages = [schema, *first, *second, *third, say.activate("s", 2)]
    assert load(*messages, say.state(s={})).code == 0
    assert sum(ahead) == 2
    assert stored(lake) == [(2, 3)]


def test_new_column_ends_what_is_written_ahead(lake, load, say, ahead) -> None:
    """The rows after it wait for the next STATE: its commit makes the column."""
    schema = say.schema("s", ("id",), id="integer", n="integer")
    wider = say.schema("s", ("id",), id="integer", n="integer", m="integer")
    wide = [say.record("s", id=3, n=3, m=3), say.state(s={"v": 3})]
    again = [say.record("s", id=1, n=9, m=9), say.state(s={"v": 4})]
    rows = [*covered(say, [1, 2]), wider, *wide, *again]
    assert load(schema, *rows).code == 0
    assert ahead == [1, 1, 1]
    assert len(lake.table("s").snapshots()) == 2
    assert stored(lake) == [(1, 9), (2, 2), (3, 3)]
    assert lake.query("SELECT m FROM lake.s ORDER BY id") == [(9,), (None,), (3,)]


@pytest.mark.parametrize(
    ("settings", "files"),
    [({"sort_by": ["-id"]}, [[3, 2, 1]]), ({"partition_by": ["n"]}, [[1, 3], [2]])],
    ids=["order", "partitions"],
)
def test_arranged_rows_wait_for_each_other(
    lake, load, say, ahead, settings, files
) -> None:
    """An order holds for a whole file, and a partition has one file a commit."""
    schema = say.schema("s", ("id",), id="integer", n="integer")
    rows = [*covered(say, [1, 2, 3], n=1), *covered(say, [2], n=2)]
    assert load(schema, *rows, streams={"s": settings}).code == 0
    assert ahead == [1, 1, 1, 1]
    assert stored(lake) == [(1, 1), (2, 2), (3, 1)]
    paths = sorted(lake.data_files(), key=lambda path: path.parent.name)
    found = [pq.ParquetFile(path).read(["id"])["id"].to_pylist() for path in paths]
    assert found == files


def test_failed_run_leaves_no_file(lake, load, say, ahead) -> None:
    """Too many dead letters end the run before the commit."""
    schema = say.schema("s", ("id",), id="integer", n="integer")
    rows = [*covered(say, [1, 2]), say.record("s", id="x", n=0)]
    limits = {"max_ratio": 0, "min_sample": 1, "max_records": 0}
    assert load(schema, *rows, dead_letter=limits).code == 65
    assert ahead == [1]
    assert not [path for path in lake.data_files() if "dlq" not in str(path)]


def test_fenced_run_leaves_no_file(lake, load, say, ahead, monkeypatch) -> None:
    """Another run has committed while this one was writing."""
    schema = say.schema("s", ("id",), id="integer", n="integer")
    close = AheadFiles.close

    def overtaken(self):
        close(self)
        monkeypatch.setattr(AheadFiles, "close", close)
        ahead.clear()
        assert lake.load(schema, *covered(say, [7])).code == 0

    monkeypatch.setattr(AheadFiles, "close", overtaken)
    assert load(schema, *covered(say, [1, 2])).code == 3
    assert ahead == [1]
    assert stored(lake) == [(7, 7)]


def test_commit_that_is_refused_keeps_the_files(
    lake, load, say, ahead, monkeypatch
) -> None:
    """They are part of the next attempt."""
    schema = say.schema("s", ("id",), id="integer", n="integer")
    assert load(schema, *covered(say, [1])).code == 0
    ahead.clear()
    send = SnapshotWriter.send

    def beaten(self):
        monkeypatch.setattr(SnapshotWriter, "send", send)
        with self.transaction._table.update_schema() as update:
            update.update_column("n", doc="changed by somebody else")
        send(self)

    monkeypatch.setattr(SnapshotWriter, "send", beaten)
    monkeypatch.setattr("target_parquet_iceberg.wiring.pause", lambda _: None)
    rows = [*covered(say, [1, 2], n=5), *covered(say, [1], n=6)]
    assert load(schema, *rows).code == 0
    assert sum(ahead) == 3
    assert stored(lake) == [(1, 6), (2, 5)]


def test_file_that_cannot_be_written_is_explained(lake, load, say, monkeypatch) -> None:
    """The thread's error is the run's: what to do, and no STATE."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data_files.DataFileWriter, "_write_group", full)
    schema = say.schema("s", ("id",), id="integer", n="integer")
    outcome = load(schema, *covered(say, range(5)))
    assert (outcome.code, outcome.states) == (75, [])
    assert lake.data_files() == set()


def test_next_stream_is_written_while_one_commits(lake, load, say, monkeypatch) -> None:
    """Its file is complete before the commit of the stream before it has ended."""
    done = threading.Event()
    run, commit = AheadFiles._run, Table._do_commit
    seen = []

    def counted(self):
        run(self)
        if self._writer.metadata.location.endswith("/t"):
            done.set()

    def waiting(self, *arguments, **options):
        if not seen:
            seen.append(done.wait(60))
        return commit(self, *arguments, **options)

    monkeypatch.setattr(AheadFiles, "_run", counted)
    monkeypatch.setattr(Table, "_do_commit", waiting)
    messages = [say.schema(name, ("id",), id="integer") for name in ("s", "t")]
    messages += [say.record(name, id=1) for name in ("s", "t")]
    done_state = say.state(s={"v": 1}, t={"v": 1})
    outcome = load(*messages, done_state, buffer_max_bytes=2**20)
    assert (outcome.code, seen, outcome.states) == (0, [True], [done_state["value"]])
    assert lake.query("SELECT id FROM lake.s UNION ALL SELECT id FROM lake.t") == [
        (1,),
        (1,),
    ]


def test_streams_are_uploaded_side_by_side(
    lake, load, say, seaweed, bucket_prefix, monkeypatch
) -> None:
    """Files of several streams are open while rows come for all; none gets lost."""
    open_at_once = []
    threads = []
    begin, write = AheadFiles.__init__, AheadFiles.write

    def begun(self, *arguments):
        begin(self, *arguments)
        threads.append(self._thread)

    def written(self, piece):
        write(self, piece)
        open_at_once.append(sum(thread.is_alive() for thread in threads))

    monkeypatch.setattr(AheadFiles, "__init__", begun)
    monkeypatch.setattr(AheadFiles, "write", written)
    lake.folder.mkdir()
    config = {
        "warehouse": bucket_prefix,
        "catalog": {"uri": f"sqlite:///{lake.folder}/catalog.db"},
        "storage_options": {
            "endpoint": seaweed.endpoint,
            "access_key_id": seaweed.access_key,
            "secret_access_key": seaweed.secret_key,
            "region": seaweed.region,
        },
    }
    names = ["a", "b", "c"]
    messages = [say.schema(name, ("id",), id="integer", n="integer") for name in names]
    for n in range(6):
        messages += [say.record(name, id=n % 4, n=n) for name in names]
        messages.append(say.state(**dict.fromkeys(names, n)))
    outcome = load(*messages, **config)
    assert (outcome.code, outcome.states) == (0, [messages[-1]["value"]])
    assert max(open_at_once) == len(threads) == 3
    with open_catalog(with_defaults(config)) as catalog:
        for name in names:
            table = catalog.load_table(("lake", name))
            rows = table.scan().to_arrow().sort_by("id").to_pylist()
            assert [(row["id"], row["n"]) for row in rows] == [
                (0, 4),
                (1, 5),
                (2, 2),
                (3, 3),
            ]
            assert len(table.snapshots()) == 1


def test_largest_stream_gives_first(lake, load, say, ahead) -> None:
    """One limit holds for all streams together."""
    messages = [say.schema(n, ("id",), id="string") for n in ("small", "large")]
    messages += [say.record("small", id="1"), say.record("large", id="x" * 5000)]
    state = say.state(small={"v": 1}, large={"v": 1})
    assert load(*messages, state, say.record("small", id="2"), state).code == 0
    before = ahead.copy()
    ahead.clear()
    assert load(*messages, state, state, buffer_max_bytes=4000).code == 0
    assert (before, ahead) != ([], [])
    assert lake.query("SELECT count(*) FROM lake.small") == [(2,)]
    assert lake.query("SELECT count(*) FROM lake.large") == [(1,)]
