"""The loop: STATE after what it covers, full loads whole or not at all."""

from __future__ import annotations

import itertools
import json

import pytest
from dativo_core.dead_letters import DeadLetterOffice, Limits, LocalFolder
from target_parquet_iceberg.limits import Limits as CommitLimits
from target_parquet_iceberg.load import Load
from target_parquet_iceberg.messages import parse
from target_parquet_iceberg.state import is_clean, withhold

EVERY_STATE = {"commit_interval_seconds": 0}
APPEND = {"load_method": "append-only"}
OVERWRITE = {"load_method": "overwrite"}


def ids(lake, table="s"):
    """Return the ids in a table, as DuckDB reads them."""
    return [i for (i,) in lake.query(f"SELECT id FROM lake.{table} ORDER BY id")]


def of(bookmarks):
    """Return the value of a STATE."""
    return {"bookmarks": bookmarks}


class Journal:
    """A warehouse that writes down what happens, with the STATEs, in order."""

    def __init__(self, tmp_path, **settings):
        self.events = []
        ticks = itertools.count()
        self.load = Load(
            warehouse=self,
            dead_letters=DeadLetterOffice(LocalFolder(tmp_path), "r", Limits(1, 0, 9)),
            emit=lambda value: self.events.append(("STATE", value)),
            clock=lambda: next(ticks) * 0.001,
            settings=settings,
            limits=CommitLimits(rows=settings.pop("rows", 10**6)),
        )

    def maintain(self) -> None:
        """Look after nothing."""

    def table(self, plan):
        journal = self

        class Table:
            def has_bookmark(self):
                return False

            def commit(self, commit):
                rows = commit.rows.num_rows if commit.rows is not None else None
                event = (plan.stream, commit.method.value, rows, commit.bookmark)
                journal.events.append(event)

        return Table()

    def feed(self, *messages):
        for message in messages:
            parsed = parse(json.dumps(message).encode())
            method = type(parsed).__name__.lower().replace("activatev", "activate_v")
            getattr(self.load, method)(
                parsed.value if message["type"] == "STATE" else parsed
            )
        return self


def test_state_comes_after_every_table_of_its_barrier(tmp_path, say) -> None:
    """A STATE goes out once, after all the commits that it covers."""
    journal = Journal(tmp_path, rows=3)
    for stream in ("a", "b"):
        journal.feed(say.schema(stream, ("id",), id="integer"))
    journal.feed(say.record("a", id=1), say.state(a=1, b={}), say.record("b", id=1))
    assert journal.events == []
    journal.feed(say.record("a", id=2), say.state(a={"v": 2}, b={"v": 1}))
    journal.load.finish()
    barrier = of({"a": {"v": 2}, "b": {"v": 1}})
    commits = [("a", "upsert", 2, {"v": 2}), ("b", "upsert", 1, {"v": 1})]
    assert [*commits, ("STATE", barrier)] == journal.events


def test_bookmark_alone_is_a_commit_but_never_twice(tmp_path, say) -> None:
    """A bookmark without rows is stored too; an unchanged one is not stored again."""
    journal = Journal(tmp_path, rows=0)
    journal.feed(say.schema("a", ("id",), id="integer"), say.state(a={"v": 1}))
    journal.feed(say.state(a={"v": 1}), say.state(b={"v": 1}))
    states = [("STATE", of({"a": {"v": 1}})), ("STATE", of({"b": {"v": 1}}))]
    assert [("a", "upsert", None, {"v": 1}), *states] == journal.events


def test_swapped_table_is_not_emptied_by_a_later_bookmark(lake, say) -> None:
    """After a full load is in, a new bookmark alone leaves its rows alone."""
    outcome = lake.load(
        say.schema("s", id="integer"),
        say.record("s", 1, id=1),
        say.activate("s", 1),
        say.state(s={"v": 1}),
        say.state(s={"v": 2}),
        **EVERY_STATE,
    )
    assert (0, [of({"s": {"v": 1}}), of({"s": {"v": 2}})]) == (
        outcome.code,
        outcome.states,
    )
    assert ids(lake) == [1]


def test_rows_after_the_mark_join_their_version(lake, say) -> None:
    """More rows of a version that is in its table already do not replace it."""
    outcome = lake.load(
        say.schema("s", id="integer"),
        say.record("s", 1, id=1),
        say.activate("s", 1),
        say.state(s={"v": 1}),
        say.record("s", 1, id=2),
        say.state(s={"v": 2}),
        **EVERY_STATE,
    )
    assert outcome.code == 0
    assert ids(lake) == [1, 2]


def test_uncovered_rows_of_an_append_wait_for_the_next_run(lake, say) -> None:
    """Rows behind the last STATE would come twice: not published, exit code 75."""
    lines = [
        say.schema("s", id="integer"),
        say.record("s", id=1),
        say.state(s={"v": 1}),
        say.record("s", id=2),
    ]
    outcome = lake.load(*lines, **APPEND)
    assert (75, [of({"s": {"v": 1}})]) == (outcome.code, outcome.states)
    assert "middle of s" in outcome.errors[0]
    assert ids(lake) == [1]


def test_append_cut_before_its_first_bookmark(lake, say) -> None:
    """A stream whose first STATE never came is cut too, while others sent theirs."""
    outcome = lake.load(
        say.schema("a", id="integer"),
        say.record("a", id=1),
        say.state(a={"v": 1}),
        say.schema("b", id="integer"),
        say.record("b", id=1),
    )
    assert outcome.code == 75
    assert (ids(lake, "a"), ids(lake, "b")) == ([1], [])


@pytest.mark.parametrize("completion", [{}, {"completion": "eof"}])
def test_append_without_any_state(lake, say, completion) -> None:
    """A tap that sends no STATE at all has nothing to resume: all is published."""
    outcome = lake.load(
        say.schema("s", id="integer"), say.record("s", id=1), **completion
    )
    assert (outcome.code, ids(lake)) == (0, [1])


def full(say, *numbers, version=None):
    """Return the messages of a full load, without evidence that it is complete."""
    rows = [say.record("s", version, id=number) for number in numbers]
    return [say.schema("s", id="integer"), *rows]


CUTS = {
    "before its schema": lambda _say: [],
    "after its schema": full,
    "after the first mark": lambda say: [*full(say), say.activate("s", 2)],
    "between rows": lambda say: full(say, 3, version=2),
    "after the last row": lambda say: full(say, 3, 4, version=2),
    "behind a state": lambda say: [*full(say, 3), say.state(s={}), *full(say, 4)[1:]],
    "in a state that is not clean": lambda say: [
        *full(say, 3, version=2),
        {"type": "STATE", "value": {"currently_syncing": "s", "bookmarks": {}}},
    ],
    "with progress markers": lambda say: [
        *full(say, 3),
        say.state(s={"progress_markers": {}}),
    ],
    "by another version": lambda say: [
        *full(say, 3, version=2),
        say.activate("s", 2),
        say.record("s", 3, id=4),
    ],
}


@pytest.mark.parametrize("cut", CUTS)
def test_cut_full_load_leaves_the_old_table(lake, say, cut) -> None:
    """Without evidence that the tap finished, the old rows stay visible."""
    lake.load(*full(say, 1, 2), say.state(s={}), **OVERWRITE)
    assert ids(lake) == [1, 2]
    outcome = lake.load(*CUTS[cut](say), **OVERWRITE)
    assert (
        ids(lake),
        [s for s in outcome.states if s.get("bookmarks")],
    ) == ([1, 2], [])
    assert outcome.code == 75


@pytest.mark.parametrize("name", ["s", {"no": "name"}])
def test_announced_stream_that_does_not_come_is_cut(lake, name) -> None:
    """A tap that says what it is about to read, and then nothing, has not finished."""
    announced = {"type": "STATE", "value": {"currently_syncing": name, "bookmarks": {}}}
    outcome = lake.load(announced)
    assert outcome.code == 75
    assert f"middle of {name}" in outcome.errors[0]
    assert lake.load(announced, completion="eof").code == 0


EVIDENCE = {
    "the tap's mark": lambda say: [*full(say, 3, version=2), say.activate("s", 2)],
    "a clean final state": lambda say: [*full(say, 3), say.state(s={})],
}


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_full_load_is_swapped_on_evidence(lake, say, evidence) -> None:
    """A finished full load replaces all rows, in one snapshot."""
    lake.load(*full(say, 1, 2), say.state(s={}), **OVERWRITE)
    before = len(lake.table("s").snapshots())
    assert lake.load(*EVIDENCE[evidence](say), **OVERWRITE).code == 0
    assert ids(lake) == [3]
    assert before + 1 == len(lake.table("s").snapshots())


def test_end_of_file_is_evidence_on_request(lake, say) -> None:
    """With `completion: eof` the end of the input is enough."""
    lake.load(*full(say, 1), completion="eof", **OVERWRITE)
    assert lake.load(*full(say, 2), completion="eof", **OVERWRITE).code == 0
    assert ids(lake) == [2]


@pytest.mark.parametrize("evidence", ["mark", "state"])
def test_finished_empty_load_empties_the_table(lake, say, evidence) -> None:
    """A full load that proves to be empty leaves an empty table."""
    lake.load(*full(say, 1), completion="eof", **OVERWRITE)
    proof = {
        "mark": [say.activate("s", 2), say.activate("s", 2)],
        "state": [say.state(s={})],
    }[evidence]
    assert lake.load(*full(say), *proof, **OVERWRITE).code == 0
    assert ids(lake) == []


def test_newer_version_drops_the_rows_of_the_older(lake, say) -> None:
    """When a tap starts over, the rows of its first attempt are forgotten."""
    outcome = lake.load(
        *full(say, 1, version=1),
        say.record("s", 2, id=2),
        say.record("s", 2, id=3),
        say.activate("s", 2),
    )
    assert outcome.code == 0
    assert ids(lake) == [2, 3]


def test_second_version_in_one_run_replaces_the_first(lake, say) -> None:
    """Two full loads in one run: the later one stays."""
    lines = [*full(say, 1, version=1), say.activate("s", 1), say.state(s={"v": 1})]
    lines += [say.record("s", 2, id=2), say.activate("s", 2), say.state(s={"v": 2})]
    assert lake.load(*lines, **EVERY_STATE).code == 0
    assert ids(lake) == [2]


def test_bookmark_of_an_unfinished_full_load_is_withheld(lake, say) -> None:
    """STATE goes on for the others, without the stream that is not in its table."""
    outcome = lake.load(
        say.schema("a", ("id",), id="integer"),
        say.schema("s", id="integer"),
        say.record("a", id=1),
        say.record("s", id=1),
        say.state(a={"v": 1}, s={"v": 1}),
        say.record("s", id=2),
        **EVERY_STATE,
        streams={"s": {"load_method": "overwrite"}},
    )
    assert (75, [of({"a": {"v": 1}})]) == (outcome.code, outcome.states)


def test_state_of_any_shape_goes_through(lake, say) -> None:
    """States without bookmarks, or with odd ones, are passed on as they are."""
    values = [
        {"x": 1},
        {"bookmarks": None},
        {"bookmarks": [1]},
        {"bookmarks": {"s": 1}},
    ]
    outcome = lake.load(
        say.schema("s", ("id",), id="integer"),
        *({"type": "STATE", "value": value} for value in values),
        **EVERY_STATE,
    )
    assert (0, values) == (outcome.code, outcome.states)


def test_withhold_falls_back_to_what_was_emitted() -> None:
    """A held stream keeps the bookmark that is known to be durable."""
    state, earlier = of({"a": {"v": 2}, "b": {"v": 2}}), of({"b": {"v": 1}})
    assert of({"a": {"v": 2}, "b": {"v": 1}}) == withhold(state, ["b"], earlier)
    assert of({"b": {"v": 2}}) == withhold(state, ["a"], earlier)
    assert state == withhold(state, [], earlier)


@pytest.mark.parametrize(
    ("state", "clean"),
    [
        ({}, True),
        ({"currently_syncing": None}, True),
        ({"currently_syncing": "a"}, False),
        ({"current_stream": "a"}, False),
        (of({"s": {"partial": 1}}), False),
        (of({"other": {"partial": 1}}), True),
        ({"bookmarks": None}, True),
    ],
)
def test_is_clean(state, clean) -> None:
    """A state that names work in progress is not clean."""
    assert clean == is_clean(state, "s")


def test_schema_change_keeps_order(lake, say) -> None:
    """Rows under old and new schemas go in order: the newest wins, nulls fill up."""
    outcome = lake.load(
        say.schema("s", ("id",), id="integer", a="string"),
        say.record("s", id=1, a="old"),
        say.record("s", id=2, a="two"),
        say.schema("s", ("id",), id="integer", b="string"),
        say.record("s", id=1, b="new"),
        say.schema("s", ("id",), id="integer", a="string"),
        say.record("s", id=2, a="newest"),
    )
    assert outcome.code == 0
    query = "SELECT id, a, b FROM lake.s ORDER BY id"
    assert lake.query(query) == [(1, None, "new"), (2, "newest", None)]


def test_incompatible_schema_change_is_a_configuration_error(lake, say) -> None:
    """A column that changes its kind stops the run with both types in the message."""
    lake.load(say.schema("s", ("id",), id="integer"), say.record("s", id=1))
    outcome = lake.load(say.schema("s", ("id",), id="string"), say.record("s", id="1"))
    assert outcome.code == 78
    assert "'id' is int64" in outcome.errors[0]


def test_colliding_names_are_refused(lake, say) -> None:
    """Two streams that fold to one table stop the run before a row is taken."""
    lines = [say.schema(name, ("id",), id="integer") for name in ("a-B", "A_b")]
    outcome = lake.load(*lines)
    assert (outcome.code, outcome.states) == (78, [])
    assert "'a-B' and 'A_b'" in outcome.errors[0]


@pytest.mark.parametrize("stream", ["日本", "--", "x" * 200])
def test_unusable_stream_name_can_be_named_by_hand(lake, say, stream) -> None:
    """A name that makes no table name is refused, and the hinted setting helps."""
    lines = [say.schema(stream, ("id",), id="integer"), say.record(stream, id=1)]
    assert lake.load(*lines).code == 78
    named = {"streams": {"*": {"table": "t", "key_properties": None}}}
    assert lake.load(*lines, say.record(stream, id="x"), **named).code == 0
    assert ids(lake, "t") == [1]
    assert [stream] * 2 == [letter["stream"] for letter in lake.dead()]


def test_plan_refuses_what_cannot_be_loaded(lake, say) -> None:
    """No columns, columns that differ by case, unknown or nested keys: 78 each."""
    nested = {"type": "object", "properties": {"a": {"type": "string"}}}
    refused = [
        say.schema("s"),
        say.schema("s", id="integer", ID="integer"),
        say.schema("s", ("x",), id="integer"),
        say.schema("s", ("o",), o=nested),
    ]
    for schema in refused:
        outcome = lake.load(schema)
        assert (outcome.code, len(outcome.errors)) == (78, 1)


def test_settings_of_a_stream_override_by_glob(lake, say) -> None:
    """Later globs win over earlier ones, for the streams that they match."""
    streams = {"*": {"load_method": "append-only"}, "s?": {"table": "chosen"}}
    lines = [say.schema("s1", ("id",), id="integer")]
    lines += [say.record("s1", id=1), say.record("s1", id=1)]
    assert lake.load(*lines, streams=streams).code == 0
    assert ids(lake, "chosen") == [1]


BAD = b'{"type": "RECORD", "stream": "s", "record": {"id": "x"}}'


def test_dead_letters_tell_what_and_why(lake, say) -> None:
    """Each refused record is kept with its reason, once although it comes again."""
    lines = [
        say.schema("s", ("id",), id="integer"),
        BAD,
        say.record("s", id=None),
        say.record("unknown", id=1),
        say.record("日本", id=1),
        b"garbage",
        b'{"type":"RECORD","stream":"s","record":{"id":NaN}}',
        say.record("s", id=1),
        say.state(s={"v": 1}),
    ]
    outcome = lake.load(*lines)
    assert (0, [of({"s": {"v": 1}})]) == (outcome.code, outcome.states)
    letters = lake.dead()
    assert {
        ("s", "cast", "id"),
        ("s", "key", "id"),
        ("unknown", "schema", ""),
        ("日本", "schema", ""),
        ("_unparsed", "parse", ""),
    } == {(letter["stream"], letter["stage"], letter["path"]) for letter in letters}
    assert '{"id": "x"}' in {letter["record"] for letter in letters}
    first = sorted(letter["id"] for letter in letters)
    lake.load(*lines)
    assert first == sorted(letter["id"] for letter in lake.dead())


def test_too_many_dead_letters_stop_at_the_last_boundary(lake, say) -> None:
    """Exit code 65, the last durable STATE out, and nothing behind it published."""
    outcome = lake.load(
        say.schema("a", id="integer"),
        say.schema("s", id="integer"),
        say.record("s", id=1),
        say.record("a", id=1),
        say.state(s={"v": 1}),
        say.record("a", id=2),
        BAD,
        say.state(s={"v": 2}),
        dead_letter={"max_records": 0},
        **APPEND,
        **EVERY_STATE,
    )
    assert (65, [of({"s": {"v": 1}})]) == (outcome.code, outcome.states)
    assert "expected integer of 64 bits, found str" in outcome.errors[0]
    assert (ids(lake), ids(lake, "a")) == ([1], [1])


def test_ratio_counts_after_the_sample(lake, say) -> None:
    """One bad record in two is too much, but only once enough were seen."""
    lines = [say.schema("s", ("id",), id="integer"), BAD, say.record("s", id=1)]
    assert lake.load(*lines, dead_letter={"min_sample": 3}).code == 0
    assert lake.load(*lines, dead_letter={"min_sample": 2}).code == 65


def test_dead_letters_are_durable_before_the_commit(tmp_path, say) -> None:
    """When a table commits, the refused records of its block are on disk already."""
    journal = Journal(tmp_path)
    journal.feed(say.schema("s", ("id",), id="integer"), json.loads(BAD))
    journal.feed(say.record("s", id=1))
    found = []
    journal.load._streams["s"]._table.__class__.commit = lambda *_: found.extend(
        tmp_path.glob("s/*.jsonl")
    )
    journal.load.finish()
    assert len(found) == 1


def test_metadata_columns(lake, say) -> None:
    """With add_record_metadata the SDK's columns are there, filled or null."""
    extracted = {**say.record("s", 3, id=1), "time_extracted": "2024-02-29T12:00:00Z"}
    odd = {**say.record("s", id=2), "time_extracted": "noon"}
    lines = [say.schema("s", ("id",), id="integer"), extracted, odd]
    settings = {"add_record_metadata": True, "completion": "eof"}
    assert lake.load(*lines, **settings).code == 0
    first, second = sorted(lake.rows("s"), key=lambda row: row["id"])
    assert str(first["_sdc_extracted_at"]) == "2024-02-29 12:00:00+00:00"
    assert (first["_sdc_table_version"], first["_sdc_deleted_at"]) == (3, None)
    assert (second["_sdc_extracted_at"], second["_sdc_table_version"]) == (None, None)
    assert first["_sdc_received_at"] == first["_sdc_batched_at"]


def test_spilled_rows_are_all_there(lake, say, monkeypatch) -> None:
    """What goes to disk while it waits comes back in order."""
    monkeypatch.setattr("target_parquet_iceberg.limits.LEAST_BLOCK_BYTES", 100)
    rows = [say.record("s", id=number, n=number) for number in range(100)]
    again = [say.record("s", id=number, n=-number) for number in range(100)]
    schema = say.schema("s", ("id",), id="integer", n="integer")
    assert lake.load(schema, *rows, *again, buffer_max_bytes=1).code == 0
    assert lake.query("SELECT count(*), sum(n) FROM lake.s") == [(100, -4950)]


def test_unusable_schema_ends_its_stream_only(lake, say) -> None:
    """Others are committed, its bookmark stays, and the run ends with 78."""
    outcome = lake.load(
        say.state(s={"v": 0}, t={"v": 0}),
        say.schema("s", ("id",), id="integer"),
        say.schema("t", ("id",), id={"type": "text"}),
        say.record("t", id=1),
        say.record("s", id=1),
        say.state(s={"v": 1}, t={"v": 1}),
        **EVERY_STATE,
    )
    assert outcome.code == 78
    assert "Stream 't'" in outcome.errors[0]
    assert of({"s": {"v": 1}, "t": {"v": 0}}) == outcome.states[-1]
    assert ids(lake) == [1]
    (letter,) = lake.dead()
    assert tuple(letter[name] for name in ("stream", "stage", "record")) == (
        "t",
        "schema",
        '{"id": 1}',
    )


def test_stream_that_becomes_unusable_is_not_committed_further(lake, say) -> None:
    """What no commit has taken comes again, so nothing of it may be published now."""
    outcome = lake.load(
        say.schema("s", id="integer"),
        say.record("s", id=1),
        say.state(s={"v": 1}),
        say.record("s", id=2),
        say.schema("s"),
        say.record("s", id=3),
        say.state(s={"v": 3}),
        **APPEND,
        **EVERY_STATE,
    )
    assert (78, [of({"s": {"v": 1}})]) == (outcome.code, outcome.states)
    assert ids(lake) == [1]
    assert [letter["record"] for letter in lake.dead()] == ['{"id": 3}']


def test_unusable_stream_beyond_its_limits_lets_others_finish(lake, say) -> None:
    """Dead letters end at the limit; the run and the exit code do not change."""
    lines = [say.schema("t", id={"type": "text"}), say.schema("s", id="integer")]
    lines += [say.record("t", id=number) for number in range(1200)]
    outcome = lake.load(*lines, say.record("s", id=1), dead_letter={"max_records": 700})
    assert outcome.code == 78
    assert "of 1200 records, 1000 are dead letters" in outcome.errors[0]
    assert ids(lake) == [1]


def test_withheld_state_keeps_what_it_cannot_take_apart() -> None:
    """A state without bookmarks, or with a part for all streams, waits as a whole."""
    assert withhold({"lsn": 2}, ["a"], {"lsn": 1}) == {"lsn": 1}
    told = {"lsn": 1, "bookmarks": {"a": "x", "b": 1}}
    news = {"lsn": 2, "bookmarks": {"a": "y", "b": 2}, "currently_syncing": "b"}
    kept = {"lsn": 1, "bookmarks": {"a": "x", "b": 2}, "currently_syncing": "b"}
    assert kept == withhold(news, ["a"], told)


def test_version_beyond_its_column_is_a_dead_letter(lake, say) -> None:
    """As one that is no integer is."""
    messages = [say.schema("s", ("id",), id="integer"), say.record("s", 2**63, id=1)]
    messages += [say.record("s", 2**63 - 1, id=2), say.activate("s", 2**63 - 1)]
    found = lake.load(*messages, say.state(s={}), add_record_metadata=True)
    assert (found.code, [d["stage"] for d in lake.dead()]) == (0, ["parse"])
    assert [row["id"] for row in lake.rows("s")] == [2]


BY_ID, BY_BOTH = ("id",), ("id", "n")


def story(say, keys, *rows, at=None):
    """Return a SCHEMA with these keys, rows, and the STATE after them."""
    names = ("id", "n", "v")
    head = say.schema("s", keys, id="integer", n="integer", v="string")
    sent = [say.record("s", **dict(zip(names, row, strict=True))) for row in rows]
    return [head, *sent, *([] if at is None else [say.state(s={"v": at})])]


@pytest.mark.parametrize("settings", [{}, {"commit_max_rows": 1}])
@pytest.mark.parametrize(
    ("first", "at", "then", "stored"),
    [
        (BY_ID, 1, BY_BOTH, [(1, 2, "b"), (1, 3, "d")]),
        (BY_ID, None, BY_BOTH, [(1, 2, "b"), (1, 3, "d")]),
        (BY_ID, None, (), [(1, 2, "b"), (1, 3, "c"), (1, 3, "d")]),
        ((), 1, BY_ID, [(1, 3, "d")]),
    ],
)
def test_rows_are_told_apart_by_the_keys_they_came_under(
    lake, say, settings, first, at, then, stored
) -> None:
    """Other keys in mid-run hold for what follows, whenever a commit is due."""
    before = story(say, first, (1, 1, "a"), (1, 2, "b"), at=at)
    after = story(say, then, (1, 3, "c"), (1, 3, "d"), at=2)
    assert lake.load(*before, *after, **settings).code == 0
    assert lake.query("SELECT * FROM lake.s ORDER BY v") == stored


def test_keys_that_come_while_rows_wait_for_a_state_end_the_stream(lake, say) -> None:
    """Rows without a key that no STATE covers can be neither stored nor left out."""
    before = story(say, (), (1, 1, "a"))
    found = lake.load(*before, *story(say, BY_ID, (1, 2, "b"), at=1))
    assert (found.code, found.states) == (78, [{"bookmarks": {}}])
    assert "keys change" in found.errors[-1]


@pytest.mark.parametrize("method", [{}, {"load_method": "overwrite"}])
def test_keys_that_come_last_are_no_keys_of_rows_before(lake, say, method) -> None:
    """With hard deletes as well: rows before know of none."""
    before = story(say, (), (1, 1, "a"), (1, 2, "b"), at=1)
    found = lake.load(*before, *story(say, BY_ID, at=2), hard_delete=True, **method)
    is_held = bool(method)
    assert found.code == (78 if is_held else 0)
    rows = lake.query("SELECT n FROM lake.s ORDER BY n")
    assert rows == ([] if is_held else [(1,), (2,)])


@pytest.mark.parametrize("layout", [{}, {"sort_by": ["-n"]}], ids=str)
@pytest.mark.parametrize("more", [{}, {"buffer_max_bytes": 1}], ids=str)
@pytest.mark.parametrize("has_version", [True, False])
@pytest.mark.parametrize("kind", ["iceberg", "parquet"])
def test_a_full_load_has_a_key_once(lake, say, kind, has_version, more, layout) -> None:
    """The last row of a key wins in every format, with versions and without."""
    version = [1] if has_version else []
    covered = [
        (say.record("s", *version, id=id_, n=n), say.state(s={"v": at}))
        for at, (id_, n) in enumerate([(1, 1), (2, 1), (1, 3), (1, 2)])
    ]
    messages = [say.schema("s", ("id",), id="integer", n="integer")]
    messages += [message for pair in covered for message in pair]
    messages += [say.activate("s", 1)] if has_version else []
    chosen = {"format": kind, **OVERWRITE, **more}
    if kind == "iceberg":
        chosen["streams"] = {"s": layout}
    for _ in range(2):
        assert lake.load(*messages, say.state(s={"v": "end"}), **chosen).code == 0
    found = (
        lake.query("SELECT * FROM lake.s ORDER BY id")
        if kind == "iceberg"
        else lake.parquet("SELECT * FROM '{folder}/lake/s/*.parquet' ORDER BY id")
    )
    assert found == [(1, 2), (2, 1)]
