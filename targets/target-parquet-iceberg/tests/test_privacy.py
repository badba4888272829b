"""What a SCHEMA marks as personal is in no dead letter."""

from __future__ import annotations

import json

import pytest
from dativo_core.dead_letters import DeadLetter
from hypothesis import given
from hypothesis import strategies as st
from target_parquet_iceberg.privacy import Privacy, marks_of, mask

PRIVATE = {"type": "string", "x-pii": True}
SCHEMA = {
    "properties": {
        "id": {"type": "integer"},
        "email": PRIVATE,
        "address": {"properties": {"street": PRIVATE, "country": {}}},
        "friends": {"type": "array", "items": {"properties": {"name": PRIVATE}}},
        "either": {"anyOf": [{"type": "null"}, {"properties": {"x": PRIVATE}}]},
        "any": {"oneOf": [PRIVATE, {"type": "null"}]},
        "odd": 7,
    }
}
NARROW = {"properties": {"address": {"properties": {"street": PRIVATE}}}}
OTHER = {"properties": {"address": {"properties": {"city": PRIVATE}}}}
WIDE = {"properties": {"address": PRIVATE}}


@pytest.mark.parametrize(
    ("record", "expected", "masked"),
    [
        ('{"id":1.50}', '{"id":1.50}', ()),
        ('{"id": 1, "email": null}', '{"id": 1, "email": null}', ()),
        ('{"id": 1e3, "email": "a@b"}', '{"id":1e3,"email":"***"}', ("email",)),
        (
            '{"address":{"street":"s","country":"c"}}',
            '{"address":{"street":"***","country":"c"}}',
            ("address.street",),
        ),
        (
            '{"friends":[{"name":"n"},{"name":"m"}]}',
            '{"friends":[{"name":"***"},{"name":"***"}]}',
            ("friends[].name",),
        ),
        ('{"either":{"x":"p"}}', '{"either":{"x":"***"}}', ("either.x",)),
        ('{"any":"p"}', '{"any":"***"}', ("any",)),
        ('{"address":"all in one"}', '{"address":"***"}', ("address",)),
        ('{"friends":{"name":"n"}}', '{"friends":"***"}', ("friends",)),
        ('{"email":"a","email":"b"}', '{"email":"***"}', ("email",)),
        ("[1]", '"***"', ("",)),
        ('{"email":"\ud800"}', '{"email":"***"}', ("email",)),
        ('{"email":"a"', '"***"', ("",)),
    ],
)
def test_what_is_marked_is_masked(record, expected, masked) -> None:
    """All else keeps its own spelling; what has another shape is masked whole."""
    raw = record.encode("utf8", "surrogatepass")
    assert mask(raw, marks_of(SCHEMA)) == (expected.encode(), masked)


@given(st.text(min_size=8, alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_spelling_survives(value) -> None:
    """Whatever the value is, and however JSON spells it."""
    for is_ascii in (True, False):
        record = {"id": 1, "email": value}
        raw = json.dumps(record, ensure_ascii=is_ascii).encode()
        text, masked = mask(raw, marks_of(SCHEMA))
        assert json.loads(text) == {"id": 1, "email": "***"}
        assert masked == ("email",)


def letter(stream, record, stage="cast"):
    """Return a dead letter."""
    return DeadLetter(stream, stage, "id", "integer", "string", record)


def test_a_letter_tells_what_is_masked() -> None:
    """Its line names the paths; other streams are left alone."""
    privacy = Privacy()
    privacy.declare("s", SCHEMA)
    privacy.declare("plain", {"properties": {"email": {}}})
    found = privacy.letter(letter("s", b'{"id":"x","email":"a@b"}'))
    assert json.loads(found.line("run"))["masked"] == ["email"]
    assert b"a@b" not in found.line("run")
    other = letter("plain", b'{"email":"a@b"}')
    assert privacy.letter(other) is other
    assert "masked" not in json.loads(other.line("run"))


def test_a_line_that_is_no_message_may_hold_anything() -> None:
    """It is kept as long as no stream has marks."""
    line = letter("_unparsed", b"INFO a@b", "parse")
    privacy = Privacy()
    privacy.declare("plain", {"properties": {"email": {}}})
    assert privacy.letter(line) is line
    privacy.declare("s", SCHEMA)
    assert privacy.letter(line).record == b'"***"'


@pytest.mark.parametrize("schemas", [(WIDE, NARROW), (NARROW, WIDE), (NARROW, OTHER)])
def test_what_any_of_several_marks_is_masked(schemas) -> None:
    """Whether they are options, or a stream has them one after the other."""
    record = b'{"address":{"street":"s","city":"s"}}'
    street_only = mask(record, marks_of({"anyOf": [NARROW]}))[1]
    assert street_only == ("address.street",)

    text, _ = mask(record, marks_of({"anyOf": [*schemas]}))
    privacy = Privacy()
    for schema in schemas:
        privacy.declare("s", schema)

    assert b'"s"' not in text
    assert b'"s"' not in privacy.letter(letter("s", record)).record


def test_what_was_personal_stays_it() -> None:
    """Another SCHEMA without the mark reveals nothing of the records before it."""
    privacy = Privacy()
    privacy.declare("s", SCHEMA)
    privacy.declare("s", {"properties": {"email": {}}})
    assert privacy.letter(letter("s", b'{"email":"a@b"}')).masked == ("email",)
