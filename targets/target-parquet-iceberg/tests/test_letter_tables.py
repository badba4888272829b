"""Dead letters as tables: each once, and never in a table of others."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from dativo_core.dead_letters import DeadLetter
from dativo_core.errors import ConfigurationError, TryLaterError
from pyiceberg.exceptions import CommitFailedException, ServerError
from target_parquet_iceberg.bookmarks import open_bookmarks
from target_parquet_iceberg.iceberg import TABLE_PROPERTIES, IcebergTable
from target_parquet_iceberg.letter_tables import LetterTables
from target_parquet_iceberg.snapshots import SnapshotWriter

AT = "2026-11-25T12:00:00.000001+00:00"
BAD = b'{"type": "RECORD", "stream": "s", "record": {"id": "x"}}'
ANY = {"dead_letter": {"max_ratio": 1, "max_records": 10**6}}


def contents(*numbers, run="r"):
    """Return letters."""
    return [
        DeadLetter("s", "cast", "v", "integer", "str", b"%d" % number).content(run, AT)
        for number in numbers
    ]


@pytest.fixture
def tables(lake):
    """Open the tables of a warehouse as a run does; each call is another run."""
    return lambda: LetterTables(lake.catalog, "lake", TABLE_PROPERTIES, lambda _: None)


def records(lake, name="s__dlq"):
    """Return the records of a table of letters, sorted."""
    return sorted(row["record"] for row in lake.rows(name))


def test_row_says_all(lake, say) -> None:
    """The target's letters are rows that SQL can ask, with what their line has."""
    lake.load(say.schema("s", ("id",), id="integer"), BAD, say.record("s", id=1), **ANY)
    (line,) = lake.dead()
    (row,) = lake.rows("s__dlq")
    assert {name: row[name] for name in row if name != "written_at"} == {
        **{
            name: part for name, part in line.items() if name not in {"v", "written_at"}
        },
        "record_base64": None,
    }
    assert row["written_at"].isoformat(timespec="microseconds") == line["written_at"]
    found = lake.query("SELECT stage, path, expected FROM lake.s__dlq")
    assert found == [("cast", "id", "integer of 64 bits")]


def test_bytes_that_are_no_text(lake, say) -> None:
    """They are kept in base64."""
    raw = BAD.replace(b"x", b"\xff")
    lake.load(say.schema("s", ("id",), id="string"), raw, **ANY)
    (row,) = lake.rows("s__dlq")
    assert (row["record"], row["record_base64"]) == (None, "eyJpZCI6ICL/In0=")


def test_no_letters_no_table(lake, say) -> None:
    """And with the setting off there is none either, nor for plain Parquet."""
    lake.load(say.schema("s", ("id",), id="integer"), say.record("s", id=1))
    lines = [say.schema("t", id="integer"), BAD.replace(b'"s"', b'"t"')]
    off = {"dead_letter": {"table": False, "max_ratio": 1}}
    assert lake.load(*lines, **off).code == 0
    assert lake.load(*lines, format="parquet", **ANY).code == 0
    assert sorted(lake.catalog.list_tables("lake")) == [("lake", "s"), ("lake", "t")]
    assert len(lake.dead()) == 1


def test_letters_come_before_their_rows(lake, say, monkeypatch) -> None:
    """When rows become visible, the letters are; a run that dies repeats both."""
    lines = [say.schema("s", ("id",), id="integer"), BAD, say.record("s", id=1)]

    def die(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(IcebergTable, "commit", die)
        assert lake.load(*lines, **ANY).code == 75
    assert (len(lake.rows("s__dlq")), lake.rows("s")) == (1, [])
    assert lake.load(*lines, **ANY).code == 0
    assert (len(lake.rows("s__dlq")), len(lake.dead())) == (1, 1)
    assert lake.rows("s") == [{"id": 1}]


def test_letter_of_a_run_that_died_before_its_commit(lake, say, monkeypatch) -> None:
    """It is in the file already, and gets its row with the name of that run."""
    lines = [say.schema("s", ("id",), id="integer"), BAD, say.record("s", id=1)]

    def die(*_):
        raise ServerError

    with monkeypatch.context() as patch:
        patch.setattr(LetterTables, "keep", die)
        assert lake.load(*lines, **ANY).code == 75
    assert lake.load(*lines, **ANY).code == 0
    (line,) = lake.dead()
    assert [line["run_id"]] == [row["run_id"] for row in lake.rows("s__dlq")]


def test_limit_stops_the_run_and_keeps_the_letters(lake, say) -> None:
    """Exit code 65, the rows of the last boundary, and all letters in both places."""
    outcome = lake.load(
        say.schema("s", ("id",), id="integer"),
        say.record("s", id=1),
        say.state(s={"v": 1}),
        say.record("s", id=2),
        BAD,
        say.state(s={"v": 2}),
        streams={"s": {"dead_letter": {"max_records": 0}}},
        commit_interval_seconds=0,
    )
    assert (outcome.code, outcome.states) == (65, [{"bookmarks": {"s": {"v": 1}}}])
    assert lake.rows("s") == [{"id": 1}]
    assert (len(lake.dead()), len(lake.rows("s__dlq"))) == (1, 1)


def test_runs_share_a_table(lake, tables) -> None:
    """Each letter is there once, although neither run has seen the other's commit."""
    first, second = tables(), tables()
    first.keep("s", contents(1))
    second.keep("s", contents(1, 2))
    first.keep("s", contents(2, 3))
    second.keep("s", contents(3, 4))
    second.keep("s", contents(4, 4))
    assert records(lake) == ["1", "2", "3", "4"]


def test_answer_that_got_lost(lake, tables, monkeypatch) -> None:
    """A commit is looked up before it is made again; refused files are deleted."""
    send, faults = SnapshotWriter.send, []

    def fail(writer):
        fault = faults.pop() if faults else None
        if fault is not CommitFailedException:
            send(writer)
        if fault is not None:
            raise fault

    monkeypatch.setattr(SnapshotWriter, "send", fail)
    opened = tables()
    faults = [ServerError]
    opened.keep("s", contents(1))
    faults = [CommitFailedException]
    opened.keep("s", contents(2))
    assert records(lake) == ["1", "2"]
    assert len(list(lake.folder.glob("lake/s__dlq/data/*.parquet"))) == 2
    faults = [CommitFailedException] * 10
    with pytest.raises(TryLaterError, match="10 commits"):
        opened.keep("s", contents(3))


def test_discard(lake, tables) -> None:
    """Rows go by id; where there is nothing, nothing happens."""
    tables().discard("s", ["0" * 64])
    one, two = contents(1, 2)
    tables().keep("s", [one, two])
    snapshots = len(lake.table("s__dlq").snapshots())
    tables().discard("s", ["0" * 64])
    assert len(lake.table("s__dlq").snapshots()) == snapshots
    tables().discard("s", [one["id"]])
    assert records(lake) == ["2"]
    tables().keep("s", [one])
    assert records(lake) == ["1", "2"]


@pytest.mark.parametrize("name", ["s__dlq", "S__DLQ"])
def test_stream_cannot_take_the_name(lake, say, name) -> None:
    """A stream that is told to be such a table is refused; others are loaded."""
    lines = [
        say.schema("s", ("id",), id="integer"),
        say.schema("t", ("id",), id="integer"),
        BAD,
        say.record("s", id=1),
    ]
    streams = {"t": {"table": name}}
    outcome = lake.load(*lines, streams=streams, **ANY)
    assert outcome.code == 78
    assert "for tables of dead letters" in outcome.errors[-1]
    assert lake.rows("s") == [{"id": 1}]
    off = {"dead_letter": {"table": False, "max_ratio": 1}}
    assert lake.load(*lines[1:2], streams={"t": {"table": "t__dlq"}}, **off).code == 0


def test_no_stream_folds_to_the_name(lake, say) -> None:
    """`s__dlq` as a stream is table `s_dlq`."""
    lake.load(say.schema("s__dlq", id="integer"), say.record("s__dlq", id=1))
    assert lake.rows("s_dlq") == [{"id": 1}]


def test_somebody_elses_table(lake, say, tables) -> None:
    """It is left alone; the message says what to do."""
    lake.catalog.create_namespace("lake")
    lake.catalog.create_table("lake.s__dlq", pa.schema([("id", pa.string())]))
    with pytest.raises(ConfigurationError, match="holds no dead letters"):
        tables().discard("s", ["0" * 64])
    lines = [say.schema("s", ("id",), id="integer"), BAD]
    outcome = lake.load(*lines, **ANY)
    assert outcome.code == 78
    assert "dead_letter.table to false" in outcome.errors[-1]


def test_bookmarks_do_not_see_them(lake, say) -> None:
    """`dativo state show` and `set` are about the stream's own table."""
    lines = [say.schema("s", ("id",), id="integer"), BAD, say.state(s={"v": 1})]
    lake.load(*lines, **ANY)
    bookmarks = open_bookmarks({"warehouse": str(lake.folder)})
    bookmarks.store("s", {"v": 2})
    assert bookmarks.all() == {"s": {"v": 2}}
    assert "dativo.state" not in lake.table("s__dlq").properties


def replayed(say, *records, name="r1", ends=True, **properties):
    """Return a replay as `dativo dlq replay` prints it."""
    first, last = (say.schema("s", id="integer", **properties) for _ in range(2))
    first["schema"]["x-dativo.replay"] = last["schema"]["x-dativo.replay"] = name
    last["schema"]["x-dativo.replay-ends"] = True
    return [first, *records, *([last] if ends else [])]


@pytest.mark.parametrize("settings", [{}, {"completion": "eof"}, {"format": "parquet"}])
def test_replay_that_was_cut(lake, say, settings) -> None:
    """Nothing of it is stored or counted as landed; repeated, it arrives."""
    outcome = lake.load(*replayed(say, say.record("s", id=1), ends=False), **settings)
    assert (outcome.code, "middle of s" in outcome.errors[-1]) == (75, True)
    for _ in range(2):
        assert lake.load(*replayed(say, say.record("s", id=1)), **settings).code == 0
    assert stored(lake, settings) == [1]


@pytest.mark.parametrize("settings", [{}, {"format": "parquet"}])
def test_replay_replaces_nothing(lake, say, settings) -> None:
    """Not even where every load replaces the table."""
    chosen = {"load_method": "overwrite", "completion": "eof", **settings}
    lake.load(say.schema("s", id="integer"), say.record("s", id=1), **chosen)
    assert lake.load(*replayed(say, say.record("s", id=2)), **chosen).code == 0
    assert stored(lake, settings) == [1, 2]


def test_replays_do_not_mix(lake, say) -> None:
    """Two of one stream in one input are refused: nobody could tell which landed."""
    one, two = (replayed(say, say.record("s", id=1), name=n) for n in ("r1", "r2"))
    outcome = lake.load(*one, *two)
    assert outcome.code == 78
    assert "one after the other" in outcome.errors[-1]
    assert lake.rows("s") == []


def test_replay_has_been_through_the_maps(lake, say) -> None:
    """Letters hold mapped records, so they are not mapped again."""
    maps = {"stream_maps": {"s": {"v": "v + 1"}}}
    lake.load(say.schema("s", id="integer", v="integer"), **maps)
    record = say.record("s", id=1, v=1)
    assert lake.load(*replayed(say, record, v="integer"), **maps).code == 0
    assert lake.rows("s") == [{"id": 1, "v": 1}]


def stored(lake, settings):
    """Return the ids in table `s`, whatever it is made of."""
    if settings.get("format") != "parquet":
        return sorted(row["id"] for row in lake.rows("s"))
    sql = "SELECT id FROM read_parquet('{folder}/lake/s/*.parquet') ORDER BY id"
    return [number for (number,) in lake.parquet(sql)]


def test_summary_and_metric_tell_of_the_letters(lake, say, caplog) -> None:
    """One line a stream at the end, also for lines that belong to none."""
    caplog.set_level("INFO")
    lines = [say.schema("s", ("id",), id="integer"), BAD, b"garbage"]
    for _ in range(2):
        caplog.clear()
        lake.load(*lines, **ANY)
    said = [record.getMessage() for record in caplog.records]
    assert any(
        "1 records read, 0 stored in s, 1 dead letters, 1 of them known" in line
        for line in said
    )
    assert any(line.startswith("_unparsed: 1 dead letters") for line in said)
    metrics = [line.partition("METRIC: ")[2] for line in said if "METRIC" in line]
    found = {
        (m["metric"], m["tags"]["stream"], m["value"]) for m in map(json.loads, metrics)
    }
    assert {
        ("dead_letter_count", "s", 1),
        ("dead_letter_count", "_unparsed", 1),
    } <= found
