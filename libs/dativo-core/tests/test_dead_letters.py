"""Refused records are kept durably, recognisably, and not without limit."""

from __future__ import annotations

import base64
import json
import stat
import threading
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from dativo_core.dead_letters import (
    END_MARK,
    HELD_BYTES,
    REPLAY_MARK,
    DeadLetter,
    DeadLetterOffice,
    Limits,
    LocalFolder,
)
from dativo_core.errors import DataLimitError, ExitCode
from dativo_core.letter_files import kept_letters
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
NOON_TEXT = "2026-11-25T12:00:00.000000+00:00"
LETTER = DeadLetter("s", "cast", "a.b", "integer", "str", b'{"a":1}')


@given(st.binary() | st.text().map(lambda text: text.encode(errors="replace")))
def test_line_holds_the_record_exactly(record) -> None:
    """Any bytes come back: as text where they are text, else in base64."""
    line = DeadLetter("s", "parse", "", "JSON", "?", record).line("run")
    assert line.count(b"\n") == 1
    content = json.loads(line)
    text = content.get("record")
    kept = base64.b64decode(content["record_base64"]) if text is None else text.encode()
    assert record == kept


def test_line_says_what_and_why() -> None:
    """Every promised field is there."""
    content = json.loads(LETTER.line("run-1", "2026-11-25T00:00:00+00:00", "5ce"))
    expected = {
        "v": 1,
        "id": LETTER.id,
        "run_id": "run-1",
        "stream": "s",
        "stage": "cast",
        "category": "data",
        "path": "a.b",
        "expected": "integer",
        "found": "str",
        "contract_version": None,
        "schema": "5ce",
        "written_at": "2026-11-25T00:00:00+00:00",
        "record": '{"a":1}',
    }
    assert expected == content


def test_id_depends_on_record_and_reason_only() -> None:
    """The same refusal has the same id in every run; any other has its own."""
    others = [
        DeadLetter("t", "cast", "a.b", "integer", "str", b'{"a":1}'),
        DeadLetter("s", "key", "a.b", "integer", "str", b'{"a":1}'),
        DeadLetter("s", "cast", "a", "integer", "str", b'{"a":1}'),
        DeadLetter("s", "cast", "a.b", "text", "str", b'{"a":1}'),
        DeadLetter("s", "cast", "a.b", "integer", "str", b'{"a":2}'),
    ]
    assert len({LETTER.id, *(letter.id for letter in others)}) == 6
    same = DeadLetter("s", "cast", "a.b", "integer", "other words", b'{"a":1}')
    assert LETTER.id == same.id


@pytest.mark.parametrize(
    ("dead", "seen", "exceeded"),
    [
        (0, 0, False),
        (10, 99, False),
        (10, 100, False),
        (11, 100, True),
        (51, 9999, True),
    ],
)
def test_limits(dead, seen, exceeded) -> None:
    """The ratio counts after the sample, the number always."""
    assert exceeded == Limits(0.1, 100, 50).exceeded(dead, seen)


def test_office_writes_then_counts(tmp_path) -> None:
    """Letters are in their file, for their owner only, before the limit is checked."""
    office = DeadLetterOffice(
        LocalFolder(tmp_path), "r", Limits(1, 0, 1), now=lambda: NOON
    )
    office.accept("s", "folder", [], 9)
    assert office.counts == {}
    office.accept("s", "folder", [LETTER], 1)
    with pytest.raises(
        DataLimitError, match=r"'s': 2 of 2 .*'a\.b'.*found str"
    ) as caught:
        office.accept("s", "folder", [LETTER], 2)
    assert caught.value.exit_code == ExitCode.DATA_LIMIT
    file = tmp_path / "folder/r.jsonl"
    lines = [one.line("r", NOON_TEXT) for one in (LETTER, replace(LETTER, copy=1))]
    assert b"".join(lines) == file.read_bytes()
    assert ({"s": 2}, {"s": str(file)}) == (office.counts, office.files)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_office_raises_the_error_of_the_stage(tmp_path) -> None:
    """A plugin may name its own error for a stage."""

    class KeyLimitError(DataLimitError):
        pass

    errors = {"key": KeyLimitError}
    office = DeadLetterOffice(LocalFolder(tmp_path), "r", Limits(1, 0, 0), errors)
    keyless = DeadLetter("s", "key", "", "a value", "null", b"{}")
    with pytest.raises(KeyLimitError):
        office.accept("s", "s", [keyless], 1)


class Rows:
    """A mirror that remembers what it was given."""

    def __init__(self):
        self.kept = []

    def keep(self, name, letters):
        self.kept.append((name, [letter["id"] for letter in letters]))


def test_next_run_knows_the_letters_of_a_dead_one(tmp_path) -> None:
    """What comes again is counted, not written again, and reaches the mirror."""
    DeadLetterOffice(LocalFolder(tmp_path), "1", Limits()).accept("s", "s", [LETTER], 1)
    rows = Rows()
    office = DeadLetterOffice(LocalFolder(tmp_path), "2", Limits(), mirror=rows)
    other = replace(LETTER, record=b"{}")
    office.accept("s", "s", [LETTER, other], 2)
    assert (
        office.counts,
        office.summary("s"),
    ) == ({"s": 2}, "2 dead letters, 1 of them known already")
    found = {(one.file, one.id) for one in kept_letters(LocalFolder(tmp_path), "s")}
    assert {("1", LETTER.id), ("2", other.id)} == found
    assert rows.kept == []
    office.settle()
    office.settle()
    assert [("s", [LETTER.id, other.id])] == rows.kept


def test_equal_records_of_one_run_all_count(tmp_path) -> None:
    """A stream without keys may hold them; the next run knows each."""
    for run in ("1", "2"):
        office = DeadLetterOffice(LocalFolder(tmp_path), run, Limits())
        office.accept("s", "s", [LETTER, LETTER], 2)
        office.accept("s", "s", [LETTER], 3)
    found = [one.id for one in kept_letters(LocalFolder(tmp_path), "s")]
    assert (len(found), len(set(found))) == (3, 3)


def test_line_that_a_kill_has_cut_is_no_letter(tmp_path) -> None:
    """Half a line is passed over: its record comes again, and is written again."""
    office = DeadLetterOffice(LocalFolder(tmp_path), "1", Limits())
    office.accept("s", "s", [LETTER], 1)
    file = tmp_path / "s/1.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    office = DeadLetterOffice(LocalFolder(tmp_path), "2", Limits())
    office.accept("s", "s", [LETTER], 1)
    (kept,) = kept_letters(LocalFolder(tmp_path), "s")
    assert ("2", LETTER.id) == (kept.file, kept.id)


def test_schema_lies_beside_its_letters(tmp_path) -> None:
    """Once for each, for its owner only, without the marks of a replay."""
    office = DeadLetterOffice(LocalFolder(tmp_path), "1", Limits())
    office.accept("s", "s", [LETTER], 1)
    marks = {REPLAY_MARK: "r", END_MARK: True}
    for schema in ({"a": 1}, {"a": 1, **marks}, {"a": 2}):
        office.describe("s", schema, ("id",))
        office.accept("s", "s", [LETTER], 1)
    office.describe("s", None, ())
    office.accept("s", "s", [LETTER], 1)
    files = sorted(tmp_path.glob("s/*.schema.json"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    kinds = [json.loads(file.read_bytes())["schema"] for file in files]
    assert sorted(kinds, key=str) == [{"a": 1}, {"a": 2}]
    named = [one.content["schema"] for one in kept_letters(LocalFolder(tmp_path), "s")]
    assert (named[0], named[1], named[4]) == (None, named[2], None)
    assert {f"{name}.schema.json" for name in named if name} == {f.name for f in files}


def test_stream_has_its_own_limits(tmp_path) -> None:
    """And what is over them reaches the mirror before the run stops."""
    rows = Rows()
    own = {"t": Limits(1, 0, 0)}.get
    office = DeadLetterOffice(
        LocalFolder(tmp_path), "1", Limits(1, 0, 9), mirror=rows, limits_of=own
    )
    office.accept("s", "s", [LETTER], 1)
    with pytest.raises(DataLimitError, match="Stream 't'"):
        office.accept("t", "t", [replace(LETTER, stream="t")], 1)
    assert {name for name, _ in rows.kept} == {"s", "t"}


def test_much_that_waits_goes_to_the_mirror_early(tmp_path) -> None:
    """The letters of a long commit do not pile up in memory."""
    rows = Rows()
    office = DeadLetterOffice(LocalFolder(tmp_path), "1", Limits(1), mirror=rows)
    for number in range(3):
        large = b"%d" % number + b"x" * (HELD_BYTES // 2)
        office.accept("s", "s", [replace(LETTER, record=large)], number)
    assert [len(ids) for _, ids in rows.kept] == [2]


def test_rewrite_waits_for_the_run_that_appends(tmp_path) -> None:
    """Nothing that a run adds meanwhile is lost; an empty file goes."""
    folder = LocalFolder(tmp_path)
    folder.append("s/1.jsonl", b"a\n")
    added = threading.Thread(target=folder.append, args=("s/1.jsonl", b"b\n"))

    def change(content):
        added.start()
        return content.upper()

    folder.rewrite("s/1.jsonl", change)
    added.join()
    assert folder.read("s/1.jsonl") == b"A\nb\n"
    folder.rewrite("s/1.jsonl", lambda _: b"")
    assert (folder.names(), folder.read("s/1.jsonl")) == ([], b"")
