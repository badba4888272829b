"""Files of BATCH messages: adopted, or read; the same rows as records bring."""

from __future__ import annotations

import gzip
import json
import os
from datetime import date, datetime, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dativo_core.arrow_types import file_schema
from dativo_core.batch_files import BatchConfig, BatchFiles
from pyiceberg.exceptions import CommitFailedException
from target_parquet_iceberg import batch_rows
from target_parquet_iceberg.snapshots import SnapshotWriter

KEY = ("id",)
UNMOVED = [{"bookmarks": {}}]


def stage(lake, schema, rows, **options):
    """Write rows as our taps do; return the BATCH message."""
    shape = file_schema(schema["schema"]["properties"])
    config = BatchConfig(str(lake.folder / "_staging"), **options)
    files = BatchFiles(config, shape)
    files.write(pa.RecordBatch.from_pylist(rows, shape))
    return batch(schema["stream"], files.finish())


def batch(stream, *urls, kind="parquet", compression="zstd"):
    """Return a BATCH message."""
    return {
        "type": "BATCH",
        "stream": stream,
        "encoding": {"format": kind, "compression": compression},
        "manifest": list(urls),
    }


def packed(folder, lines, name="b.jsonl.gz"):
    """Write lines as a gzip file below a folder; return its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    return path.as_uri()


def adopted(lake, table="s"):
    """Count the files that commits took as they were."""
    summaries = [s.summary for s in lake.table(table).snapshots()]
    return sum(int(s.get("dativo.adopted-files") or 0) for s in summaries)


def staged(lake):
    """Return the files that wait in the staging folder."""
    return [path for path in lake.folder.glob("_staging/**/*") if path.is_file()]


def ids(lake, table="s"):
    """Return the ids in a table, as DuckDB reads them."""
    return [i for (i,) in lake.query(f"SELECT id FROM lake.{table} ORDER BY id")]


@pytest.fixture
def wide(say):
    """A SCHEMA of all kinds of columns."""
    return say.schema(
        "s",
        KEY,
        id="integer",
        at={"type": ["string", "null"], "format": "date-time"},
        on={"type": ["string", "null"], "format": "date"},
        n={
            "type": ["string", "null"],
            "format": "x-singer.decimal",
            "precision": 9,
            "scale": 3,
        },
        b={"type": ["string", "null"], "contentEncoding": "base64"},
        x={"type": ["number", "null"], "format": "double"},
        u={"type": ["string", "null"], "format": "uuid"},
        l={"type": ["array", "null"], "items": {"type": ["integer", "null"]}},
        d={"type": ["array", "null"], "items": {"type": "string", "format": "uuid"}},
        t="string",
    )


def text(found):
    """Return a row as text: NaN is not itself, nor one name of UTC the other."""
    return {k: str(v).replace("+00:00", "") for k, v in found.items()}


UUID = "0e2c5d1a-9a0b-4c6e-8f6a-1d2e3f4a5b6c"


def row(number, **values):
    """Return a row for that SCHEMA."""
    return {
        "id": number,
        "at": datetime(2024, 2, 29, 1, 2, 3, 456, timezone.utc),
        "on": date(2024, 2, 29),
        "n": Decimal("-1.500"),
        "b": b"\x00\xff",
        "x": float("nan"),
        "u": UUID,
        "l": [1, None],
        "d": [UUID],
        "t": 'a "quoted" ü',
    } | values


def test_file_becomes_part_of_the_table_as_it_is(lake, wide, say) -> None:
    """Its bytes are the table's, its rows are whole, and staging is empty again."""
    message = stage(lake, wide, [row(1), row(2, t=None)])
    [waiting] = staged(lake)
    content = waiting.read_bytes()
    found = lake.load(wide, message, say.state(s={"at": 2}))
    assert (found.code, found.states) == (0, [{"bookmarks": {"s": {"at": 2}}}])
    [file] = lake.data_files()
    assert (adopted(lake), file.read_bytes(), staged(lake)) == (1, content, [])
    first, second = sorted(lake.rows("s"), key=lambda r: r["id"])
    assert text(first) == text(row(1))
    assert second["t"] is None
    sums = 'SELECT count(*), sum(n), max("on") FROM lake.s'
    assert lake.query(sums) == [(2, Decimal("-3.000"), date(2024, 2, 29))]


@pytest.mark.parametrize(
    "settings",
    [
        {"streams": {"s": {"partition_by": ["bucket(2, id)"]}}},
        {"streams": {"s": {"sort_by": ["-id"]}}},
        {"streams": {"s": {"properties": {"write.parquet.compression-codec": "gzip"}}}},
        {"add_record_metadata": True},
        {"hard_delete": True},
        {"stream_maps": {"s": {"__alias__": "s"}}},
    ],
    ids=["partitions", "order", "codec", "metadata", "deletes", "maps"],
)
def test_rows_are_read_where_the_table_is_another(lake, wide, say, settings) -> None:
    """What the file cannot give, the ordinary way does; nothing stays in staging."""
    message = stage(lake, wide, [row(1), row(2)])
    assert lake.load(wide, message, say.state(s=1), **settings).code == 0
    assert (adopted(lake), ids(lake), staged(lake)) == (0, [1, 2], [])
    [first, _] = sorted(lake.rows("s"), key=lambda r: r["id"])
    assert text({k: v for k, v in first.items() if k in row(1)}) == text(row(1))


def test_nested_columns_become_text_where_that_is_asked_for(lake, wide, say) -> None:
    """With `nested: json` a list of the file is the JSON text of a RECORD."""
    message = stage(lake, wide, [row(1)])
    assert lake.load(wide, message, say.state(s=1), nested="json").code == 0
    assert (adopted(lake), staged(lake)) == (0, [])
    assert lake.query("SELECT l::JSON::INTEGER[], d::JSON::VARCHAR[] FROM lake.s") == [
        ([1, None], [UUID])
    ]


def test_plain_parquet_reads_the_rows(lake, wide, say) -> None:
    """Its files have no field ids, so that a promotion finds none."""
    message = stage(lake, wide, [row(1)])
    settings = {"format": "parquet", "load_method": "append-only"}
    assert lake.load(wide, message, say.state(s=1), **settings).code == 0
    [file] = lake.data_files()
    assert b"PARQUET:field_id" not in (pq.read_schema(file).field("id").metadata or {})
    assert lake.parquet("SELECT id FROM '{folder}/lake/s/*.parquet'") == [(1,)]


def test_upsert_takes_a_file_and_deletes_what_it_replaces(lake, say) -> None:
    """By keys alone: the file's rows never become JSON, nor new Parquet."""
    schema = say.schema("s", KEY, id="integer", t="string")
    first = [{"id": i, "t": "old"} for i in range(10)]
    lake.load(schema, stage(lake, schema, first), say.state(s=1))
    second = [{"id": i, "t": "new"} for i in range(8, 12)]
    lake.load(schema, stage(lake, schema, second), say.state(s=2))
    assert (adopted(lake), ids(lake)) == (2, [*range(12)])
    count = "SELECT count(*) FROM lake.s WHERE t = 'new'"
    assert lake.query(count) == [(4,)]


def test_last_one_wins_within_a_file_and_between_file_and_record(lake, say) -> None:
    """A file with a key twice is read, in the order in which all arrived."""
    schema = say.schema("s", KEY, id="integer", t="string")
    twice = stage(lake, schema, [{"id": 1, "t": "a"}, {"id": 1, "t": "b"}])
    later = stage(lake, schema, [{"id": 2, "t": "file"}])
    messages = [twice, say.record("s", id=2, t="record"), later]
    lake.load(schema, *messages, say.record("s", id=1, t="c"), say.state(s=1))
    found = {r["id"]: r["t"] for r in lake.rows("s")}
    assert (found, adopted(lake)) == ({1: "c", 2: "file"}, 0)


def test_records_and_files_of_one_commit(lake, say) -> None:
    """With other keys, the file is adopted beside what records bring."""
    schema = say.schema("s", KEY, id="integer")
    file = stage(lake, schema, [{"id": 1}, {"id": 2}])
    lake.load(schema, say.record("s", id=3), file, say.state(s=1))
    assert (adopted(lake), ids(lake)) == (1, [1, 2, 3])


@pytest.mark.parametrize("keys", [KEY, ()])
def test_append_takes_no_row_twice(lake, say, keys) -> None:
    """A run that sends a file again, behind the table's bookmark, adds nothing."""
    schema = say.schema("s", keys, id="integer")
    rows = [{"id": 1}, {"id": 2}]
    append = {"load_method": "append-only"}
    start = say.state(s={})
    lake.load(start, schema, stage(lake, schema, rows), say.state(s={"v": 1}), **append)
    again = stage(lake, schema, [*rows, {"id": 3}])
    lake.load(start, schema, again, say.state(s={"v": 2}), **append)
    assert (adopted(lake), ids(lake)) == (1, [1, 2, 3])
    more = stage(lake, schema, [{"id": 4}])
    start = say.state(s={"v": 2})
    lake.load(start, schema, more, say.state(s={"v": 3}), **append)
    assert (adopted(lake), ids(lake)) == (2, [1, 2, 3, 4])


def test_full_load_of_files_is_swapped_in_whole(lake, say) -> None:
    """A version that is cut stays invisible; the next one replaces all."""
    schema = say.schema("s", KEY, id="integer")
    lake.load(schema, say.activate("s", 1), stage(lake, schema, [{"id": 1}]),
              say.activate("s", 1), say.state(s={}))  # fmt: skip
    half = say.state(s={"full_table": {"version": 2}})
    cut = stage(lake, schema, [{"id": 2}])
    found = lake.load(schema, say.activate("s", 2), cut, half)
    assert (found.code, ids(lake)) == (75, [1])
    rest = stage(lake, schema, [{"id": 3}])
    messages = [half, schema, say.activate("s", 2), rest, say.activate("s", 2)]
    found = lake.load(*messages, say.state(s={}))
    assert (found.code, ids(lake), adopted(lake)) == (0, [2, 3], 3)


def test_rows_after_the_last_state_wait(lake, say) -> None:
    """An append that was cut publishes no file that no STATE covers."""
    schema = say.schema("s", (), id="integer")
    first, second = (stage(lake, schema, [{"id": i}]) for i in (1, 2))
    append = {"load_method": "append-only"}
    found = lake.load(schema, first, say.state(s={"v": 1}), second, **append)
    assert (found.code, ids(lake)) == (75, [1])


def test_bad_rows_of_a_file_are_dead_letters(lake, wide, say) -> None:
    """The same that their records would be, and no others."""
    rows = [row(1), row(None), row(3, u="no uuid"), row(4)]
    message = stage(lake, wide, rows)
    found = lake.load(wide, message, say.state(s=1), dead_letter={"max_ratio": 1})
    assert (found.code, ids(lake), adopted(lake)) == (0, [1, 4], 0)
    letters = [
        (d["stage"], d["path"], json.loads(d["record"])["t"]) for d in lake.dead()
    ]
    assert letters == [("key", "id", row(1)["t"]), ("schema", "u", row(1)["t"])]


def test_dates_beyond_the_calendar_are_no_rows(lake, wide, say) -> None:
    """Parquet holds a year 20000, no engine reads it."""
    schema = file_schema(wide["schema"]["properties"])
    good = pa.RecordBatch.from_pylist([row(1), row(2)], schema)
    days = pa.array([0, 7_000_000], pa.int32()).view(pa.date32())
    bad = good.set_column(2, schema.field("on"), days)
    path = lake.folder / "_staging/x.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_batches([bad]), path, compression="zstd")
    message = batch("s", path.as_uri())
    assert lake.load(wide, message, say.state(s=1)).code == 0
    [letter] = lake.dead()
    assert (ids(lake), letter["stage"], letter["path"]) == ([1], "cast", "on")


def test_other_types_are_read_as_records(lake, say) -> None:
    """As any tap writes them: text for moments, plain doubles for decimals."""
    schema = say.schema(
        "s",
        KEY,
        id="integer",
        at={"type": ["string", "null"], "format": "date-time"},
        n={"type": ["number", "null"]},
        b={"type": ["string", "null"], "contentEncoding": "base64"},
        o={"type": ["object", "null"]},
    )
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int32()),
            "at": pa.array([1, 10**9], pa.timestamp("ms")),
            "n": pa.array([0.5, float("inf")], pa.float32()),
            "b": [b"x", None],
            "o": [{"a": 1, "d": date(2024, 1, 1)}, None],
            "extra": [1, 2],
        }
    )
    path = lake.folder / "_staging/x.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    assert lake.load(schema, batch("s", path.as_uri()), say.state(s=1)).code == 0
    first, second = sorted(lake.rows("s"), key=lambda r: r["id"])
    assert first["at"] == datetime(1970, 1, 1, 0, 0, 0, 1000, timezone.utc)
    assert (first["n"], second["n"]) == (0.5, float("inf"))
    assert (first["b"], json.loads(first["o"])) == (b"x", {"a": 1, "d": "2024-01-01"})


def test_text_and_maps_are_what_records_would_bring(lake, say) -> None:
    """A text is a JSON string where anything may come, also inside; a map an object."""
    inner = {"type": ["object", "null"], "properties": {"x": {}}}
    anything = {"type": ["object", "null"]}
    schema = say.schema("s", KEY, id="integer", f={}, o=inner, m=anything)
    pairs = [[("a", 0.5), ("b", float("nan"))], []]
    table = pa.table(
        {
            "id": [1, 2],
            "f": ["a", "null"],
            "o": [{"x": "a"}, {"x": None}],
            "m": pa.array(pairs, pa.map_(pa.string(), pa.float64())),
        }
    )
    path = lake.folder / "_staging/x.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    assert lake.load(schema, batch("s", path.as_uri()), say.state(s=1)).code == 0
    assert lake.dead() == []
    assert lake.query("SELECT f, o.x, m FROM lake.s ORDER BY id") == [
        ('"a"', '"a"', '{"a":0.5,"b":"NaN"}'),
        ('"null"', None, "{}"),
    ]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "-03:30", "America/New_York"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_moments_of_other_zones_are_the_same_moments(lake, say, zone, unit) -> None:
    """Whatever offset a zone had, also one with seconds."""
    when = {"type": ["string", "null"], "format": "date-time"}
    schema = say.schema("s", KEY, id="integer", at=when)
    moments = [
        datetime(1880, 1, 1, 0, 0, 0, 120_000, timezone.utc),
        datetime(2024, 7, 1, tzinfo=timezone.utc),
    ]
    column = pa.array(moments, pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit, zone))
    path = lake.folder / "_staging/x.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2], "at": column}), path)
    assert lake.load(schema, batch("s", path.as_uri()), say.state(s=1)).code == 0
    assert lake.dead() == []
    found = sorted(lake.rows("s"), key=lambda row: row["id"])
    assert [row["at"] for row in found] == moments


def test_lines_of_other_taps(lake, say) -> None:
    """JSONL, packed or not, goes through the decoder of records."""
    schema = say.schema("s", KEY, id="integer", t="string")
    folder = lake.folder / "_staging"
    lines = [b'{"id": %d, "t": "x"}' % i for i in range(1, 4)]
    one = packed(folder, [*lines, b"", b'{"id": "no"}', b"{"])
    (folder / "b.jsonl").write_bytes(b'{"id": 9}\r\n')
    messages = [
        batch("s", one, kind="jsonl", compression="gzip"),
        batch("s", (folder / "b.jsonl").as_uri(), kind="jsonl", compression="none"),
    ]
    assert lake.load(schema, *messages, say.state(s=1)).code == 0
    stages = [letter["stage"] for letter in lake.dead()]
    assert (ids(lake), stages, staged(lake)) == ([1, 2, 3, 9], ["cast", "parse"], [])


@pytest.mark.parametrize("settings", [{}, {"add_record_metadata": True}])
def test_line_is_one_record_or_none(lake, say, settings) -> None:
    """Two objects on a line, or one on two lines, are dead letters, and no rows."""
    schema = say.schema("s", KEY, id="integer")
    lines = [b'{"id": 1}', b'{"id": 2}{"id": 3}', b'{"id":', b"4}", b'{"id": 5} ']
    lines += [b'{"id": 6}{"id":', b"7}"]
    url = packed(lake.folder / "_staging", lines)
    message = batch("s", url, kind="jsonl", compression="gzip")
    settings = {**settings, "dead_letter": {"max_ratio": 1}}
    assert lake.load(schema, message, say.state(s=1), **settings).code == 0
    stages = [letter["stage"] for letter in lake.dead()]
    assert (ids(lake), stages) == ([1, 5], ["parse"] * 5)


def test_column_that_is_new_goes_the_ordinary_way_once(lake, say) -> None:
    """The table grows by it; files of the new shape are adopted again."""
    old = say.schema("s", KEY, id="integer")
    new = say.schema("s", KEY, id="integer", t="string")
    lake.load(old, stage(lake, old, [{"id": 1}]), say.state(s=1))
    lake.load(new, stage(lake, new, [{"id": 2, "t": "x"}]), say.state(s=2))
    assert adopted(lake) == 1
    lake.load(new, stage(lake, new, [{"id": 3, "t": "y"}]), say.state(s=3))
    assert (adopted(lake), ids(lake)) == (2, [1, 2, 3])


def test_field_ids_of_another_order_are_not_trusted(lake, say) -> None:
    """A file whose ids would name other columns is read."""
    old = say.schema("s", KEY, t="string", id="integer")
    new = say.schema("s", KEY, id="integer", t="string")
    lake.load(old, say.record("s", id=1, t="x"), say.state(s=1))
    lake.load(new, stage(lake, new, [{"id": 2, "t": "y"}]), say.state(s=2))
    assert (adopted(lake), {r["id"]: r["t"] for r in lake.rows("s")}) == (
        0,
        {1: "x", 2: "y"},
    )


def test_other_roots_are_read_and_left_alone(lake, say, tmp_path) -> None:
    """Only files of the warehouse's own staging are deleted."""
    schema = say.schema("s", KEY, id="integer")
    url = packed(tmp_path / "exports", [b'{"id": 1}'])
    message = batch("s", url, kind="jsonl", compression="gzip")
    roots = {"batch_roots": [str(tmp_path / "exports")]}
    assert lake.load(schema, message, say.state(s=1), **roots).code == 0
    assert (ids(lake), (tmp_path / "exports/b.jsonl.gz").exists()) == ([1], True)


def test_old_files_are_swept(lake, say) -> None:
    """What a killed run has left goes after three days; younger files stay."""
    schema = say.schema("s", KEY, id="integer")
    stage(lake, schema, [{"id": 1}])
    [young] = staged(lake)
    old = young.with_name("old.parquet.tmp")
    old.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert lake.load(schema, say.record("s", id=2), say.state(s=1)).code == 0
    assert staged(lake) == [young]
    assert lake.load(schema, maintenance={"enabled": False}).code == 0


def test_commit_that_fails_leaves_the_file_to_the_next_run(
    lake, say, monkeypatch
) -> None:
    """Storage goes away before the catalog is asked: nothing of the file is lost."""
    schema = say.schema("s", KEY, id="integer")
    lake.load(schema)
    message = stage(lake, schema, [{"id": 1}])
    waiting = staged(lake)

    def fail(_writer):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(SnapshotWriter, "send", fail)
        assert lake.load(schema, message, say.state(s=1)).code == 75
    assert (staged(lake), lake.data_files()) == (waiting, set())
    assert lake.load(schema, message, say.state(s=1)).code == 0
    assert (ids(lake), adopted(lake), staged(lake)) == ([1], 1, [])


def test_refused_commit_adopts_again(lake, say, monkeypatch) -> None:
    """Each attempt has a name of its own for the file; one of them stays."""
    schema = say.schema("s", KEY, id="integer")
    lake.load(schema)
    message = stage(lake, schema, [{"id": 1}])
    send, sent = SnapshotWriter.send, []

    def refuse_once(writer):
        sent.append(writer)
        if len(sent) == 1:
            raise CommitFailedException
        send(writer)

    monkeypatch.setattr(SnapshotWriter, "send", refuse_once)
    assert lake.load(schema, message, say.state(s=1)).code == 0
    assert (len(sent), ids(lake), len(lake.data_files())) == (2, [1], 1)


def test_commit_whose_answer_is_lost_is_taken_once(lake, say, monkeypatch) -> None:
    """It has landed: the file is the table's, and gone from staging."""
    schema = say.schema("s", KEY, id="integer")
    lake.load(schema)
    message = stage(lake, schema, [{"id": 1}])
    send = SnapshotWriter.send

    def send_unheard(writer):
        send(writer)
        raise TimeoutError

    monkeypatch.setattr(SnapshotWriter, "send", send_unheard)
    assert lake.load(schema, message, say.state(s=1)).code == 0
    assert (ids(lake), adopted(lake), staged(lake)) == ([1], 1, [])
    assert len(lake.data_files()) == 1


def test_disk_without_links_gets_a_copy(lake, say, monkeypatch) -> None:
    """As another disk would."""

    def cannot(*_paths):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", cannot)
    schema = say.schema("s", KEY, id="integer")
    message = stage(lake, schema, [{"id": 1}])
    assert lake.load(schema, message, say.state(s=1)).code == 0
    assert (ids(lake), adopted(lake), staged(lake)) == ([1], 1, [])


def test_parquet_that_swells_is_refused(lake, say, monkeypatch) -> None:
    """The footer tells how large the pages are; ours are no bombs."""
    monkeypatch.setattr(batch_rows, "MAX_PARQUET_RATIO", 0)
    monkeypatch.setattr(batch_rows, "MAX_PARQUET_SLACK", 10)
    schema = say.schema("s", KEY, id="integer")
    found = lake.load(schema, stage(lake, schema, [{"id": 1}]), say.state(s=1))
    [letter] = lake.dead()
    assert (found.code, found.states, letter["stage"]) == (78, UNMOVED, "batch")


def test_file_of_a_stream_that_is_not_known(lake, say) -> None:
    """Its rows are nowhere, so its bookmark stays; files after it are refused too."""
    schema = say.schema("s", KEY, id="integer")
    message = stage(lake, schema, [{"id": 1}])
    found = lake.load(message, schema, message, say.state(s=1))
    letters = [letter["stage"] for letter in lake.dead()]
    assert (found.code, letters, len(staged(lake))) == (78, ["batch", "schema"], 1)


def test_maps_that_end_a_stream_end_all_that_it_becomes(lake, say) -> None:
    """A file that is refused is refused for each alias."""
    schema = say.schema("s", KEY, id="integer")
    maps = {"stream_maps": {"s": {"__alias__": "t"}}}
    gone = batch("s", (lake.folder / "_staging/gone.parquet").as_uri())
    later = say.record("s", id=1)
    found = lake.load(schema, gone, later, say.state(s=1), **maps)
    assert found.code == 78
    assert [letter["stage"] for letter in lake.dead()] == ["batch", "schema"]


def test_required_columns_and_columns_that_are_absent(lake, say) -> None:
    """Null is refused where a value is required; what the file lacks is null."""
    schema = say.schema("s", KEY, id="integer", v={"type": "string"}, w="string")
    schema["schema"]["required"] = ["v"]
    table = pa.table({"id": pa.array([1, 2]), "v": ["x", None]})
    path = lake.folder / "_staging/x.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    assert lake.load(schema, batch("s", path.as_uri()), say.state(s=1)).code == 0
    assert lake.rows("s") == [{"id": 1, "v": "x", "w": None}]
    assert [(d["stage"], d["path"]) for d in lake.dead()] == [("schema", "v")]


def test_years_inside_lists_are_looked_at(lake, say) -> None:
    """No engine reads them, so the file is refused, and its stream with it."""
    days = {"type": ["array", "null"], "items": {"type": "string", "format": "date"}}
    schema = say.schema("s", KEY, id="integer", l=days)
    numbers = pa.array([[7_000_000]], pa.list_(pa.field("element", pa.int32())))
    table = pa.table({"id": [1], "l": numbers.view(pa.list_(pa.date32()))})
    path = lake.folder / "_staging/x.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    found = lake.load(schema, batch("s", path.as_uri()), say.state(s=1))
    assert (found.code, [d["stage"] for d in lake.dead()]) == (78, ["batch"])


def test_line_that_is_too_long_is_a_dead_letter(lake, say) -> None:
    """In a file as in the pipe."""
    schema = say.schema("s", KEY, id="integer")
    lines = [b'{"id": 1}', b'{"id": 2, "v": "' + b"x" * 2000 + b'"}', b'{"id": 3}']
    url = packed(lake.folder / "_staging", lines)
    message = batch("s", url, kind="jsonl", compression="gzip")
    assert lake.load(schema, message, say.state(s=1), max_line_bytes=1024).code == 0
    assert (ids(lake), len(lake.dead())) == ([1, 3], 1)


def test_malformed_batch_ends_its_stream(lake, say) -> None:
    """A BATCH that is no message says nothing of its rows: the bookmark stays."""
    schema = say.schema("s", KEY, id="integer")
    broken = {"type": "BATCH", "stream": "s", "version": "x"}
    found = lake.load(schema, broken, say.state(s=1))
    assert (found.code, found.states) == (78, UNMOVED)
