"""Large commits with partitions or an order: the files are those of small ones."""

from __future__ import annotations

import random

import pyarrow.parquet as pq
import pytest
from target_parquet_iceberg.arranged import ArrangedWriter

SMALL = {"buffer_max_bytes": 2_000, "commit_interval_seconds": 3600}
LAYOUTS = [
    {"partition_by": ["kind"]},
    {"partition_by": ["kind", "bucket(4, id)"], "sort_by": ["-score", "text"]},
    {"partition_by": ["bucket(100, id)"]},
    {"sort_by": ["score nulls last", "-kind"]},
    {"sort_by": ["text"], "properties": {"write.parquet.row-group-limit": 7}},
]


@pytest.fixture
def in_pieces(monkeypatch):
    """Let every load write in pieces from now on; count the loads that did."""
    loads = []
    write = ArrangedWriter.write_pieces

    def counted(self, pieces):
        loads.append(self)
        return write(self, pieces)

    def begin():
        prefix = "target_parquet_iceberg"
        monkeypatch.setattr(f"{prefix}.stream_load.LEAST_FILE_BYTES", 1)
        monkeypatch.setattr(f"{prefix}.limits.LEAST_BLOCK_BYTES", 500)
        monkeypatch.setattr(ArrangedWriter, "write_pieces", counted)
        return loads

    return begin


def rows_of(seed, keys):
    """Return records, each key several times, with values that are equal or null."""
    chosen = random.Random(seed)  # noqa: S311 the same rows in every run
    for _ in range(400):
        yield {
            "id": chosen.randrange(keys),
            "kind": chosen.choice(["a", "b", "c d/e", None]),
            "score": chosen.choice([1.5, -0.0, 0.0, "NaN", None, 7]),
            "text": chosen.choice(["x", "y" * 40, ""]) + str(chosen.randrange(50)),
        }


def messages(say, seed, keys):
    """Yield a stream; only some of its rows are covered before its end."""
    fields = {"id": "integer", "kind": "string", "text": "string"}
    score = {"type": ["number", "string", "null"], "format": "double"}
    yield say.schema("s", ("id",) if keys < 400 else (), score=score, **fields)
    for number, row in enumerate(rows_of(seed, keys)):
        yield say.record("s", **row)
        if number in {30, 31, 200}:
            yield say.state(s={"v": number})
    yield say.state(s={"v": "end"})


def contents(lake):
    """Return the rows of every data file in their order, by the file's folder."""
    found = []
    for path in lake.data_files():
        folder = path.parent.relative_to(lake.folder)
        rows = pq.ParquetFile(path).read(["id", "kind", "score", "text"])
        found.append((str(folder), str(rows.to_pylist())))
    return sorted(found)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(
    ("method", "keys"),
    [("upsert", 90), ("append-only", 90), ("append-only", 400), ("overwrite", 90)],
)
def test_pieces_make_the_files_of_the_whole(
    new_lake, say, in_pieces, layout, method, keys
) -> None:
    """The same rows in the same order, and each partition in one file."""
    settings = {"load_method": method, "streams": {"s": layout}}
    whole, parted = new_lake(), new_lake()
    stream = list(messages(say, 1, keys))
    assert whole.load(*stream, **settings).code == 0
    loads = in_pieces()
    assert parted.load(*stream, **settings, **SMALL).code == 0
    assert len(loads) == 1
    assert contents(parted) == contents(whole)


def with_deletions(stream, seed):
    """Let a third of the records tell that their row is deleted."""
    chosen = random.Random(seed)  # noqa: S311 as above
    for message in stream:
        if message["type"] == "SCHEMA":
            message["schema"]["properties"]["_sdc_deleted_at"] = {
                "type": ["string", "null"],
                "format": "date-time",
            }
        elif message["type"] == "RECORD" and chosen.random() < 1 / 3:
            message["record"]["_sdc_deleted_at"] = "2026-01-01T00:00:00Z"
        yield message


def check_alike(new_lake, in_pieces, streams, settings, columns):
    """Load whole commits, and the same in pieces: the rows are; return the latter."""
    whole, parted = new_lake(), new_lake()
    for stream in streams:
        assert whole.load(*stream, **settings).code == 0
    loads = in_pieces()
    for stream in streams:
        assert parted.load(*stream, **settings, **SMALL).code == 0
    assert len(loads) == len(streams)
    select = f"SELECT {columns} FROM lake.s ORDER BY ALL"
    assert str(parted.query(select)) == str(whole.query(select))
    return parted


@pytest.mark.parametrize("layout", [{}, *LAYOUTS[:2]], ids=str)
@pytest.mark.parametrize("has_column", [True, False])
def test_hard_delete_in_pieces(new_lake, say, in_pieces, layout, has_column) -> None:
    """Rows go that were stored before, or in the same commit; some come back."""
    stream = {"hard_delete": True, **layout}
    settings = {"streams": {"s": stream}, "load_method": "upsert"}
    streams = [
        list(with_deletions(messages(say, seed, 90), seed)) for seed in (1, 2, 3)
    ]
    if not has_column:
        for messages_of in streams:
            del messages_of[0]["schema"]["properties"]["_sdc_deleted_at"]
    parted = check_alike(new_lake, in_pieces, streams, settings, "*")
    [[count]] = parted.query("SELECT count(*) FROM lake.s")
    assert 0 < count < 90


@pytest.mark.parametrize("method", ["upsert", "overwrite"])
def test_rows_behind_a_new_column_decide_about_those_before(
    new_lake, say, in_pieces, method
) -> None:
    """They are in no file yet; what they delete or replace may be in one."""
    stream = list(with_deletions(messages(say, 1, 90), 1))
    head = say.schema("s", ("id",), id="integer", m="integer")
    gone = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    stream += [head, *(say.record("s", id=n, m=n) for n in range(0, 90, 3))]
    stream += [say.record("s", id=n, **gone) for n in range(0, 90, 5)]
    settings = {"hard_delete": True, "load_method": method}
    messages_of = [*stream, say.state(s={"v": 2})]
    check_alike(new_lake, in_pieces, [messages_of], settings, "id, kind, text, m")


def test_deleted_keys_keep_their_width(new_lake, say, in_pieces) -> None:
    """A key that is gone need not fit into the narrower type of a later SCHEMA."""
    wide = {"type": "integer"}
    narrow = {"type": "integer", "minimum": 0, "maximum": 9}
    gone = say.record("s", id=2**40, _sdc_deleted_at="2026-01-01T00:00:00Z")
    stream = [say.schema("s", ("id",), id=wide), say.record("s", id=1), gone]
    stream += [say.state(s={"v": 1}), say.schema("s", ("id",), id=narrow)]
    stream += [say.record("s", id=3), say.state(s={"v": 2})]
    settings = {"hard_delete": True}
    parted = check_alike(new_lake, in_pieces, [stream], settings, "id")
    assert parted.query("SELECT id FROM lake.s ORDER BY id") == [(1,), (3,)]


def test_deletions_alone_in_pieces(lake, say, in_pieces) -> None:
    """A commit may bring no row at all."""
    settings = {"streams": {"s": {"hard_delete": True}}}
    head = say.schema("s", ("id",), id="integer", _sdc_deleted_at="string")
    rows = [say.record("s", id=number) for number in range(5)]
    assert lake.load(head, *rows, say.state(s={"v": 1}), **settings).code == 0
    loads = in_pieces()
    at = "2026-01-01T00:00:00Z"
    gone = [say.record("s", id=number, _sdc_deleted_at=at) for number in (1, 3)]
    end = say.state(s={"v": 2})
    assert lake.load(head, *gone, end, **settings, **SMALL).code == 0
    assert len(loads) == 1
    assert lake.query("SELECT id FROM lake.s ORDER BY id") == [(0,), (2,), (4,)]


@pytest.mark.parametrize("method", ["upsert", "append-only"])
def test_second_load_finds_the_rows_of_the_first(
    new_lake, say, in_pieces, method
) -> None:
    """Upserts replace them; appends leave out those that come again."""
    settings = {"load_method": method, "streams": {"s": LAYOUTS[1]}}
    streams = [list(messages(say, seed, 90)) for seed in (1, 2)]
    check_alike(new_lake, in_pieces, streams, settings, "id, kind, score, text")


def test_piece_of_nothing_but_dead_letters(lake, say, in_pieces) -> None:
    """Its rows are none, and the others are stored."""
    in_pieces()
    head = say.schema("s", ("id",), id="integer")
    bad = [say.record("s", id="x"), say.state(s={"v": 1})]
    good = [say.record("s", id=1), say.state(s={"v": 2})]
    settings = {"streams": {"s": {"sort_by": ["id"]}}, "buffer_max_bytes": 1}
    stream = [head, *good, *bad * 20, *good]
    assert lake.load(*stream, **settings, commit_interval_seconds=3600).code == 0
    assert lake.query("SELECT id FROM lake.s") == [(1,)]
    assert len(lake.dead()) == 20


def test_failed_run_leaves_nothing_on_disk(
    lake, say, in_pieces, tmp_path, monkeypatch
) -> None:
    """Neither data files nor what waited to become one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "waiting"))
    (tmp_path / "waiting").mkdir()
    in_pieces()
    stream = [*messages(say, 1, 90)][:-1]
    limits = {"max_ratio": 0, "min_sample": 1, "max_records": 0}
    bad = say.record("s", id="x")
    settings = {"streams": {"s": LAYOUTS[0]}, "dead_letter": limits, **SMALL}
    assert lake.load(*stream, bad, **settings).code == 65
    assert not [path for path in lake.data_files() if "dlq" not in str(path)]
    assert list((tmp_path / "waiting").iterdir()) == []
