"""The files of a table: sorted, sized, indexed; its properties and descriptions."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dativo_core.errors import ConfigurationError
from hypothesis import given, settings
from hypothesis import strategies as st
from target_parquet_iceberg import arrange, data_files, sizes
from target_parquet_iceberg.data_files import DataFileWriter
from target_parquet_iceberg.layout import Layout, Partition, SortKey, layout
from target_parquet_iceberg.naming import data_file_name
from target_parquet_iceberg.schema import Column

COLUMNS = [
    Column("id", pa.int64(), "integer"),
    Column("name", pa.string(), "string"),
    Column("score", pa.float64(), "number"),
    Column("at", pa.timestamp("us", "UTC"), "string"),
    Column("day(at)", pa.string(), "string"),
    Column("tags", pa.list_(pa.string()), "array"),
]
FIELDS = {"id": "integer", "name": "string", "score": "number"}


def local(file):
    """Return the path of a data file."""
    return Path(file.file_path.removeprefix("file://"))


def files(table):
    """Return the live data files of a table, in the order of their paths."""
    tasks = table.scan().plan_files()
    return sorted((task.file for task in tasks), key=lambda file: file.file_path)


def rows_of(n, text="x"):
    """Return rows that compress badly enough to fill files."""
    names = [f"{text}{number * 2654435761 % 2**32:08x}" for number in range(n)]
    return pa.table({"id": pa.array(range(n)), "name": names})


def make(lake, rows, **properties):
    """Create a table with the columns of the rows."""
    catalog = lake.catalog
    catalog.create_namespace_if_not_exists("lake")
    options = {"format-version": "2", **properties}
    return catalog.create_table(("lake", "t"), rows.schema, properties=options)


def write(table, rows):
    """Write rows with the writer alone."""
    transaction = table.transaction()
    return list(DataFileWriter(transaction.table_metadata, table.io).write(rows))


def load_two(lake, say, **stream):
    """Load some rows, unordered and with nulls, in two commits."""
    first = [say.record("s", id=i, name=n) for i, n in [(3, "a"), (1, None), (2, "c")]]
    second = [
        say.record("s", id=i, name=n) for i, n in [(9, "b"), (None, "d"), (7, None)]
    ]
    head = say.schema("s", **FIELDS)
    chosen = {"streams": {"s": stream}, "load_method": "append-only"}
    for records in (first, second):
        known = (
            [say.state(s={"n": len(files(lake.table("s")))})]
            if lake.data_files()
            else []
        )
        bookmark = say.state(s={"n": len(lake.data_files()) + 1})
        assert lake.load(*known, head, *records, bookmark, **chosen).code == 0
    return lake.table("s")


def test_rows_of_every_file_are_sorted(lake, say) -> None:
    """Each file is sorted by sort_by, nulls first ascending, and says so."""
    table = load_two(lake, say, sort_by=["id"])
    found = [pq.read_table(local(f)).column("id").to_pylist() for f in files(table)]
    assert sorted(found, key=str) == [[1, 2, 3], [None, 7, 9]]
    for file in files(table):
        assert file.sort_order_id == table.sort_order().order_id == 1
        group = pq.read_metadata(local(file)).row_group(0)
        assert group.sorting_columns == (pq.SortingColumn(0, False, True),)


def test_descending_with_nulls_as_declared(lake, say) -> None:
    """A descending key puts nulls last, unless the setting says first."""
    table = load_two(lake, say, sort_by=["-name", "id"])
    found = [pq.read_table(local(f)).column("name").to_pylist() for f in files(table)]
    assert sorted(found, key=str) == [["c", "a", None], ["d", "b", None]]
    assert "desc" in str(table.sort_order().fields[0]).lower()
    again = load_two(lake, say, sort_by=["-name nulls first"])
    newest = max(files(again), key=lambda f: local(f).stat().st_mtime_ns)
    assert pq.read_table(local(newest)).column("name").to_pylist() == [None, "d", "b"]
    assert again.sort_order().order_id == 2


def test_a_new_sort_order_leaves_old_files(lake, say) -> None:
    """A changed sort_by adds a sort order; files keep the id of theirs; [] ends it."""
    load_two(lake, say, sort_by=["id"])
    table = load_two(lake, say, sort_by=[])
    assert table.sort_order().is_unsorted
    assert sorted(str(file.sort_order_id) for file in files(table)) == [
        "1",
        "1",
        "None",
        "None",
    ]
    assert len(load_two(lake, say).sort_orders()) == 2


def test_setting_not_given_leaves_what_the_table_has(lake, say) -> None:
    """Sort order and partitions that another tool has set survive a load."""
    table = load_two(lake, say, sort_by=["id"], partition_by=["bucket(2, id)"])
    order, spec = table.sort_order(), table.spec()
    went_on = (say.record("s", id=9), say.state(s={"n": 9}))
    head = say.schema("s", **FIELDS)
    bookmark = json.loads(table.properties["dativo.state"])
    outcome = lake.load(
        say.state(s=bookmark), head, *went_on, load_method="append-only"
    )
    table = lake.table("s")
    assert (outcome.code, table.sort_order(), table.spec()) == (0, order, spec)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-2, 2)),
            st.one_of(st.none(), st.sampled_from([float("nan"), 0.5, -1.0])),
        ),
        max_size=12,
    ),
    descending=st.tuples(st.booleans(), st.booleans()),
    nulls_first=st.tuples(st.booleans(), st.booleans()),
)
def test_order_is_icebergs(rows, descending, nulls_first) -> None:
    """Any mix of directions and null places sorts as Python does, and stably."""
    table = pa.table(
        {
            "a": pa.array([a for a, _ in rows], pa.int64()),
            "b": pa.array([b for _, b in rows], pa.float64()),
            "n": pa.array(range(len(rows)), pa.int64()),
        }
    )
    orderings = [
        arrange.Ordering(table[name], descending[i], nulls_first[i])
        for i, name in enumerate("ab")
    ]
    parts = list(arrange.arrange(table, [], orderings))
    found = [n for part in parts for n in part.slice(0, part.num_rows)["n"].to_pylist()]

    def rank(value):
        is_nan = value != value  # noqa: PLR0124 NaN is greater than all
        return (1, 0) if is_nan else (0, value)

    expected = list(range(len(rows)))
    for i in (1, 0):
        values = {n: rows[n][i] for n in expected}
        filled = [n for n in expected if values[n] is not None]
        empty = [n for n in expected if values[n] is None]
        filled.sort(key=lambda n: rank(values[n]), reverse=descending[i])
        if descending[i]:  # a reversed sort of Python's is stable too
            filled = sorted(
                [n for n in expected if values[n] is not None],
                key=lambda n: rank(values[n]),
                reverse=True,
            )
        expected = [*empty, *filled] if nulls_first[i] else [*filled, *empty]
    assert found == expected


def test_files_are_sized_on_disk(lake) -> None:
    """Files come close to write.target-file-size-bytes, measured after compression."""
    rows = rows_of(200_000)
    target = 200_000
    table = make(lake, rows, **{"write.target-file-size-bytes": str(target)})
    found = write(table, rows)
    assert [local(f).stat().st_size for f in found] == [
        f.file_size_in_bytes for f in found
    ]
    assert sum(f.record_count for f in found) == 200_000
    assert len(found) > 3
    assert all(0.5 * target < f.file_size_in_bytes <= target for f in found[:-1])
    whole = pa.concat_tables([pq.read_table(local(f)) for f in found])
    assert whole.to_pylist() == rows.to_pylist()


def test_row_groups_are_even_and_limited(lake) -> None:
    """No row group has more rows than the property allows, and none is a leftover."""
    rows = rows_of(1_000)
    table = make(lake, rows, **{"write.parquet.row-group-limit": "300"})
    (file,) = write(table, rows)
    footer = pq.read_metadata(local(file))
    assert [footer.row_group(i).num_rows for i in range(4)] == [250] * 4
    assert len(file.split_offsets) == 4


BLOOM = "write.parquet.bloom-filter-enabled.column."


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"id"}),
        ({BLOOM + "id": "false"}, set()),
        ({BLOOM + "name": "true"}, {"id", "name"}),
    ],
)
def test_index_bloom_filters_and_codec(lake, say, asked, expected) -> None:
    """Keys have bloom filters, others if asked for; page indexes always, in zstd."""
    head = say.schema("s", ("id",), **FIELDS)
    lines = (head, say.record("s", id=1, name="a"), say.state(s={"n": 1}))
    assert lake.load(*lines, streams={"s": {"properties": asked}}).code == 0
    file = local(files(lake.table("s"))[0])
    group = pq.read_metadata(file).row_group(0)
    assert all(group.column(i).has_column_index for i in range(3))
    assert all(group.column(i).has_offset_index for i in range(3))
    assert group.column(0).compression == "ZSTD"
    query = "SELECT path_in_schema, bloom_filter_offset FROM parquet_metadata"
    offsets = dict(lake.parquet(f"{query}('{file}')"))
    found = {name for name, offset in offsets.items() if offset is not None}
    assert found == expected


def test_options_that_pyarrow_lacks_are_left_out(lake, monkeypatch) -> None:
    """An older pyarrow writes the same rows, without what it cannot do."""
    known = data_files.known_options() - {"bloom_filter_options", "max_rows_per_page"}
    monkeypatch.setattr(data_files, "known_options", lambda: known)
    rows = rows_of(5)
    bloom = {"write.parquet.bloom-filter-enabled.column.id": "true"}
    (file,) = write(make(lake, rows, **bloom), rows)
    assert pq.read_table(local(file)).to_pylist() == rows.to_pylist()


def test_metrics_follow_the_table(lake) -> None:
    """Bounds and counts are kept as write.metadata.metrics.* asks."""
    rows = rows_of(10, text="a" * 20)
    properties = {
        "write.metadata.metrics.column.id": "counts",
        "write.metadata.metrics.column.name": "truncate(4)",
    }
    (file,) = write(make(lake, rows, **properties), rows)
    assert file.value_counts == {1: 10, 2: 10}
    assert file.lower_bounds == {2: b"aaaa"}
    assert file.upper_bounds == {2: b"aaab"}


def test_field_ids_are_in_the_files(lake) -> None:
    """Nested parts carry their field ids, so that a rename does not lose them."""
    rows = pa.table(
        {
            "a b": pa.array([{"x.y": 1, "l": [{"z": "q"}]}, None]),
            "m": pa.array(
                [["p", None], []], pa.list_(pa.field("element", pa.string()))
            ),
        }
    )
    table = make(lake, rows)
    with table.transaction() as transaction:
        writer = DataFileWriter(transaction.table_metadata, table.io)
        with transaction.update_snapshot().fast_append() as append:
            for file in writer.write(rows):
                append.append_data_file(file)
    (file,) = files(table)
    ids = {
        field.name: field.metadata[b"PARQUET:field_id"]
        for field in pq.read_schema(local(file))
    }
    assert ids == {"a_x20b": b"1", "m": b"2"}
    assert table.scan().to_arrow().to_pylist() == rows.to_pylist()
    assert sorted(lake.query("SELECT * FROM lake.t"), key=str) == sorted(
        [tuple(row.values()) for row in rows.to_pylist()], key=str
    )


def test_a_failed_write_leaves_no_file(lake, monkeypatch) -> None:
    """A file that could not be finished is removed."""
    rows = rows_of(5)
    table = make(lake, rows)

    def full(_self, _rows):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(DataFileWriter, "_as_stored", full)
    with pytest.raises(OSError, match="No space"):
        write(table, rows)
    assert not lake.data_files()


def test_paths_stay_short() -> None:
    """Long partition values become short folders that differ; names are kept."""
    one = data_file_name("k=" + "%C3%A9" * 100, "id", 7)
    other = data_file_name("k=" + "%C3%A9" * 101, "id", 7)
    assert one != other
    assert one.startswith("k=%C3")
    assert one.endswith("/00007-id.parquet")
    assert max(map(len, one.split("/"))) < 150
    assert data_file_name("a=1/b=x", "id", 0) == "a=1/b=x/00000-id.parquet"


def test_runs_are_sorted_one_by_one(lake, monkeypatch) -> None:
    """Rows beyond what is copied at once go to another, sorted, file."""
    rows = rows_of(1_000).take(list(reversed(range(1_000))))
    table = make(lake, rows)
    with table.update_sort_order() as update:
        update.asc("id", data_files.IdentityTransform())
    monkeypatch.setattr(
        data_files, "runs", lambda whole: arrange.runs(whole, whole.nbytes // 3)
    )
    found = [pq.read_table(local(f))["id"].to_pylist() for f in write(table, rows)]
    assert len(found) > 1
    assert all(ids == sorted(ids) for ids in found)
    assert sorted(i for ids in found for i in ids) == list(range(1_000))


def test_large_parts_are_copied_piece_by_piece(lake, monkeypatch) -> None:
    """A part larger than the window is written in several row groups, in order."""
    rows = rows_of(1_000).take(list(reversed(range(1_000))))
    table = make(lake, rows)
    with table.update_sort_order() as update:
        update.asc("id", data_files.IdentityTransform())
    monkeypatch.setattr(sizes, "WINDOW_BYTES", rows.nbytes // 4)
    monkeypatch.setattr(
        data_files, "windows", lambda p: arrange.windows(p, rows.nbytes // 4)
    )
    (file,) = write(table, rows)
    assert pq.read_metadata(local(file)).num_row_groups >= 4
    assert pq.read_table(local(file))["id"].to_pylist() == list(range(1_000))


def test_properties_are_reconciled(lake, say) -> None:
    """Properties are set, changed and kept; what is not named is left alone."""
    load_two(lake, say, properties={"a.b": "1", "flag": True})
    table = load_two(lake, say, properties={"a.b": 2})
    chosen = {name: table.properties[name] for name in ("a.b", "flag")}
    assert chosen == {"a.b": "2", "flag": "true"}


@pytest.mark.parametrize(
    "name", ["dativo.state", "commit.retry.num-retries", "format-version"]
)
def test_own_properties_are_refused(lake, say, name) -> None:
    """A property that the target needs for itself stops the run with 78."""
    outcome = lake.load(
        say.schema("s", id="integer"), streams={"s": {"properties": {name: "1"}}}
    )
    assert outcome.code == 78
    assert name in outcome.errors[-1]


def test_descriptions_are_reconciled(lake, say) -> None:
    """Descriptions of the schema become column docs, and follow its changes."""
    for doc in ("First.", "Second."):
        fields = {"id": {"type": "integer", "description": doc}, "b": "string"}
        assert (
            lake.load(
                say.schema("s", **fields),
                say.record("s", id=1, b="x"),
                say.state(s={"d": doc}),
            ).code
            == 0
        )
        assert lake.table("s").schema().find_field("id").doc == doc
    added = {**fields, "c": {"type": "string", "description": "New."}}
    bare = {"id": "integer", "b": "string", "c": "string"}
    for columns in (added, bare):
        lake.load(
            say.schema("s", **columns),
            say.record("s", id=2, c="x"),
            say.state(s={"n": len(str(columns))}),
        )
        found = lake.table("s").schema()
        assert (found.find_field("c").doc, found.find_field("id").doc) == (
            "New.",
            "Second.",
        )


def test_metadata_columns_are_documented(lake, say) -> None:
    """The SDK's columns explain themselves."""
    lake.load(
        say.schema("s", id="integer"),
        say.record("s", id=1),
        say.state(s={"n": 1}),
        add_record_metadata=True,
    )
    assert lake.table("s").schema().find_field("_sdc_deleted_at").doc


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["id"], [Partition("id")]),
        (["bucket(16, id)"], [Partition("id", "bucket[16]")]),
        ([" truncate( 8 ,name ) "], [Partition("name", "truncate[8]")]),
        (["day(at)"], [Partition("day(at)")]),
        (["hour(at)", "name"], [Partition("at", "hour"), Partition("name")]),
        (
            ["bucket(4, id)", "truncate(10, id)"],
            [Partition("id", "bucket[4]"), Partition("id", "truncate[10]")],
        ),
        ([], []),
    ],
)
def test_partition_texts(texts, expected) -> None:
    """The accepted texts; a column of that very name comes first."""
    assert layout("s", {"partition_by": texts}, COLUMNS).partitions == tuple(expected)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["nope"], "no field and no transform"),
        (["week(at)"], "no transform 'week'"),
        (["bucket(id)"], "bucket takes a number first"),
        (["day(3, at)"], "day takes a column only"),
        (["bucket(0, id)"], "0 is out of range"),
        (["month(nope)"], "no field has the name 'nope'"),
        (["month(id)"], "int64 is no type for it"),
        (["score"], "double is no type for it"),
        (["tags"], "is no type for it"),
        (["id", "id"], "there already"),
        (["year(at)", "month(at)"], "there already"),
        (["bucket(16,, id"], "no field and no transform"),
        ([""], "no field and no transform"),
    ],
)
def test_partition_texts_refused(texts, reason) -> None:
    """Each refusal names the text, the reason, and what is accepted."""
    with pytest.raises(ConfigurationError) as caught:
        layout("s", {"partition_by": texts}, COLUMNS)
    assert repr(texts[-1]) in str(caught.value)
    assert reason in str(caught.value)
    assert "bucket(16, column)" in str(caught.value.hint)


def test_sort_texts() -> None:
    """The accepted texts of sort_by."""
    found = layout("s", {"sort_by": ["id nulls last", "-at", "name"]}, COLUMNS)
    assert found == Layout(
        sort=(SortKey("id", False, False), SortKey("at", True, False), SortKey("name"))
    )


@pytest.mark.parametrize("texts", [["nope"], ["-nope"], ["tags"], ["id", "-id"], [""]])
def test_sort_texts_refused(texts) -> None:
    """An unknown, nested or repeated column is refused."""
    with pytest.raises(ConfigurationError, match="sort_by has"):
        layout("s", {"sort_by": texts}, COLUMNS)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(max_size=30), st.sampled_from(["partition_by", "sort_by"]))
def test_any_text_is_read_or_refused(text, setting) -> None:
    """No text makes the reader fail in another way."""
    with contextlib.suppress(ConfigurationError):
        layout("s", {setting: [text]}, COLUMNS)
