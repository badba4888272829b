"""Expiry deletes what nothing needs, and nothing else."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from dativo_core.errors import FencedError
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from target_parquet_iceberg import rollback
from target_parquet_iceberg.expiry import Leaving, forget, leaving
from target_parquet_iceberg.inventory import content
from target_parquet_iceberg.orphans import orphans
from target_parquet_iceberg.plan import Method
from target_parquet_iceberg.policy import Policy

DAY = 86_400


def test_rollback_after_compaction_restores_the_bookmark(yard) -> None:
    """A compacted snapshot still tells which run its rows are from."""
    for n in range(4):
        yard.commit(yard.open(f"r{n}"), n * 10, n * 10 + 10, str(n))
    yard.maintain()
    yard.commit(yard.open("bad"), 0, 40, "bad")
    rollback.rollback(yard.table, "r3")
    assert json.loads(yard.table.properties["dativo.state"]) == {"n": "3"}
    assert len(yard.rows()) == 40
    assert "bad" not in {value for _, value in yard.rows()}


def test_expiry_deletes_files_that_nothing_needs(yard) -> None:
    """Files go from the disk; every snapshot and branch that is left can be read."""
    table = yard.open()
    for n in range(10):
        yard.commit(table, n * 10, n * 10 + 10, "a")
    tagged = yard.table.metadata.snapshots[3].snapshot_id
    yard.table.manage_snapshots().create_tag(tagged, "audit").commit()
    yard.table.manage_snapshots().create_branch(
        yard.table.metadata.snapshots[5].snapshot_id, "trial"
    ).commit()
    yard.maintain()
    yard.commit(table, 0, 10, "b")
    yard.commit(table, 0, 10, "c")
    files = yard.files()
    report = yard.maintain()
    assert report.deleted > 0
    gone = files - yard.files()
    assert len(gone) >= report.deleted
    left = yard.read_everything()
    assert left[tagged] == 40
    assert left[yard.table.refs()["trial"].snapshot_id] == 60
    assert left[yard.table.current_snapshot().snapshot_id] == 100
    yard.table.manage_snapshots().remove_tag("audit").commit()
    yard.table.manage_snapshots().remove_branch("trial").commit()
    yard.commit(table, 0, 10, "d")
    yard.commit(table, 0, 10, "e")
    yard.maintain()
    yard.maintain()
    needed = {
        entry.data_file.file_path
        for snapshot in yard.table.metadata.snapshots
        for manifest in snapshot.manifests(yard.table.io)
        for entry in manifest.fetch_manifest_entry(yard.table.io)
    }
    on_disk = {path.as_uri() for path in yard.files("**/data/*")}
    assert on_disk == needed
    assert len(yard.rows()) == 100


def test_age_counts_from_the_replacement(yard) -> None:
    """What readers saw until an hour ago is young, however long ago it was written."""
    table = yard.open()
    for n in range(3):
        yard.commit(table, n, n + 1, str(n))
    metadata = yard.table.metadata
    first, second, _third = (s.snapshot_id for s in metadata.snapshots)
    policy = Policy(keep_snapshots=1, keep_days=1)
    times = [s.timestamp_ms / 1_000 for s in metadata.snapshots]
    assert not leaving(metadata, policy, times[1] + DAY - 1).snapshots
    between = (times[1] + times[2]) / 2 + DAY
    assert leaving(metadata, policy, between).snapshots == {first}
    assert leaving(metadata, policy, times[2] + DAY + 1).snapshots == {first, second}


def test_too_many_snapshots_expire_after_an_hour(yard) -> None:
    """A busy table keeps an hour of history, not a day of thousands of snapshots."""
    table = yard.open()
    for n in range(12):
        yard.commit(table, n, n + 1, str(n))
    policy = Policy(keep_snapshots=2, keep_days=1, max_snapshots=5)
    now = time.time()
    assert not leaving(yard.table.metadata, policy, now).snapshots
    assert len(leaving(yard.table.metadata, policy, now + 3_700).snapshots) == 7


def test_expiry_never_takes_a_snapshot_that_became_a_head(yard) -> None:
    """A rollback between choice and commit makes the catalog refuse the expiry."""
    for n in range(4):
        yard.commit(yard.open(f"r{n}"), n, n + 1, str(n))
    stale = yard.table
    chosen = leaving(stale.metadata, Policy(1, 0, 1, 0), time.time() + DAY)
    rollback.rollback(yard.table, "r0")
    with pytest.raises(CommitFailedException):
        forget(stale, chosen)
    assert len(yard.rows()) == 1


def test_files_outlive_an_expiry_that_was_not_answered(yard, monkeypatch) -> None:
    """Without the catalog's word that the expiry is committed, no file is deleted."""
    table = yard.open()
    for n in range(5):
        yard.commit(table, 0, 10, str(n))
    files = yard.files("**/data/*")

    def unanswered(*_arguments, **_options):
        raise CommitStateUnknownException

    opened = yard.table
    monkeypatch.setattr(type(opened), "_do_commit", unanswered)
    chosen = Leaving(frozenset([opened.metadata.snapshots[0].snapshot_id]))
    with pytest.raises(CommitStateUnknownException):
        forget(opened, chosen)
    assert yard.files("**/data/*") == files


def test_orphans_are_deleted_when_they_are_old(yard) -> None:
    """A file that nothing refers to goes after three days, and not a minute before."""
    table = yard.open()
    yard.commit(table, 0, 10, "a")
    data = yard.lake.folder / "lake" / "s" / "data"
    (data / "killed.parquet").write_bytes(b"half a file")
    (data / "deep").mkdir()
    (data / "deep" / "er.parquet").write_bytes(b"")
    assert yard.maintain(days=2.9).orphans == 0
    assert yard.maintain(days=3.1).orphans == 2
    assert {path.name for path in data.rglob("*.parquet")} == {
        Path(entry.data_file.file_path).name for entry in content(yard.table).data
    }
    assert len(yard.rows()) == 10


def test_orphans_of_a_load_in_progress_are_safe(yard) -> None:
    """What lies on a branch is part of the table, however old it is."""
    table = yard.open()
    yard.commit(table, 0, 10, "a")
    load = {"version": 7, "publishes": False, "method": Method.OVERWRITE}
    yard.commit(table, 0, 50, "b", **load)
    assert orphans(yard.table, 0, time.time() + 5 * DAY) == []
    assert yard.maintain(days=5).orphans == 0
    yard.commit(table, 50, 60, "b", Method.OVERWRITE, version=7, publishes=True)
    assert len(yard.rows()) == 60


def test_orphan_search_mistrusts_strange_names(yard, monkeypatch) -> None:
    """Where storage does not list the table's own files, nothing is an orphan."""
    yard.commit(yard.open(), 0, 10, "a")
    names = {"data/else.parquet": 0.0}
    monkeypatch.setattr(
        "target_parquet_iceberg.orphans._files", lambda *_: names.items()
    )
    assert orphans(yard.table, 0, time.time()) == []


def test_abandoned_load_is_dropped(yard) -> None:
    """A full load that did not go on for a week leaves no branch and no file."""
    table = yard.open()
    yard.commit(table, 0, 10, "a")
    before = yard.files("**/data/*")
    yard.commit(table, 0, 50, "b", Method.OVERWRITE, version=7, publishes=False)
    assert yard.maintain(days=6).branches == 0
    assert yard.maintain(days=8).branches == 1
    assert set(yard.table.refs()) == {"main"}
    assert yard.files("**/data/*") == before
    assert len(yard.rows()) == 10


def test_given_up_load_cannot_go_on(yard) -> None:
    """A run that wakes up after its branch was dropped must not publish a half load."""
    table = yard.open()
    yard.commit(table, 0, 10, "a")
    load = {"version": 7, "method": Method.OVERWRITE}
    yard.commit(table, 0, 50, "b", publishes=False, **load)
    yard.maintain(days=8)
    with pytest.raises(FencedError, match="given up"):
        yard.commit(table, 50, 60, "b", publishes=True, **load)
    assert len(yard.rows()) == 10


def test_rows_sent_again_are_known_after_expiry(lake, new_yard) -> None:
    """A keyless append whose bookmark was lost stores no row twice, history or not."""
    yard = new_yard(lake, keys=())
    table = yard.open()
    for n in range(6):
        yard.commit(table, n * 10, n * 10 + 10, str(n), Method.APPEND)
    yard.maintain()
    again = yard.open("r2")
    for n in range(7):
        yard.commit(again, n * 10, n * 10 + 10, str(n), Method.APPEND, started_from={})
    assert [number for number, _ in yard.rows()] == list(range(70))


def test_nothing_is_deleted_where_the_table_forbids_it(yard) -> None:
    """With `gc.enabled` false files are merged, but history and files all stay."""
    table = yard.open()
    for n in range(10):
        yard.commit(table, n * 10, n * 10 + 10, "a")
    with yard.table.transaction() as change:
        change.set_properties({"gc.enabled": "false"})
    before = yard.files("**/*")
    report = yard.maintain()
    assert (report.merged, report.written) == (10, 1)
    assert (report.snapshots, report.deleted, report.orphans) == (0, 0, 0)
    assert before <= yard.files("**/*")
    assert len(yard.table.snapshots()) == 11
