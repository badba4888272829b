"""What becomes of rows that the source has deleted."""

from __future__ import annotations

import pytest

GONE = "2026-11-24T12:00:00+00:00"


@pytest.fixture
def loaded(lake, say):
    """Ten rows are in the table."""
    rows = [say.record("s", id=number, v="old") for number in range(10)]
    done = lake.load(described(say), *rows, say.state(s={"at": 1}))
    assert done.code == 0
    return lake


def described(say, **more):
    """Return the SCHEMA of the stream."""
    return say.schema("s", ("id",), id="integer", v="string", **more)


def numbers(lake) -> list[int]:
    """Return the keys in the table."""
    return sorted(row["id"] for row in lake.rows("s"))


@pytest.mark.parametrize("is_declared", [False, True])
def test_hard(loaded, say, is_declared) -> None:
    """The rows go in the same commit that changes others; the mark is no column."""
    when = {"type": ["string", "null"], "format": "date-time"}
    more = {"_sdc_deleted_at": when} if is_declared else {}
    done = loaded.load(
        described(say, **more),
        say.record("s", id=3, _sdc_deleted_at=GONE),
        say.record("s", id=4, v="new", _sdc_deleted_at=None),
        say.record("s", id=77, _sdc_deleted_at=GONE),
        say.state(s={"at": 2}),
        hard_delete=True,
    )
    assert (done.code, done.errors) == (0, [])
    assert numbers(loaded) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert next(row["v"] for row in loaded.rows("s") if row["id"] == 4) == "new"
    assert is_declared == ("_sdc_deleted_at" in loaded.rows("s")[0])


@pytest.mark.parametrize("is_last", [True, False])
def test_last_word_decides(loaded, say, is_last) -> None:
    """Deleted then made anew, or the other way round, in one commit."""
    story = [
        say.record("s", id=3, v="new"),
        say.record("s", id=3, _sdc_deleted_at=GONE),
    ]
    story = story if is_last else story[::-1]
    done = loaded.load(described(say), *story, say.state(s={"at": 2}), hard_delete=True)
    assert done.code == 0
    assert (3 in numbers(loaded)) is not is_last


def test_nothing_but_deletes(loaded, say) -> None:
    """A commit may hold no row at all."""
    gone = [say.record("s", id=n, _sdc_deleted_at=GONE) for n in range(10)]
    done = loaded.load(described(say), *gone, say.state(s={"at": 2}), hard_delete=True)
    assert done.code == 0
    assert numbers(loaded) == []


def test_first_run(lake, say) -> None:
    """Deletes of rows that no table has yet; by the setting of the stream."""
    done = lake.load(
        described(say),
        say.record("s", id=1, v="here"),
        say.record("s", id=2, _sdc_deleted_at=GONE),
        say.state(s={"at": 1}),
        streams={"*": {"hard_delete": True}},
    )
    assert done.code == 0
    assert lake.rows("s") == [{"id": 1, "v": "here"}]


def test_soft(loaded, say) -> None:
    """By default the row stays, with the time; the schema need not know of it."""
    loaded.load(
        described(say),
        say.record("s", id=3, v="old", _sdc_deleted_at=GONE),
        say.state(s={"at": 2}),
        add_record_metadata=True,
    )
    marked = {row["id"] for row in loaded.rows("s") if row["_sdc_deleted_at"]}
    assert {3} == marked
    assert list(range(10)) == numbers(loaded)


def test_full_load(loaded, say) -> None:
    """A full load that carries deleted rows does not store them."""
    done = loaded.load(
        described(say),
        say.record("s", 7, id=1, v="new"),
        say.record("s", 7, id=2, v="new", _sdc_deleted_at=GONE),
        say.activate("s", 7),
        say.state(s={}),
        hard_delete=True,
    )
    assert done.code == 0
    assert numbers(loaded) == [1]


def test_appends_keep_every_record(loaded, say) -> None:
    """History is not deleted."""
    done = loaded.load(
        described(say),
        say.record("s", id=3, v="old", _sdc_deleted_at=GONE),
        say.state(s={"at": 2}),
        hard_delete=True,
        load_method="append-only",
    )
    assert done.code == 0
    assert 3 in numbers(loaded)


def test_deletions_need_only_the_keys(lake, say) -> None:
    """What the schema requires of rows, the record of a deletion cannot have."""
    described_strictly = say.schema("s", ("id",), id="integer", v={"type": "string"})
    described_strictly["schema"]["required"] = ["id", "v"]
    done = lake.load(
        described_strictly,
        say.record("s", id=1, v="here"),
        say.record("s", id=2, v="here"),
        say.record("s", id=2, _sdc_deleted_at=GONE),
        say.state(s={"at": 1}),
        hard_delete=True,
    )
    assert (done.code, lake.dead()) == (0, [])
    assert numbers(lake) == [1]
