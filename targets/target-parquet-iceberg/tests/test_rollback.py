"""Going back to an earlier run, and correcting bookmarks by hand."""

from __future__ import annotations

import time

import pytest
from dativo_core.errors import ConfigurationError
from target_parquet_iceberg.bookmarks import Bookmarks
from target_parquet_iceberg.rollback import open_table, points, rollback
from target_parquet_iceberg.staging import replays_of


@pytest.fixture
def config(lake, say) -> dict:
    """Load twice, and return the settings of the warehouse."""
    schema = say.schema("t", ("id",), id="integer")
    lake.load(schema, say.record("t", id=1), say.state(t={"c": 1}))
    lake.load(schema, say.record("t", id=2), say.state(t={"c": 2}))
    return {"warehouse": str(lake.folder)}


def test_rows_and_bookmark_go_back_together(lake, config) -> None:
    """The next incremental run starts where the restored rows end."""
    table = open_table(config, "t")
    newest, oldest = points(table)
    assert (newest.is_current, oldest.is_current) == (True, False)
    assert rollback(table, oldest.run_id).rows == "1"
    assert lake.query("SELECT id FROM lake.t") == [(1,)]
    assert Bookmarks(config).all() == {"t": {"c": 1}}


def test_rollback_fences_a_run_that_goes_on(config) -> None:
    """The sequence moves on, as with every commit."""
    table = open_table(config, "t")
    rollback(table, points(table)[-1].run_id)
    assert table.refresh().properties["dativo.sequence"] == "3"


def test_unknown_run_is_refused_with_those_that_exist(config) -> None:
    """The message lists the runs of the table."""
    table = open_table(config, "t")
    known = points(table)[0].run_id
    with pytest.raises(ConfigurationError, match=known):
        rollback(table, "nobody")


def test_unknown_table_is_refused_with_those_that_exist(config) -> None:
    """The message lists the tables of the warehouse."""
    with pytest.raises(ConfigurationError, match="Its tables are: t"):
        open_table(config, "u")


def test_bookmark_can_be_corrected_and_removed(config) -> None:
    """What is written by hand is what the next reader gets."""
    bookmarks = Bookmarks(config)
    bookmarks.store("t", {"c": 5})
    assert bookmarks.all() == {"t": {"c": 5}}
    bookmarks.store("t", None)
    assert bookmarks.all() == {}


def test_bookmark_of_an_unknown_stream_is_refused(config) -> None:
    """Only streams with a table have a bookmark."""
    with pytest.raises(ConfigurationError, match="No table holds stream 'x'"):
        Bookmarks(config).store("x", {})


def test_pipelines_are_remembered_by_name(config) -> None:
    """Meltano's state ids are kept with the namespace."""
    bookmarks = Bookmarks(config)
    assert bookmarks.pipelines() == []
    bookmarks.add_pipeline("dev:a")
    bookmarks.add_pipeline("dev:a")
    assert Bookmarks(config).pipelines() == ["dev:a"]
    bookmarks.remove_pipeline("dev:a")
    assert bookmarks.pipelines() == []


def test_warehouse_that_does_not_exist_is_not_made(tmp_path) -> None:
    """Reading bookmarks leaves no trace."""
    missing = tmp_path / "none"
    with pytest.raises(ConfigurationError, match="no warehouse"):
        Bookmarks({"warehouse": str(missing)}).all()
    assert not missing.exists()


def last_run(lake) -> str:
    """Return who committed to the table last."""
    return open_table({"warehouse": str(lake.folder)}, "t").properties["dativo.run-id"]


def test_dead_letters_whose_rows_are_gone_can_be_replayed(lake, config, say) -> None:
    """A replay that came after the run has not been taken, one before it has."""
    replays = [say.schema("t", ("id",), id="integer") for _ in range(2)]
    runs = []
    for number, schema in enumerate(replays):
        marks = {"x-dativo.replay": f"r{number}", "x-dativo.replay-ends": True}
        schema["schema"].update(marks)
        replays[number] = (schema, say.record("t", id=10 + number), schema)
        lake.load(*replays[number])
        runs.append(last_run(lake))
    rollback(open_table(config, "t"), runs[0])
    assert lake.query("SELECT id FROM lake.t ORDER BY 1") == [(1,), (2,), (10,)]
    rollback(open_table(config, "t"), runs[1])
    assert replays_of(open_table(config, "t")) == ["r0", "r1"]
    rollback(open_table(config, "t"), runs[0])
    for messages in replays:
        lake.load(*messages)
    assert lake.query("SELECT id FROM lake.t ORDER BY 1") == [(1,), (2,), (10,), (11,)]


def test_rollback_to_a_commit_without_a_bookmark_keeps_the_one_before(
    lake, config, say
) -> None:
    """Rows that no STATE covers leave the bookmark as it is, and so does going back."""
    schema = say.schema("t", ("id",), id="integer")
    schema["schema"] |= {"x-dativo.replay": "r", "x-dativo.replay-ends": True}
    lake.load(schema, say.record("t", id=3), schema)
    replayed = last_run(lake)
    lake.load(say.schema("t", ("id",), id="integer"), say.state(t={"c": 3}))
    rollback(open_table(config, "t"), replayed)
    assert Bookmarks(config).all() == {"t": {"c": 2}}


def test_a_bookmark_removed_by_hand_stays_so(lake, config, say) -> None:
    """It does not come back with the commit before."""
    bookmarks = Bookmarks(config)
    bookmarks.store("t", None)
    removed = last_run(lake)
    lake.load(say.schema("t", ("id",), id="integer"), say.state(t={"c": 3}))
    rollback(open_table(config, "t"), removed)
    assert bookmarks.all() == {}


def test_a_full_load_goes_on_after_going_back_to_it(lake, say) -> None:
    """What comes under its version joins its rows, and does not replace them."""
    schema = say.schema("t", ("id",), id="integer")
    first = [say.record("t", 1, id=number) for number in (1, 2)]
    lake.load(schema, *first, say.activate("t", 1), say.state(t={"c": 1}))
    run = last_run(lake)
    other = say.record("t", 2, id=7)
    lake.load(schema, other, say.activate("t", 2), say.state(t={"c": 2}))
    rollback(open_table({"warehouse": str(lake.folder)}, "t"), run)
    later = say.record("t", 1, id=3)
    lake.load(schema, later, say.activate("t", 1), say.state(t={"c": 3}))
    assert lake.query("SELECT id FROM lake.t ORDER BY 1") == [(1,), (2,), (3,)]


def test_time_does_not_go_back_in_a_table(lake, config, say, monkeypatch) -> None:
    """A clock that was wrong for a run: every log stays in order, as of then too."""
    table = open_table(config, "t")
    now, known = time.time(), table.current_snapshot()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now - 3600)
        schema = say.schema("t", ("id",), id="integer")
        lake.load(schema, say.record("t", id=3), say.state(t={"c": 3}))
        Bookmarks(config).store("t", {"c": 4})
        newest = points(open_table(config, "t"))[0].run_id
        rollback(open_table(config, "t"), newest)
    metadata = open_table(config, "t").metadata
    for log in (metadata.snapshots, metadata.metadata_log):
        times = [entry.timestamp_ms for entry in log]
        assert times == sorted(times)
    assert metadata.last_updated_ms >= known.timestamp_ms
