"""Plain Parquet files in a Hive layout, read back by DuckDB."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from dativo_core.errors import ConfigurationError
from dativo_sandbox.lake import connect
from target_parquet_iceberg.bookmarks import open_bookmarks
from target_parquet_iceberg.parquet_entry import as_text, from_text
from target_parquet_iceberg.parquet_files import Files
from target_parquet_iceberg.rollback import open_table

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
    """The newest entry of the log has the bookmark, the files and the columns."""
    lines = [
        say.schema("s", id="integer"),
        say.record("s", id=1),
        say.state(s={"v": 1}),
    ]
    lake.load(*lines, **APPEND)
    entry = json.loads((lake.folder / f"lake/s/_dativo/{2:020d}.json").read_text())
    assert (entry["state"], entry["stream"], entry["sequence"]) == ({"v": 1}, "s", 2)
    [file] = entry["files"]
    path = lake.folder / "lake/s" / file["path"]
    assert (file["rows"], file["bytes"]) == (1, path.stat().st_size)
    assert [field["name"] for field in entry["schema"]["fields"]] == ["id"]


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
    schema = say.schema("s", id="integer")
    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.write_table", _half_a_file)
        assert lake.load(schema, say.record("s", id=1), **APPEND).code == 1
    assert len(list(lake.folder.glob("lake/s/_*.tmp"))) == 1
    assert set() == lake.data_files()
    assert lake.load(schema, say.record("s", id=1), **APPEND).code == 0
    assert list(lake.folder.glob("lake/s/_*.tmp")) == []


def _half_a_file(_rows, file, **_options) -> None:
    file.write(b"PAR1")
    raise RuntimeError


def test_rows_that_come_again_are_not_added(lake, say) -> None:
    """With keys, equal rows are one; a changed row is another version."""
    schema = say.schema("s", ("id",), id="integer", v="string")
    first = [say.record("s", id=i, v="a") for i in range(3)]
    lake.load(schema, *first, say.state(s={"v": 3}), **APPEND)
    again = [first[2], say.record("s", id=2, v="b"), say.record("s", id=3, v="a")]
    lines = [say.state(s={"v": 3}), schema, *again, say.state(s={"v": 4})]
    assert lake.load(*lines, **APPEND).code == 0
    rows = [(0, "a"), (1, "a"), (2, "a"), (2, "b"), (3, "a")]
    assert lake.parquet(f"SELECT id, v FROM {ALL} ORDER BY ALL") == rows


def test_only_files_near_the_keys_are_read(lake, say, monkeypatch) -> None:
    """Bounds in the log tell which files may hold a key; the rest stays closed."""
    schema = say.schema("s", ("id", "day"), id="integer", day="string")
    for number in range(4):
        row = say.record("s", id=number, day=f"{number}")
        lake.load(schema, row, say.state(s={"v": number}), **APPEND)
    read: list[str] = []
    read_file = Files.read
    monkeypatch.setattr(
        Files, "read", lambda *args: read.append(args[1].path) or read_file(*args)
    )
    again = [say.record("s", id=2, day="2"), say.record("s", id=9, day="9")]
    lake.load(schema, *again, say.state(s={"v": 9}), **APPEND)
    assert len(read) == 2  # keys 2 and 3 lie between 2 and 9
    assert lake.parquet(f"SELECT id FROM {ALL} ORDER BY id") == [
        (0,), (1,), (2,), (3,), (9,)
    ]  # fmt: skip


def test_another_partition_needs_an_overwrite(lake, say) -> None:
    """Folders of two layouts would lie side by side: exit code 78 before it happens."""
    schema = say.schema("s", id="integer", p="string")
    row = say.record("s", id=1, p="x")
    assert lake.load(schema, row, **APPEND).code == 0
    outcome = lake.load(schema, row, **APPEND, **by("p"))
    assert (outcome.code, len(outcome.errors)) == (78, 1)
    assert "is partitioned by nothing" in outcome.errors[0]
    assert lake.load(schema, row, **OVERWRITE, **by("p")).code == 0
    assert lake.parquet(f"SELECT id, p FROM {ALL}") == [(1, "x")]


def test_a_file_that_is_gone_is_named(lake, say) -> None:
    """Somebody deleted a file of the table: one line says which, and what to do."""
    schema, row = say.schema("s", ("id",), id="integer"), say.record("s", id=1)
    lake.load(schema, row, **APPEND)
    [file] = lake.data_files()
    file.unlink()
    outcome = lake.load(schema, row, **APPEND)
    assert (outcome.code, len(outcome.errors)) == (78, 1)
    assert file.name in outcome.errors[0]


UNFIT = {
    "bytes": ({"type": "string", "contentEncoding": "base64"}, ("p",), "no names"),
    "all": ({"type": "string"}, ("id", "p"), "leaves no column"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_unfit_partitions_are_refused(lake, say, case) -> None:
    """Values that no folder can name, and files without a column, are refused."""
    schema, names, message = UNFIT[case]
    lines = [say.schema("s", id="integer", p=schema), say.record("s", id=1, p="YQ==")]
    outcome = lake.load(*lines, **APPEND, **by(*names))
    assert (outcome.code, message in outcome.errors[0]) == (78, True)


def test_a_type_conflict_is_settled_as_in_iceberg(lake, say) -> None:
    """`on_type_conflict` decides, since all files have to agree on the columns."""
    lake.load(say.schema("s", id="integer"), say.record("s", id=1), **APPEND)
    other = [say.schema("s", id="string"), say.record("s", id="x")]
    assert lake.load(*other, **APPEND).code == 78
    assert lake.load(*other, **APPEND, on_type_conflict="new_column").code == 0
    union = ALL.replace("hive", "union_by_name=true, hive")
    found = lake.parquet(f"SELECT id, id__string FROM {union} ORDER BY id")
    assert found == [(1, None), (None, "x")]


def test_bookmarks_are_read_and_set(lake, say) -> None:
    """`dativo state` and the Meltano backend work on the log; a live run is fenced."""
    settings = {"warehouse": str(lake.folder), "format": "parquet"}
    with pytest.raises(ConfigurationError, match="There is no warehouse"):
        open_bookmarks(settings).all()
    schema = say.schema("s", id="integer")
    lines = [schema, say.record("s", id=1), say.state(s={"v": 1})]
    lake.load(*lines, **APPEND)
    bookmarks = open_bookmarks(settings)
    assert bookmarks.all() == {"s": {"v": 1}}
    bookmarks.store("s", {"v": 7})
    assert bookmarks.all() == {"s": {"v": 7}}
    bookmarks.store("s", None)
    assert bookmarks.all() == {}
    assert lake.parquet(f"SELECT id FROM {ALL}") == [(1,)]
    with pytest.raises(ConfigurationError, match="No table holds stream 'x'"):
        bookmarks.store("x", {})


def test_pipelines_are_remembered(lake) -> None:
    """The Meltano backend keeps the names of pipelines beside the tables."""
    settings = {"warehouse": str(lake.folder), "format": "parquet"}
    bookmarks = open_bookmarks(settings, makes=True)
    for name in ("dev:b/c", "dev:a", "dev:a"):
        bookmarks.add_pipeline(name)
    assert bookmarks.pipelines() == ["dev:a", "dev:b/c"]
    bookmarks.remove_pipeline("dev:a")
    assert bookmarks.pipelines() == ["dev:b/c"]
    assert bookmarks.all() == {}


def test_rollback_says_that_it_needs_iceberg(lake) -> None:
    """One line, and no catalog is made."""
    settings = {"warehouse": str(lake.folder), "format": "parquet"}
    with pytest.raises(ConfigurationError, match="run `dativo promote s` first"):
        open_table(settings, "s")
    assert not lake.folder.exists()


SPELLED = [
    (pa.int64(), [2**63 - 1, -(2**63), None]),
    (pa.decimal128(38, 10), [Decimal("-0.0000000001"), Decimal(1)]),
    (pa.float64(), [0.1, -0.0, float("inf"), None]),
    (pa.bool_(), [True, False]),
    (pa.string(), ["", "007", "é/=", None]),
    (pa.date32(), [date(1, 1, 1), date(9999, 12, 31)]),
    (pa.time64("us"), [time(23, 59, 59, 999999), None]),
    (pa.timestamp("us"), [datetime.fromisoformat("9999-12-31T23:59:59.999999")]),
    (pa.timestamp("us", "UTC"), [datetime(1, 1, 1, tzinfo=timezone.utc)]),
]


@pytest.mark.parametrize(("kind", "values"), SPELLED, ids=lambda x: str(x)[:20])
def test_partition_values_survive_their_spelling(kind, values) -> None:
    """What the log says in text is the value again."""
    array = pa.array(values, kind)
    assert from_text(as_text(array), kind).to_pylist() == values


def test_s3(seaweed, bucket_prefix, lake, say) -> None:
    """Files, log and dead letters land in a bucket, through our own words.

    The second run sends the same again: row and dead letter are stored once.
    """
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
        assert duck.execute(sql).fetchall() == [(1, "a/b")]
        dead = f"FROM read_json('{bucket_prefix}/_dead_letters/s/*.jsonl') SELECT path"
        assert duck.execute(dead).fetchall() == [("id",)]
