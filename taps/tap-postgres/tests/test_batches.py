"""Files instead of records: the same rows and the same states."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from dativo_core.errors import ConfigurationError

TABLE = """
CREATE TABLE t (
  id int8 PRIMARY KEY, n numeric(9,3), any_n numeric, day date, at timestamp,
  zoned timestamptz, clock time, bytes bytea, list int[], real float8, word text);
INSERT INTO t SELECT i, i / 7.0, i / 3.0, date '2020-01-01' + i % 50,
  timestamp '2020-01-01 00:00:00.5' + i * interval '1 h',
  timestamptz '2020-01-01Z' + i * interval '1 h', '12:00', 'x', ARRAY[i, NULL], i,
  'w' || i % 3 FROM generate_series(1, 250) i
"""
ODD = """
INSERT INTO t VALUES
 (1001, 'NaN', 'NaN', 'infinity', '-infinity', '0044-03-15 00:00:00.5+00 BC',
  '24:00', '\\xff', ARRAY[[1]], 'NaN', 'odd'),
 (1002, 1, 1, '10000-01-01', 'infinity', '12345-01-01 00:00Z', '12:00', NULL,
  NULL, 'Infinity', NULL)
"""


@pytest.fixture
def batches(tmp_path):
    """Return the setting, with a folder of this test."""
    return {
        "encoding": {"format": "parquet", "compression": "zstd"},
        "storage": {"root": str(tmp_path / "staging"), "prefix": "t-"},
        "batch_size": 100,
    }


def files(run):
    """Return the files that a run named, in order."""
    manifests = [message["manifest"] for message in run.of("BATCH")]
    return [Path(urlsplit(url).path) for [url] in manifests]


def rows(run):
    """Return the rows of all files, in order."""
    return [row for path in files(run) for row in pq.read_table(path).to_pylist()]


def without_versions(states):
    """Return states without what no two loads share."""
    return [
        {
            name: {k: v for k, v in load.items() if k != "version"}
            if isinstance(load := bookmark.get("full_table"), dict)
            else bookmark
            for name, bookmark in state["bookmarks"].items()
        }
        for state in states
    ]


def test_full_load_has_the_states_of_records(source, batches):
    """A file ends where a STATE covers it; all messages else are the same."""
    source.sql(TABLE)
    catalog = source.catalog("public-t")
    expected = source.run(catalog)
    found = source.run(catalog, batch_config=batches)
    assert found.records == []
    assert [row["id"] for row in rows(found)] == expected.values("id")
    assert without_versions(found.states) == without_versions(expected.states)
    kinds = [message["type"] for message in found.messages]
    assert kinds[kinds.index("BATCH") + 1] == "STATE"
    assert len(found.of("ACTIVATE_VERSION")) == 2
    [message] = found.of("BATCH")[:1]
    assert message["encoding"] == {"format": "parquet", "compression": "zstd"}
    assert files(found)[0].name.startswith("t-")


@pytest.mark.parametrize("key", ["id", "n", "any_n", "day", "at", "zoned", "word"])
def test_incremental_load_has_the_bookmarks_of_records(source, batches, key):
    """By every kind of cursor, also in the middle of a load."""
    source.sql(TABLE, ODD)
    catalog = source.catalog("public-t", key=key)
    by_records = source.run(catalog)
    by_files = source.run(catalog, batch_config=batches)
    marks = [s["bookmarks"]["public-t"] for s in by_records.states]
    found = [s["bookmarks"]["public-t"] for s in by_files.states]
    names = ("replication_key", "replication_key_value")
    assert [[m.get(n) for n in names] for m in found] == [
        [m.get(n) for n in names] for m in marks
    ]
    sent = [*by_files.values("id"), *(row["id"] for row in rows(by_files))]
    assert sorted(sent) == sorted(by_records.values("id"))
    source.sql(
        "INSERT INTO t SELECT 5000, 9e5, 9e5, now(), now(), now(), now(), '', NULL, 1, "
        "'z'"
    )
    again = source.run(catalog, by_files.state, batch_config=batches)
    assert [row["id"] for row in rows(again)] == [5000]


def test_rows_that_no_column_can_hold_are_records(source, batches):
    """The same records, byte for byte, that the other way sends."""
    source.sql(TABLE, ODD)
    catalog = source.catalog("public-t")
    everything = source.run(catalog).records
    odd = [record for record in everything if record["id"] > 1000]
    found = source.run(catalog, batch_config=batches)
    assert found.records == odd
    assert len(rows(found)) == 250
    settings = {"special_dates": "null", "non_finite_floats": "null"}
    found = source.run(catalog, batch_config=batches, **settings)
    assert found.values("id") == [1001]


def test_views_come_in_files_of_the_size_that_is_asked(source, batches):
    """They have no STATE in between; only the last file is smaller."""
    source.sql(TABLE, "CREATE VIEW v AS SELECT * FROM t")
    found = source.run(source.catalog("public-v"), batch_config={**batches})
    assert sum(pq.read_metadata(path).num_rows for path in files(found)) == 250


def test_stream_maps_need_records(source, batches):
    """They work on records, so records come."""
    source.sql(TABLE)
    maps = {"public-t": {"id": "id"}}
    found = source.run(
        source.catalog("public-t"), batch_config=batches, stream_maps=maps
    )
    assert (len(found.records), found.of("BATCH")) == (250, [])


def test_failure_leaves_no_half_file(source, batches, tmp_path):
    """What was whole before it stays: a BATCH has named it."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY, v int)")
    source.sql("INSERT INTO t SELECT i, 1000 - i FROM generate_series(1, 1000) i")
    source.sql("CREATE VIEW v AS SELECT id, 1 / v AS v FROM t")
    with pytest.raises(Exception, match="division by zero"):
        source.run(source.catalog("public-v"), batch_config=batches)
    assert list((tmp_path / "staging").glob("*.tmp")) == []


def test_settings_that_cannot_be_met(source, batches):
    """They are told before a row is read."""
    source.sql(TABLE)
    catalog = source.catalog("public-t")
    with pytest.raises(ConfigurationError, match="root is missing"):
        source.run(catalog, batch_config={"encoding": batches["encoding"]})
    other = {**batches, "encoding": {"format": "jsonl"}}
    with pytest.raises(ConfigurationError, match="must be one of: parquet"):
        source.run(catalog, batch_config=other)
