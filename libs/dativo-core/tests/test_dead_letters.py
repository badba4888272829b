"""Refused records are kept durably, recognisably, and not without limit."""

from __future__ import annotations

import base64
import json
import stat
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from dativo_core.dead_letters import (
    DeadLetter,
    DeadLetterOffice,
    Limits,
    LocalFolder,
)
from dativo_core.errors import DataLimitError, ExitCode
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
