"""Plain Parquet files in a Hive layout, read back by DuckDB."""

from __future__ import annotations

import json

from dativo_sandbox.lake import connect

APPEND = {"format": "parquet", "load_method": "append-only"}
OVERWRITE = {"format": "parquet", "load_method": "overwrite", "completion": "eof"}
ALL = "read_parquet('{folder}/lake/s/**/*.parquet', hive_partitioning=true)"


def by(*names):
    """Partition every stream by these columns."""
    return {"streams": {"*": {"partition_by": list(names)}}}


def test_append_adds_files_and_overwrite_replaces_them(lake, say) -> None:
    """Two appends add up, an overwrite leaves only its own rows."""
    schema = say.schema("s", id="integer")
    for number in (1, 2):
        assert lake.load(schema, say.record("s", id=number), **APPEND).code == 0
    assert lake.parquet(f"SELECT id FROM {ALL} ORDER BY id") == [(1,), (2,)]
    assert lake.load(schema, say.record("s", id=3), **OVERWRITE).code == 0
    assert lake.parquet(f"SELECT id FROM {ALL}") == [(3,)]


def test_bookmark_lies_beside_the_files(lake, say) -> None:
    """The stream's bookmark is written after the files that it covers."""
    lines = [
        say.schema("s", id="integer"),
        say.record("s", id=1),
        say.state(s={"v": 1}),
    ]
    lake.load(*lines, **APPEND)
    manifest = json.loads((lake.folder / "lake/s/_dativo.json").read_text())
    assert (manifest["state"], manifest["sequence"]) == ({"v": 1}, 1)


ODD = ["a b", "a/b", "a=b", "50%", "%2F", "é日", "..", "a'b", 'a"b', "a:b?*#", "A", "a"]


def test_partition_values_come_back_equal(lake, say) -> None:
    """Odd characters and nulls in partition values survive the folder names."""
    values = [*ODD, None]
    rows = [say.record("s", id=number, p=value) for number, value in enumerate(values)]
    schema = say.schema("s", id="integer", p="string")
    assert lake.load(schema, *rows, **APPEND, **by("p")).code == 0
    found = dict(lake.parquet(f"SELECT id, p FROM {ALL}"))
    assert dict(enumerate(values)) == found


def test_no_row_is_lost_or_doubled_by_float_partitions(lake, say) -> None:
    """NaN, -0.0 and 0.0 are values like others: each row is in one file."""
    values = ["NaN", -0.0, 0.0, 1.5, "NaN", None]
    rows = [say.record("s", id=number, p=value) for number, value in enumerate(values)]
    schema = say.schema("s", id="integer", p="number")
    assert lake.load(schema, *rows, **APPEND, **by("p")).code == 0
    assert [(i,) for i in range(6)] == lake.parquet(f"SELECT id FROM {ALL} ORDER BY id")


def test_two_levels_of_partitions(lake, say) -> None:
    """Folders nest in the order of the setting."""
    day = {"type": "string", "format": "date"}
    schema = say.schema("s", id="integer", d=day, b="boolean")
    row = say.record("s", id=1, d="2024-02-29", b=True)
    assert lake.load(schema, row, **APPEND, **by("d", "b")).code == 0
    assert len(list(lake.folder.glob("lake/s/d=2024-02-29/b=True/*.parquet"))) == 1
    found = lake.parquet(f"SELECT id, d::VARCHAR, b::BOOLEAN FROM {ALL}")
    assert found == [(1, "2024-02-29", True)]


def test_unknown_partition_column_is_refused(lake, say) -> None:
    """A partition that no field has is named, with those that exist."""
    outcome = lake.load(say.schema("s", id="integer"), **APPEND, **by("x"))
    assert outcome.code == 78
    assert "partition_by names 'x'" in outcome.errors[0]


def test_upsert_is_refused_before_a_row_is_read(lake, say) -> None:
    """Plain files cannot upsert: exit code 78, and what to set instead."""
    schema = say.schema("s", ("id",), id="integer")
    outcome = lake.load(schema, format="parquet", load_method="upsert")
    assert outcome.code == 78
    assert "plain Parquet cannot upsert" in outcome.errors[0]


def test_keys_mean_upsert_which_is_refused_at_the_commit(lake, say) -> None:
    """A stream with keys and no version would be upserted: exit code 78."""
    schema = say.schema("s", ("id",), id="integer")
    outcome = lake.load(schema, say.record("s", id=1), format="parquet")
    assert outcome.code == 78
    assert "plain Parquet cannot upsert" in outcome.errors[0]


def test_empty_overwrite_leaves_no_files(lake, say) -> None:
    """A finished full load without rows removes the old files."""
    schema = say.schema("s", id="integer")
    lake.load(schema, say.record("s", id=1), **OVERWRITE)
    assert lake.load(schema, **OVERWRITE).code == 0
    assert set() == lake.data_files()


def test_unfinished_files_look_like_no_data(lake, say, monkeypatch) -> None:
    """What a killed run leaves behind is not read as data."""
    monkeypatch.setattr("pyarrow.parquet.write_table", _half_a_file)
    schema = say.schema("s", id="integer")
    assert lake.load(schema, say.record("s", id=1), **APPEND).code == 1
    assert len(list(lake.folder.glob("lake/s/_*"))) == 1
    assert set() == lake.data_files()


def _half_a_file(_rows, path, *, filesystem, **_options) -> None:
    with filesystem.open_output_stream(path) as stream:
        stream.write(b"PAR1")
    raise RuntimeError


def test_s3(seaweed, bucket_prefix, lake, say) -> None:
    """Files, bookmark and dead letters land in a bucket, through our own words."""
    options = {
        "endpoint": seaweed.endpoint,
        "access_key_id": seaweed.access_key,
        "secret_access_key": seaweed.secret_key,
        "region": seaweed.region,
    }
    lines = [say.schema("s", id="integer", p="string"), say.record("s", id=1, p="a/b")]
    lines += [say.record("s", id="x"), say.state(s={"v": 1})]
    where = {"warehouse": bucket_prefix, "storage_options": options}
    assert lake.load(*lines, **where, **APPEND, **by("p")).code == 0
    assert lake.load(*lines, **where, **APPEND, **by("p")).code == 0
    with connect(seaweed.storage_options()) as duck:
        sql = f"FROM read_parquet('{bucket_prefix}/lake/s/**/*.parquet')"
        assert duck.execute(sql).fetchall() == [(1, "a/b")] * 2
        dead = f"FROM read_json('{bucket_prefix}/_dead_letters/s/*.jsonl') SELECT path"
        assert duck.execute(dead).fetchall() == [("id",)] * 2
