"""Letters go out as messages under a name that is written down before."""

from __future__ import annotations

import itertools
import json

import pytest
from dativo_core import letter_files, replays
from dativo_core.dead_letters import (
    END_MARK,
    REPLAY_MARK,
    DeadLetter,
    DeadLetterOffice,
    Limits,
    LocalFolder,
)
from dativo_core.letter_files import taken_up

EVERYTHING = replays.Choice()


def letter(record=b'{"a": 1.10}', **changes):
    """Return a dead letter."""
    parts = {"stream": "s", "stage": "cast", "path": "a", "expected": "integer"}
    return DeadLetter(**{**parts, "found": "float", "record": record, **changes})


@pytest.fixture
def folder(tmp_path):
    """A folder with letters of two runs, one of them under a later SCHEMA."""
    folder = LocalFolder(tmp_path)
    for run, schema in (("1", {"a": 1}), ("2", {"a": 2})):
        office = DeadLetterOffice(folder, run, Limits(1))
        office.describe("s", schema, ("id",))
        office.accept("s", "s", [letter(b'{"a": %s.10}' % run.encode())], 1)
    return folder


def play(folder, letters=None):
    """Replay; return the replay and the messages."""
    out = []
    numbers = itertools.count(len(letter_files.replays(folder, "s")) + 1)
    played = replays.Replay(folder, "s", lambda: f"r{next(numbers)}", out.append)
    played.run(
        replays.waiting(folder, "s", set(), EVERYTHING) if letters is None else letters
    )
    return played, out


def test_messages_are_the_records_under_their_schemas(folder) -> None:
    """Each under its own SCHEMA, digit for digit, marked; the last SCHEMA says so."""
    played, out = play(folder)
    assert played.sent == {"r1": 2}
    schemas = [json.loads(line) for line in out if b'"SCHEMA"' in line]
    assert [(m["schema"]["a"], m["key_properties"]) for m in schemas] == [
        (1, ["id"]),
        (2, ["id"]),
        (2, ["id"]),
    ]
    assert {m["schema"][REPLAY_MARK] for m in schemas} == {"r1"}
    assert [m["schema"].get(END_MARK) for m in schemas] == [None, None, True]
    records = [b'"record": {"a": 1.10}}' in out[1], b'"record": {"a": 2.10}}' in out[3]]
    assert records == [True, True]


def test_replay_is_written_down_before_it_goes_out(folder) -> None:
    """Whoever dies while he writes has sent nothing that nobody knows of."""
    seen = []
    played = replays.Replay(
        folder, "s", lambda: "r1", lambda _: seen.append(taken_up(folder, "s", ["r1"]))
    )
    played.run(replays.waiting(folder, "s", set(), EVERYTHING))
    assert all(len(taken) == 2 for taken in seen)


def test_letters_that_are_no_records_stay(folder) -> None:
    """And those that came before any SCHEMA, or lack what is personal; all are told."""
    office = DeadLetterOffice(folder, "3", Limits(1))
    office.accept("s", "s", [letter(b"[1]"), letter(b"\xff"), letter(b"{", path="")], 3)
    office.accept("t", "s", [letter(stream="t")], 1)
    office.accept("s", "s", [letter(b'{"c": "***"}', masked=("c",))], 1)
    office.accept("s", "s", [letter(b'{"b": 1}', stage="schema")], 1)
    played, out = play(folder)
    assert played.sent == {"r1": 3}
    assert played.left == {
        replays.NO_RECORD: 3,
        replays.MASKED: 1,
        replays.NO_SCHEMA: 1,
    }
    assert b'"record": {"b": 1}}' in out[4]  # under the stream's latest


def test_nothing_to_send_is_no_replay(folder) -> None:
    """No name is used up for it."""
    played, out = play(folder, [])
    assert (out, played.sent, letter_files.replays(folder, "s")) == ([], {}, [])


def test_landed_letters_wait_no_more(folder) -> None:
    """Only the letters of that replay; one that comes again waits in a new file."""
    one = next(replays.waiting(folder, "s", set(), replays.Choice(runs=("1",))))
    play(folder, [one])
    (left,) = replays.waiting(folder, "s", {"r1"}, EVERYTHING)
    assert left.file == "2"
    for run in ("3", "4"):  # only the first one of these two writes it again
        office = DeadLetterOffice(folder, run, Limits(1))
        office.accept("s", "s", [letter(b'{"a": 1.10}')], 1)
    waiting = replays.waiting(folder, "s", {"r1"}, EVERYTHING)
    assert [("2", left.id), ("3", one.id)] == [(w.file, w.id) for w in waiting]
    landed = replays.of_replays(folder, "s", ["r1"])
    assert set() == replays.leaving(folder, "s", landed)
    assert replays.discard(folder, "s", landed) == 1
    assert [w.file for w in replays.waiting(folder, "s", set(), EVERYTHING)] == [
        "2",
        "3",
    ]


@pytest.mark.parametrize(
    ("choice", "files"),
    [
        (replays.Choice(), ["1", "2"]),
        (replays.Choice(runs=("2",)), ["2"]),
        (replays.Choice(stages=("key",)), []),
        (replays.Choice(ids=("none",)), []),
    ],
)
def test_choice(folder, choice, files) -> None:
    """Letters are chosen by run, stage and the beginning of their id."""
    found = list(replays.waiting(folder, "s", set(), choice))
    assert files == [one.file for one in found]
    for one in found:
        by_id = replays.Choice(ids=(one.id[:9],))
        assert [one] == list(replays.waiting(folder, "s", set(), by_id))


def test_discard_leaves_the_others(folder) -> None:
    """A file without letters goes, and so does a replay without any; SCHEMAs stay."""
    play(folder)
    first = replays.Choice(runs=("1",)).takes
    assert len(replays.leaving(folder, "s", first)) == 1
    assert replays.discard(folder, "s", first) == 1
    assert [p.run_id for p in _piles(folder)] == ["2"]
    assert letter_files.replays(folder, "s") == ["r1"]
    assert replays.discard(folder, "s", EVERYTHING.takes) == 1
    assert replays.folders(folder) == []
    assert {name.rpartition(".")[2] for name in folder.names("s")} == {"json"}
    assert letter_files.replays(folder, "s") == []


def _piles(folder):
    return replays.piles("s", replays.waiting(folder, "s", set(), EVERYTHING))


def test_cut_line_goes_with_its_file(folder, tmp_path) -> None:
    """What a kill has cut is no letter, and keeps no file alive."""
    file = tmp_path / "s/1.jsonl"
    file.write_bytes(file.read_bytes() + b'{"id": "')
    assert [p.count for p in _piles(folder)] == [1, 1]
    replays.discard(folder, "s", replays.Choice(runs=("1",)).takes)
    assert not file.exists()
