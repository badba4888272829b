"""Going back to an earlier run, and correcting bookmarks by hand."""

from __future__ import annotations

import pytest
from dativo_core.errors import ConfigurationError
from target_parquet_iceberg.bookmarks import Bookmarks
from target_parquet_iceberg.rollback import open_table, points, rollback


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
