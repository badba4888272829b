"""Commits to real Iceberg tables, read back by PyIceberg and by DuckDB."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa
import pytest
from dativo_core.errors import FencedError, TryLaterError
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    ServiceUnavailableError,
)
from sqlalchemy.exc import OperationalError
from target_parquet_iceberg import staging
from target_parquet_iceberg.catalogs import open_catalog, properties
from target_parquet_iceberg.iceberg import IcebergWarehouse
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.snapshots import CostRule, SnapshotWriter
from target_parquet_iceberg.table import Commit

KEYED = {"id": {"type": "integer"}, "v": {"type": ["string", "null"]}}
DELETES_ONLY = CostRule(small_bytes=0, hit_ratio=1.0)
REWRITES_ONLY = CostRule(small_bytes=2**40, all_small_bytes=2**50)


LONG = pa.int64()


def no_pause(_attempt: int) -> None:
    """Do not wait: nobody else is there."""


class Bench:
    """One stream's table, as several runs see it."""

    def __init__(self, lake, catalog=None, keys=("id",), **parts):
        schema = {"properties": parts or KEYED}
        self.lake = lake
        self.catalog = catalog or lake.catalog
        self.plan = plan(Schema("s", schema, keys), {})

    def open(self, run_id="r1"):
        return IcebergWarehouse(self.catalog, "lake", run_id, no_pause).table(self.plan)

    def commit(self, table, rows, method=Method.UPSERT, bookmark=None):
        table.commit(Commit(rows, method, self.plan.keys, bookmark))

    def content(self):
        """Return the rows, as both engines agree."""
        ours = self.lake.table("s").scan().to_arrow()
        theirs = self.lake.query("SELECT * FROM lake.s")
        mine = [
            tuple(row[name] for name in ours.column_names) for row in ours.to_pylist()
        ]
        assert sorted(mine, key=str) == sorted(theirs, key=str)
        return sorted(mine, key=str)


def kv(*pairs, kind=LONG):
    """Return rows of id and v."""
    ids, values = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return pa.table({"id": pa.array(ids, kind), "v": pa.array(values, pa.string())})


@pytest.fixture
def bench(lake):
    """A table with key `id`."""
    return Bench(lake)


@pytest.mark.parametrize("rule", [DELETES_ONLY, REWRITES_ONLY, CostRule()])
def test_upsert_hits_every_file(bench, rule, monkeypatch) -> None:
    """Keys in several files, duplicates in the batch and new keys: one row a key."""
    monkeypatch.setattr(staging, "SnapshotWriter", partial(SnapshotWriter, rule=rule))
    table = bench.open()
    bench.commit(table, kv((1, "a"), (2, "a"), (3, "a")))
    bench.commit(table, kv((4, "b"), (5, "b")))
    # The same key in two files, as an append-only past may leave it.
    bench.commit(table, kv((1, "dup"), (9, "c")), Method.APPEND)
    bench.commit(table, kv((1, "old"), (4, "new"), (1, "new"), (7, "new")))
    expected = [
        (1, "new"),
        (2, "a"),
        (3, "a"),
        (4, "new"),
        (5, "b"),
        (7, "new"),
        (9, "c"),
    ]
    assert expected == bench.content()
    assert len(bench.lake.table("s").snapshots()) == 4
    bench.commit(table, kv((1, "newest"), (2, "newest")))
    assert [(1, "newest"), (2, "newest"), *expected[2:]] == bench.content()


@settings(max_examples=8)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 6), st.sampled_from("ab"), st.text("xyz", max_size=2)
            ),
            max_size=8,
        ),
        max_size=4,
    )
)
def test_upserts_equal_a_dict(new_lake, batches) -> None:
    """Batches with composite keys leave what a dict would hold."""
    parts = {
        "id": {"type": "integer"},
        "k": {"type": "string"},
        "v": {"type": "string"},
    }
    bench = Bench(new_lake(), keys=("id", "k"), **parts)
    table, model = bench.open(), {}
    schema = pa.schema([("id", pa.int64()), ("k", pa.string()), ("v", pa.string())])
    for batch in batches:
        rows = [dict(zip(schema.names, row, strict=True)) for row in batch]
        bench.commit(table, pa.Table.from_pylist(rows, schema=schema))
        model |= {row[:2]: row for row in batch}
    assert sorted(model.values(), key=str) == bench.content()


@pytest.mark.parametrize("rule", [DELETES_ONLY, REWRITES_ONLY])
def test_evolution_and_upsert_in_one_commit(bench, rule, monkeypatch) -> None:
    """A wider key and a new column arrive with the rows that need them."""
    monkeypatch.setattr(staging, "SnapshotWriter", partial(SnapshotWriter, rule=rule))
    narrow = {**KEYED, "id": {"type": "integer", "minimum": 0, "maximum": 9}}
    bench = Bench(bench.lake, **narrow)
    table = bench.open()
    bench.commit(table, kv((1, "a"), (2, "a"), kind=pa.int32()))
    wide = kv((2, "b"), (2**40, "b")).append_column("n", pa.array([1.5, None]))
    bench.commit(table, wide)
    assert bench.content() == [(1, "a", None), (2**40, "b", None), (2, "b", 1.5)]
    assert len(bench.lake.table("s").snapshots()) == 2
    bench.commit(table, kv((2, "c"), kind=pa.int32()))
    assert bench.content() == [(1, "a", None), (2**40, "b", None), (2, "c", None)]


def test_overwrite_replaces_all_files_in_one_snapshot(bench) -> None:
    """Also with nothing, and also where there is nothing."""
    table = bench.open()
    bench.commit(table, None, Method.OVERWRITE)
    bench.commit(table, kv((1, "a")), Method.APPEND)
    bench.commit(table, kv((2, "b")), Method.APPEND)
    bench.commit(table, kv((3, "c")), Method.OVERWRITE)
    assert bench.content() == [(3, "c")]
    bench.commit(table, None, Method.OVERWRITE)
    assert bench.content() == []
    assert len(bench.lake.table("s").snapshots()) == 5


def test_properties_and_summary(bench) -> None:
    """The bookmark, run and sequence are in the table, the run in the summary."""
    table = bench.open("run-7")
    bench.commit(table, kv((1, "a")), bookmark={"b": 1, "a": "é"})
    bench.commit(table, None, bookmark={"b": 2})
    stored = bench.lake.table("s")
    names = ("dativo.state", "dativo.run-id", "dativo.sequence", "dativo.stream")
    assert [stored.properties[n] for n in names] == ['{"b": 2}', "run-7", "2", "s"]
    summary = stored.current_snapshot().summary.additional_properties
    assert (summary["dativo.run-id"], summary["dativo.sequence"]) == ("run-7", "2")
    assert bench.content() == [(1, "a")]


@pytest.mark.parametrize("rows", [kv((2, "b")), None])
@pytest.mark.parametrize("method", [Method.APPEND, Method.UPSERT, Method.OVERWRITE])
def test_second_run_is_fenced(bench, rows, method) -> None:
    """Of two runs that opened a table, the slower one stores nothing."""
    first, second = bench.open("r1"), bench.open("r2")
    bench.commit(first, kv((1, "a")), bookmark={"v": 1})
    before = bench.lake.data_files()
    with pytest.raises(FencedError, match="run r1 has committed"):
        bench.commit(second, rows, method, bookmark={"v": 2})
    assert bench.content() == [(1, "a")]
    assert before == bench.lake.data_files()
    bench.commit(first, kv((3, "c")), bookmark={"v": 3})
    assert bench.lake.table("s").properties["dativo.state"] == '{"v": 3}'


@pytest.mark.parametrize("step", range(1, 3))
def test_fence_sees_bookmarks_without_rows(bench, step) -> None:
    """A run that stored only a bookmark fences the other all the same."""
    first, second = bench.open("r1"), bench.open("r2")
    bench.commit(first, None, bookmark={"v": 1})
    if step == 2:
        bench.commit(first, None, bookmark={"v": 2})
    with pytest.raises(FencedError):
        bench.commit(second, None, bookmark={"v": 9})
    with pytest.raises(FencedError):
        bench.commit(second, kv((2, "b")))
    assert bench.content() == []


@pytest.mark.filterwarnings("ignore:Parquet writer option")  # it has no bloom filters
def test_foreign_commits_are_survived(bench) -> None:
    """Appends and compactions by others between two commits disturb nobody."""
    table = bench.open()
    bench.commit(table, kv((1, "a"), (2, "a")))
    bench.lake.table("s").append(kv((5, "foreign")))
    bench.commit(table, kv((2, "b")))
    foreign = bench.lake.table("s")
    foreign.overwrite(foreign.scan().to_arrow())
    bench.commit(table, kv((5, "ours"), (6, "ours")))
    assert bench.content() == [(1, "a"), (2, "b"), (5, "ours"), (6, "ours")]
    referred = {
        task.file.file_path for task in bench.lake.table("s").scan().plan_files()
    }
    on_disk = {f"file://{path}" for path in bench.lake.data_files()}
    assert referred <= on_disk


def test_table_of_somebody_else_keeps_its_retry_setting_and_is_fenced(bench) -> None:
    """A table that PyIceberg made, with its own retries on, is fenced too."""
    bench.catalog.create_namespace("lake")
    schema = pa.schema([("id", pa.int64()), ("v", pa.string())])
    bench.catalog.create_table("lake.s", schema)
    first, second = bench.open("r1"), bench.open("r2")
    bench.commit(first, kv((1, "a")), Method.APPEND)
    with pytest.raises(FencedError):
        bench.commit(second, kv((2, "b")), Method.APPEND)
    assert bench.content() == [(1, "a")]


class Faulty(SqlCatalog):
    """A catalog that answers some commits with an error, before or after they land."""

    faults: tuple[tuple[str, Exception], ...] = ()

    def commit_table(self, table, requirements, updates):
        if not self.faults:
            return super().commit_table(table, requirements, updates)
        (when, error), *rest = self.faults
        self.faults = tuple(rest)
        if when == "late":
            self.late = (table, requirements, updates)
        if when == "after":
            super().commit_table(table, requirements, updates)
        raise error

    def load_table(self, identifier):
        late, self.late = getattr(self, "late", None), None
        if late and self.is_late:
            super().commit_table(*late)
        return super().load_table(identifier)

    is_late = False


LOCKED = OperationalError("UPDATE", {}, Exception("database is locked"))
UNKNOWN = CommitStateUnknownException("502")
FAULTS = {
    "refused": [("before", CommitFailedException("no"))],
    "refused twice": [("before", CommitFailedException("no"))] * 2,
    "landed, unknown": [("after", UNKNOWN)],
    "landed, refused": [("after", CommitFailedException("a proxy sent it twice"))],
    "landed, timeout": [("after", TimeoutError("read"))],
    "lost, timeout": [("before", TimeoutError("read"))],
    "lost, reset": [("before", ConnectionResetError("reset"))],
    "lost, 503": [("before", ServiceUnavailableError("503"))],
    "locked": [("before", LOCKED)],
    "lost, then refused, then landed": [
        ("before", UNKNOWN),
        ("before", CommitFailedException("no")),
        ("after", UNKNOWN),
    ],
    "landed, disk full": [("after", OSError(28, "No space left"))],
}


@pytest.fixture
def faulty(lake):
    """A bench whose catalog fails on demand."""
    lake.catalog.close()
    catalog = Faulty("dativo", **properties({"warehouse": str(lake.folder)}))
    bench = Bench(lake, catalog)
    bench.commit(bench.open("r0"), kv((1, "a")), Method.APPEND)
    yield bench
    catalog.close()


@pytest.mark.parametrize("method", [Method.APPEND, Method.UPSERT, Method.OVERWRITE])
@pytest.mark.parametrize("fault", FAULTS)
def test_exactly_one_copy_whatever_the_answer(faulty, fault, method) -> None:
    """Whether a commit landed is found out, never guessed."""
    table = faulty.open()
    faulty.catalog.faults = tuple(FAULTS[fault])
    faulty.commit(table, kv((2, "b")), method)
    faulty.commit(table, kv((3, "c")), Method.APPEND)
    kept = [] if method is Method.OVERWRITE else [(1, "a")]
    assert [*kept, (2, "b"), (3, "c")] == faulty.content()


def test_commit_that_lands_late(faulty) -> None:
    """A commit that lands after it was given up is found by the next attempt."""
    table = faulty.open()
    faulty.catalog.faults = (("late", UNKNOWN),)
    faulty.catalog.is_late = True
    faulty.commit(table, kv((2, "b")), Method.APPEND)
    assert faulty.content() == [(1, "a"), (2, "b")]


def test_landed_commit_under_a_newer_run(faulty) -> None:
    """A commit that landed counts, though another run has committed on top since."""
    table, catalog = faulty.open("r1"), faulty.catalog
    original = Faulty.commit_table

    def then_another_run(self, *arguments):
        self.faults = ()
        original(self, *arguments)
        catalog.__class__.commit_table = original
        faulty.commit(faulty.open("r2"), kv((9, "z")), Method.APPEND)
        raise UNKNOWN

    Faulty.commit_table = then_another_run
    try:
        faulty.commit(table, kv((2, "b")), Method.APPEND)
    finally:
        Faulty.commit_table = original
    assert faulty.content() == [(1, "a"), (2, "b"), (9, "z")]
    with pytest.raises(FencedError):
        faulty.commit(table, kv((3, "c")), Method.APPEND)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (CommitFailedException("no"), TryLaterError),
        (OSError(28, "No space left"), OSError),
    ],
)
def test_definite_failure_leaves_no_files(faulty, error, raised) -> None:
    """Files of commits that certainly failed are deleted."""
    table = faulty.open()
    before = set(faulty.lake.folder.glob("lake/**/*.*"))
    faulty.catalog.faults = (("before", error),) * 99
    with pytest.raises(raised):
        faulty.commit(table, kv((1, "b")))
    assert before == set(faulty.lake.folder.glob("lake/**/*.*"))
    assert faulty.content() == [(1, "a")]


def test_no_answer_for_ever_is_try_later(faulty) -> None:
    """A catalog that never answers is given up; the files stay, they may be used."""
    table = faulty.open()
    before = faulty.lake.data_files()
    faulty.catalog.faults = (("before", UNKNOWN),) * 99
    with pytest.raises(TryLaterError, match="10 commits failed"):
        faulty.commit(table, kv((2, "b")))
    assert before < faulty.lake.data_files()


def test_failure_while_files_are_written(bench, monkeypatch) -> None:
    """When storage fails half way, what was written is deleted."""
    table = bench.open()
    bench.commit(table, kv((1, "a")))
    before = set(bench.lake.folder.glob("lake/**/*.*"))
    monkeypatch.setattr(
        "target_parquet_iceberg.row_delta.RowDelta._commit",
        lambda _self: (_ for _ in ()).throw(OSError("AWS Error SLOW_DOWN")),
    )
    with pytest.raises(OSError, match="SLOW_DOWN"):
        bench.commit(table, kv((1, "b")))
    monkeypatch.undo()
    assert before == set(bench.lake.folder.glob("lake/**/*.*"))
    bench.commit(table, kv((1, "c")))
    assert bench.content() == [(1, "c")]


def test_two_processes_one_table(lake, say) -> None:
    """Two runs at once: each loads everything or, fenced, nothing."""

    def run(name: str) -> subprocess.CompletedProcess[bytes]:
        messages = [
            say.schema("s", id="integer", run="string"),
            *(say.record("s", id=number, run=name) for number in range(50)),
            say.state(s={"run": name}),
        ]
        return subprocess.run(
            [sys.executable, "-m", "target_parquet_iceberg"],
            input=b"\n".join(json.dumps(m).encode() for m in messages),
            capture_output=True,
            check=False,
            cwd=lake.folder.parent,
        )

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(run, "ab"))
    codes = sorted(result.returncode for result in results)
    assert codes in ([0, 0], [0, 3]), results
    counts = lake.query(
        "SELECT run, count(*), count(DISTINCT id) FROM lake.s GROUP BY 1"
    )
    assert {(50, 50)} == {(rows, distinct) for _, rows, distinct in counts}
    assert codes.count(0) == len(counts)


def test_wal_and_busy_timeout(lake) -> None:
    """The default catalog lets several processes write at once."""
    catalog = open_catalog({"warehouse": str(lake.folder)})
    with catalog.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000
    catalog.close()
