"""Maintenance changes files, never rows: read by two engines before and after."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema as IcebergSchema
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType
from target_parquet_iceberg import maintenance, rewrite
from target_parquet_iceberg.bookmarks import Bookmarks
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.layout import Layout, SortKey
from target_parquet_iceberg.maintenance import Maintenance
from target_parquet_iceberg.plan import Method
from target_parquet_iceberg.policy import Policy
from target_parquet_iceberg.snapshots import SnapshotWriter
from target_parquet_iceberg.table import Commit

WITH_HISTORY = Policy(keep_snapshots=1_000)


def test_sixty_commits_leave_a_small_table(yard) -> None:
    """Files, snapshots and metadata stay bounded, and the rows are what they were."""
    table = yard.open()
    for n in range(60):
        yard.commit(table, n * 1_000, n * 1_000 + 1_000, str(n), Method.APPEND)
        if n % 20 == 19:
            before = yard.rows()
            yard.maintain()
            assert yard.rows() == before
    health = yard.health()
    assert health.rows == 60_000
    assert (health.data_files, health.manifests, health.snapshots) == (1, 1, 2)
    assert health.metadata_bytes < 30_000
    assert len(yard.files("**/data/*")) <= 25


def test_compaction_is_one_replace_snapshot(yard) -> None:
    """The operation says that no row has changed, and the totals add up."""
    table = yard.open()
    for n in range(10):
        yard.commit(table, n * 10, n * 10 + 10, "a")
    before = len(yard.table.metadata.snapshots)
    report = yard.maintain(WITH_HISTORY)
    assert (report.merged, report.written) == (10, 1)
    assert len(yard.table.metadata.snapshots) == before + 1
    summary = yard.table.current_snapshot().summary
    assert summary.operation is Operation.REPLACE
    assert summary["total-data-files"] == "1"
    assert summary["total-records"] == "100"
    assert yard.lake.query("SELECT count(*), sum(id) FROM lake.s") == [(100, 4950)]


def test_deleted_rows_stay_deleted(yard) -> None:
    """Position deletes are applied, and delete files that hide nothing are dropped."""
    table = yard.open()
    yard.commit(table, 0, 1_000, "a")
    yard.commit(table, 100, 500, "b")
    yard.commit(table, 200, 300, "c")
    assert yard.health().delete_files == 2
    before = yard.rows()
    assert len(before) == 1_000
    report = yard.maintain()
    assert report.dropped == 2
    health = yard.health()
    assert (health.rows, health.delete_files, health.deleted_rows) == (1_000, 0, 0)
    assert yard.table.current_snapshot().summary["total-position-deletes"] == "0"
    assert yard.rows() == before


def test_needed_delete_files_stay(yard) -> None:
    """A large file with few deletes is left alone, and so are its deletes."""
    table = yard.open()
    yard.commit(table, 0, 10_000, "a")
    yard.commit(table, 5, 6, "b")
    before = yard.rows()
    policy = Policy(keep_days=0, target_bytes=1, keep_snapshots=2)
    report = yard.maintain(policy)
    assert (report.merged, report.dropped) == (0, 0)
    assert yard.health(policy).delete_files == 1
    assert yard.rows() == before


def test_file_without_live_rows_goes(yard) -> None:
    """A file whose rows are all deleted is taken away and nothing is written for it."""
    table = yard.open()
    yard.commit(table, 0, 100, "a")
    yard.commit(table, 0, 100, "b")
    yard.maintain()
    health = yard.health()
    assert (health.data_files, health.delete_files, health.rows) == (1, 0, 100)
    assert {value for _, value in yard.rows()} == {"b"}


def test_schema_of_old_files_is_brought_up(yard) -> None:
    """Files from before a column came are written under today's schema."""
    table = yard.open()
    yard.commit(table, 0, 10, "a")
    rows = pa.table({"id": [100], "v": ["b"], "w": [1.5]})
    table.commit(Commit(rows, Method.UPSERT, ("id",), None))
    yard.commit(table, 20, 30, "c")
    yard.maintain()
    assert yard.health().data_files == 1
    assert yard.lake.query("SELECT count(*), count(w), max(w) FROM lake.s") == [
        (21, 1, 1.5)
    ]
    assert len(yard.table.scan(row_filter="w = 1.5").to_arrow()) == 1


@pytest.mark.parametrize("piece_rows", [1_000, 30])
def test_compacted_files_are_laid_out_as_others(yard, monkeypatch, piece_rows) -> None:
    """Sorted, with page index and bloom filters; a file says that if it is one run."""
    monkeypatch.setattr(rewrite, "CHUNK_ROWS", piece_rows)
    sort = SortKey("id", is_descending=True)
    yard.plan = replace(yard.plan, layout=Layout(sort=(sort,)))
    table = yard.open()
    for n in range(10):
        yard.commit(table, n * 10, n * 10 + 10, "a")
    before = yard.rows()
    yard.maintain()
    assert yard.rows() == before
    [task] = yard.table.scan().plan_files()
    path = task.file.file_path.removeprefix("file://")
    footer = pq.read_metadata(path)
    pieces = -(-100 // piece_rows)
    assert footer.num_row_groups == pieces
    assert (task.file.sort_order_id is not None) == (pieces == 1)
    with pq.ParquetFile(path) as file:
        for number in range(pieces):
            ids = file.read_row_group(number)["id"].to_pylist()
            assert ids == sorted(ids, reverse=True)
            assert footer.row_group(number).column(0).has_offset_index
    query = f"SELECT bloom_filter_offset FROM parquet_metadata('{path}')"
    assert yard.lake.parquet(query)[0][0] is not None


def test_load_wins_over_compaction(yard, monkeypatch) -> None:
    """A load that commits while files are rewritten is planned in, not overwritten."""
    table = yard.open()
    for n in range(10):
        yard.commit(table, n * 10, n * 10 + 10, "a")
    plain, calls = maintenance.rewrite, []

    def load_first(*arguments):
        plain(*arguments)
        [written] = arguments[-1]
        calls.append(written.file_path)
        if len(calls) == 1:
            yard.commit(table, 5, 55, "b")

    monkeypatch.setattr(maintenance, "rewrite", load_first)
    yard.maintain(WITH_HISTORY)
    assert len(calls) == 2
    assert not Path(calls[0].removeprefix("file://")).exists()
    assert [v for _, v in yard.rows()] == ["a"] * 5 + ["b"] * 50 + ["a"] * 45
    yard.commit(table, 50, 60, "c")
    assert [v for _, v in yard.rows()] == ["a"] * 5 + ["b"] * 45 + ["c"] * 10 + [
        "a"
    ] * 40


def test_load_survives_compaction(yard, monkeypatch) -> None:
    """A load whose plan names files that are gone by then plans again: no key twice."""
    table = yard.open()
    for n in range(10):
        yard.commit(table, n * 10, n * 10 + 10, "a")
    plain, reports = SnapshotWriter.commit, []

    def compact_first(self, delta, summary):
        if not reports:
            reports.append(yard.maintain())
        return plain(self, delta, summary)

    monkeypatch.setattr(SnapshotWriter, "commit", compact_first)
    yard.commit(table, 5, 55, "b")
    assert (reports[0].merged, reports[0].snapshots) == (10, 9)
    assert [v for _, v in yard.rows()] == ["a"] * 5 + ["b"] * 50 + ["a"] * 45
    yard.maintain()
    assert len(yard.rows()) == 100


def test_load_goes_on_when_its_snapshot_has_expired(yard) -> None:
    """A load that slept through compaction and expiry reads the table again."""
    table = yard.open()
    for n in range(5):
        yard.commit(table, n * 10, n * 10 + 10, "a")
    yard.maintain(Policy(keep_snapshots=1, keep_days=0))
    assert len(yard.table.metadata.snapshots) == 1
    yard.commit(table, 5, 15, "b")
    assert [v for _, v in yard.rows()] == ["a"] * 5 + ["b"] * 10 + ["a"] * 35


def test_another_run_is_not_fenced_by_maintenance(yard) -> None:
    """The fence, the run and the bookmark are the loads' alone."""
    table = yard.open()
    for n in range(5):
        yard.commit(table, n, n + 1, str(n))
    before = dict(yard.table.properties)
    yard.maintain()
    assert yard.table.properties == before
    yard.commit(table, 9, 10, "later")
    yard.maintain()
    stored = Bookmarks({"warehouse": str(yard.lake.folder)}).all()
    assert stored == {"s": {"n": "later"}}


def test_partitions_are_not_mixed(yard) -> None:
    """Files of one partition become one file of it, also where its value is null."""
    schema = IcebergSchema(
        NestedField(1, "id", LongType()), NestedField(2, "p", StringType())
    )
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "p"))
    yard.catalog.create_namespace("lake")
    table = yard.catalog.create_table(
        ("lake", "s"), schema, partition_spec=spec, properties={"format-version": "2"}
    )
    for n in range(4):
        rows = {"id": [n, n + 10, n + 20], "p": ["x", "y/z", None]}
        table.append(
            pa.table(rows, pa.schema([("id", pa.int64()), ("p", pa.string())]))
        )
    report = yard.maintain(table=table)
    assert (report.merged, report.written, report.manifests) == (12, 3, 4)
    query = "SELECT p, count(*), min(id), max(id) FROM lake.s GROUP BY p ORDER BY 3"
    assert yard.lake.query(query) == [
        ("x", 4, 0, 3),
        ("y/z", 4, 10, 13),
        (None, 4, 20, 23),
    ]
    found = yard.table.scan(row_filter="p = 'y/z'")
    assert len(list(found.plan_files())) == 1
    assert pc.min(found.to_arrow()["id"]).as_py() == 10


@pytest.mark.parametrize("seed", range(3))
def test_table_equals_a_dict_whatever_happens(yard, seed, monkeypatch) -> None:
    """Upserts and visits in any order, also inside a commit: the rows are the same."""
    dice = random.Random(seed)  # noqa: S311
    policies = [
        Policy(keep_snapshots=1, keep_days=0).thorough(1_000),
        Policy(keep_snapshots=3, keep_days=0, small_files=3, manifests=4),
        Policy(keep_days=0, deleted_ratio=0.01, target_bytes=1, expired=2),
    ]
    plain, inside = SnapshotWriter.commit, []

    def visit(days=0.0):
        yard.maintain(dice.choice(policies), thorough=False, days=days)

    def interrupted(self, delta, summary):
        if inside and inside.pop():
            visit()
        return plain(self, delta, summary)

    monkeypatch.setattr(SnapshotWriter, "commit", interrupted)
    model: dict[int, str] = {}
    table = yard.open()
    for step in range(20):
        first = dice.randrange(300)
        last = first + dice.randrange(1, 100)
        inside[:] = [dice.random() < 0.3 and bool(model)]
        yard.commit(table, first, last, str(step))
        model |= dict.fromkeys(range(first, last), str(step))
        if dice.random() < 0.4:
            visit(days=dice.choice([0, 4]))
        rows = yard.table.scan().to_arrow().to_pylist()
        assert {row["id"]: row["v"] for row in rows} == model
        assert len(rows) == len(model)
    assert yard.rows() == sorted(model.items())
    yard.read_everything()


def test_old_format_is_left_as_it_is(yard) -> None:
    """Version 1 keeps its files, for want of a manifest writer; its history expires."""
    rows = pa.table({"id": [1]})
    yard.catalog.create_namespace("lake")
    table = yard.catalog.create_table(
        ("lake", "s"), rows.schema, properties={"format-version": "1"}
    )
    for _ in range(4):
        table.append(rows)
    report = yard.maintain()
    assert (report.merged, report.snapshots) == (0, 2)
    assert yard.lake.query("SELECT count(*) FROM lake.s") == [(4,)]


def test_growing_file_is_not_rewritten_every_time(yard) -> None:
    """A file joins a merge only when the smaller ones together outweigh it."""
    table = yard.open()
    written = 0
    for n in range(64):
        yard.commit(table, n * 500, n * 500 + 500, str(n), Method.APPEND)
        policy = Policy(small_files=4, keep_snapshots=1_000)
        written += yard.maintain(policy, thorough=False).merged
    health = yard.health()
    assert health.data_files <= 12
    assert written <= 64 * 4
    assert len(yard.rows()) == 32_000


def test_spent_budget_begins_nothing(yard) -> None:
    """Without time or bytes the table is left as it is."""
    table = yard.open()
    for n in range(10):
        yard.commit(table, n, n + 1, str(n))
    before = yard.table.metadata_location
    for policy in (Policy(seconds=0, keep_days=0), Policy(bytes=0, manifests=99)):
        yard.maintain(policy, thorough=False)
    assert yard.table.metadata_location == before


def test_run_looks_after_its_tables_after_state(lake, say, monkeypatch) -> None:
    """STATE is out before maintenance begins, and what fails then is a warning."""
    messages = [say.schema("s", ("id",), id="integer")]
    for n in range(3):
        messages += [say.record("s", id=n), say.state(s={"n": n})]
    seen = []

    def broken(_self, table):
        seen.append(table.properties["dativo.state"])
        raise OSError

    monkeypatch.setattr(Maintenance, "visit", broken)
    monkeypatch.setattr("target_parquet_iceberg.upkeep.needs_care", lambda *_: True)
    outcome = lake.load(*messages, commit_max_rows=1)
    assert outcome.code == 0
    assert outcome.states[-1] == {"bookmarks": {"s": {"n": 2}}}
    assert seen == ['{"n": 2}']
    lake.load(*messages, maintenance={"enabled": False})
    assert len(seen) == 1


def test_run_compacts_what_needs_it(lake, say, caplog) -> None:
    """With the default settings a run of many commits leaves one file, and says so."""
    messages = [say.schema("s", ("id",), id="integer")]
    for n in range(30):
        messages += [say.record("s", id=n), say.state(s={"n": n})]
    with caplog.at_level(logging.INFO):
        assert (
            lake.load(*messages, commit_max_rows=1, load_method="append-only").code == 0
        )
    assert "Maintained lake.s: merged 30, written 1" in caplog.text
    assert len(lake.rows("s")) == 30
    assert lake.query("SELECT count(DISTINCT id) FROM lake.s") == [(30,)]


def test_warehouse_on_s3(lake, new_yard, seaweed, bucket_prefix) -> None:
    """Compaction, expiry and orphans work through S3 as on a disk."""
    settings = {
        "warehouse": bucket_prefix,
        "catalog": {"type": "sql", "uri": f"sqlite:///{lake.folder}.db"},
        "storage_options": seaweed.storage_options(),
    }
    lake.folder.mkdir(parents=True)
    yard = new_yard(lake, catalog=open_catalog(settings))
    yard.catalog.create_tables()
    table = yard.open()
    for n in range(6):
        yard.commit(table, n * 10, n * 10 + 10, str(n))
    before = yard.table.scan().to_arrow().sort_by("id")
    stray = f"{yard.table.location()}/data/stray.parquet"
    with yard.table.io.new_output(stray).create() as stream:
        stream.write(b"half")
    yard.maintain()
    yard.commit(table, 0, 10, "0")
    report = yard.maintain(days=4)
    assert report.deleted > 6
    assert report.orphans == 1
    assert not yard.table.io.new_input(stray).exists()
    assert yard.table.scan().to_arrow().sort_by("id").equals(before)
    yard.read_everything()
