"""Files of BATCH messages: whole before they are named, none left half."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dativo_core import batch_files
from dativo_core.batch_files import BatchConfig, BatchFiles, batch_config
from dativo_core.errors import ConfigurationError

SCHEMA = pa.schema([("id", pa.int64()), ("word", pa.string())])
ROOT = {"storage": {"root": "r"}}
PARQUET = {"encoding": {"format": "parquet"}}


def rows(count, first=0):
    """Return some rows."""
    return pa.RecordBatch.from_pylist(
        [{"id": first + i, "word": "ab"} for i in range(count)], SCHEMA
    )


def path_of(url):
    """Return the file that a URL names."""
    return Path(unquote(urlsplit(url).path))


def test_rows_come_back_in_order(tmp_path) -> None:
    """From several row groups, encoded as the target encodes its own files."""
    files = BatchFiles(BatchConfig(f"file://{tmp_path}/a%20b", "p-", rows=10), SCHEMA)
    assert files.write(rows(6)) is None
    assert list(tmp_path.glob("*/*.parquet")) == []
    path = path_of(files.write(rows(6, 6)))
    assert path.parent == tmp_path / "a b"
    assert path.name.startswith("p-")
    found = pq.ParquetFile(path)
    assert found.read().column("id").to_pylist() == [*range(12)]
    chunks = [found.metadata.row_group(0).column(number) for number in (0, 1)]
    assert [c.has_dictionary_page for c in chunks] == [True, True]  # few rows
    assert {c.compression for c in chunks} == {"ZSTD"}
    assert all(c.has_offset_index and c.has_column_index for c in chunks)


def test_large_rows_make_several_groups_and_files(tmp_path, monkeypatch) -> None:
    """Memory is bounded by the group, disk by the file."""
    monkeypatch.setattr(batch_files, "GROUP_ROWS", 2)
    monkeypatch.setattr(batch_files, "FILE_BYTES", 1)
    files = BatchFiles(BatchConfig(str(tmp_path)), SCHEMA)
    urls = [files.write(rows(2, 2 * n)) for n in range(3)]
    urls.append(files.finish())
    named = [path_of(url) for url in urls if url]
    assert sum(pq.read_metadata(path).num_rows for path in named) == 6
    assert len(named) > 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}


def test_nothing_is_left_of_a_file_that_is_given_up(tmp_path) -> None:
    """Nor is one made where there are no rows."""
    files = BatchFiles(BatchConfig(str(tmp_path)), SCHEMA)
    assert files.finish() is None
    files.write(rows(1))
    files.abandon()
    files.abandon()
    assert list(tmp_path.iterdir()) == []


def test_failure_of_the_encoder_is_told(tmp_path) -> None:
    """Not a file is named whose rows are not in it."""
    files = BatchFiles(BatchConfig(str(tmp_path), compression="no such"), SCHEMA)
    files.write(rows(1))
    with pytest.raises(Exception, match="no such"):
        files.finish()
    assert list(tmp_path.iterdir()) == []


def test_lists_keep_their_dictionaries(tmp_path) -> None:
    """Nested parts have paths of their own."""
    schema = pa.schema([("l", pa.list_(pa.int64()))])
    files = BatchFiles(BatchConfig(str(tmp_path)), schema)
    files.write(pa.RecordBatch.from_pylist([{"l": [1, 2]}], schema))
    assert pq.read_table(path_of(files.finish())).to_pylist() == [{"l": [1, 2]}]


def test_setting_of_the_sdk() -> None:
    """What it leaves out has a default."""
    assert batch_config({}) is None
    assert batch_config({"batch_config": {**PARQUET, **ROOT}}) == BatchConfig("r")
    storage = {"root": "s3://b/p", "prefix": "x", "params": {"key": "k"}}
    encoding = {"format": "parquet", "compression": "snappy"}
    whole = {"encoding": encoding, "storage": storage, "batch_size": 5}
    expected = BatchConfig("s3://b/p", "x", "snappy", 5, (("key", "k"),))
    assert batch_config({"batch_config": whole}) == expected


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"encoding": {"format": "jsonl"}, **ROOT}, "format is 'jsonl'"),
        (PARQUET, "root is missing"),
    ],
)
def test_setting_that_cannot_be_met(setting, told) -> None:
    """It is told before anything is read."""
    with pytest.raises(ConfigurationError, match=told):
        batch_config({"batch_config": setting})


def test_root_of_another_kind() -> None:
    """Nothing is written to what nobody knows."""
    with pytest.raises(ConfigurationError, match="ftp is not known"):
        BatchFiles(BatchConfig("ftp://host/x"), SCHEMA)
