"""Files instead of records: the same rows and the same states."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

TABLE = """
CREATE TABLE t (
  id bigint PRIMARY KEY, u bigint unsigned, n decimal(9,3), wide decimal(60, 3),
  day date, at datetime(6), zoned timestamp(6) NULL, clock time(6), bytes blob,
  real_ float, word varchar(9), flag bool, KEY (at), KEY (day), KEY (n));
INSERT INTO t SELECT seq, 18446744073709551615 - seq, seq / 7.0, seq / 3.0,
  DATE '2020-01-01' + INTERVAL seq % 50 DAY,
  TIMESTAMP '2020-01-01 00:00:00.5' + INTERVAL seq HOUR,
  TIMESTAMP '2020-01-01 00:00:00.25' + INTERVAL seq HOUR, '-12:00:00.5', x'ff00',
  seq / 3, CONCAT('w', seq % 3), seq % 2 FROM seq_1_to_250
"""
ODD = """
INSERT INTO t VALUES
 (1001, 0, 1, 1, 0, 0, 0, '838:59:59', x'ff', 1, 'odd', 1),
 (1002, 0, 1, 1, '2024-00-01', '0000-05-05', NULL, NULL, NULL, NULL, NULL, 2)
"""


@pytest.fixture
def batches(tmp_path):
    """Return the setting, with a folder of this test."""
    return {
        "encoding": {"format": "parquet", "compression": "zstd"},
        "storage": {"root": str(tmp_path / "staging"), "prefix": "t-"},
        "batch_size": 100,
    }


def rows(run):
    """Return the rows of all files, in order."""
    manifests = [message["manifest"] for message in run.of("BATCH")]
    paths = [Path(urlsplit(url).path) for [url] in manifests]
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def spelled(row):
    """Return a row of a file as a record has it."""
    return {
        **row,
        "u": int(row["u"]),
        "n": str(row["n"]),
        "day": row["day"].isoformat(),
        "at": f"{row['at'].isoformat()}",
        "zoned": row["zoned"].isoformat(),
        "bytes": base64.b64encode(row["bytes"]).decode(),
    }


@pytest.mark.parametrize("reader", ["arrow", "pymysql"])
def test_full_load_has_the_values_and_states_of_records(source, batches, reader):
    """A file ends where a STATE covers it."""
    source.sql(TABLE)
    catalog = source.catalog("t")
    by_records = source.run(catalog)

    by_files = source.run(catalog, batch_config=batches, row_reader=reader)

    assert by_files.records == []
    assert [spelled(row) for row in rows(by_files)] == [
        {**record, "real_": pytest.approx(record["real_"], rel=1e-7)}
        for record in by_records.records
    ]
    afters = [
        [s["bookmarks"][source.stream("t")].get("full_table", {}).get("after")]
        for run in (by_records, by_files)
        for s in run.states
    ]
    assert afters[: len(afters) // 2] == afters[len(afters) // 2 :]
    assert len(by_files.of("ACTIVATE_VERSION")) == 2


@pytest.mark.parametrize("key", ["id", "n", "day", "at", "zoned", "word"])
def test_incremental_load_has_the_bookmarks_of_records(source, batches, key):
    """By every kind of cursor, also in the middle of a load."""
    source.sql(TABLE)
    catalog = source.catalog("t", key=key)
    by_records = source.run(catalog)
    by_files = source.run(catalog, batch_config=batches)

    marks = [
        [s["bookmarks"][source.stream("t")]["replication_key_value"] for s in r.states]
        for r in (by_records, by_files)
    ]
    assert marks[0] == marks[1]
    assert [row["id"] for row in rows(by_files)] == by_records.values("id")


def test_rows_that_no_column_can_hold_are_records(source, batches):
    """The same records, byte for byte, that the other way sends."""
    source.sql(TABLE, ODD)
    catalog = source.catalog("t")
    everything = source.run(catalog).records
    odd = [record for record in everything if record["id"] > 1000]

    found = source.run(catalog, batch_config=batches)

    assert found.records == odd
    assert len(rows(found)) == 250
    found = source.run(
        catalog, batch_config=batches, zero_dates="null", tinyint1="boolean"
    )
    assert found.values("id") == [1002]
    assert len(rows(found)) == 251


def test_views_come_in_files_of_the_size_that_is_asked(source, batches):
    """They have no STATE in between; only the last file is smaller."""
    source.sql(TABLE, "CREATE VIEW v AS SELECT * FROM t")

    found = source.run(source.catalog("v"), batch_config=batches)

    assert len(rows(found)) == 250


def test_failure_leaves_no_half_file(source, batches, tmp_path):
    """What was whole before it stays: a BATCH has named it."""
    source.sql(TABLE)
    source.sql(
        "CREATE VIEW v AS SELECT id, IF(id < 240, 1, (SELECT 1 UNION SELECT 2)) AS v "
        "FROM t"
    )

    with pytest.raises(Exception, match="more than 1 row"):
        source.run(source.catalog("v"), batch_config=batches)
    assert list((tmp_path / "staging").glob("*.tmp")) == []
