"""Full loads with a version: invisible until whole, continued after a cut."""

from __future__ import annotations

import pytest

EVERY_STATE = {"commit_max_rows": 1}


def marker(version: int, page: int) -> dict:
    """Return the bookmark of an unfinished full load of tap-postgres."""
    return {"full_table": {"version": version, "next_page": page}}


@pytest.fixture
def t(say):
    """Speak of one stream with a key."""

    class Stream:
        schema = say.schema("t", ("id",), id="integer", v="string")

        @staticmethod
        def row(version, number, value):
            return say.record("t", version, id=number, v=value)

        @staticmethod
        def state(bookmark):
            return say.state(t=bookmark)

        @staticmethod
        def version(number):
            return {"type": "ACTIVATE_VERSION", "stream": "t", "version": number}

    return Stream


@pytest.fixture
def loaded(lake, t):
    """Publish version 1 with two rows."""
    rows = (t.row(1, 1, "a"), t.row(1, 2, "a"))
    lake.load(t.schema, t.version(1), *rows, t.version(1), t.state({}), **EVERY_STATE)
    return lake


def present(lake) -> list:
    """Return what readers see."""
    return lake.query("SELECT id, v FROM lake.t ORDER BY id")


def test_whole_load_replaces_the_table(loaded, t) -> None:
    """Rows that the source no longer has are gone after the next full load."""
    lines = (t.version(2), t.row(2, 2, "b"), t.version(2), t.state({}))
    assert loaded.load(t.schema, *lines).code == 0
    assert present(loaded) == [(2, "b")]


def test_cut_load_stays_invisible_but_its_state_goes_out(loaded, t) -> None:
    """Readers keep the old version; the bookmark lets the tap go on; the code is 75."""
    lines = (t.version(2), t.row(2, 1, "b"), t.state(marker(2, 1)), t.row(2, 9, "b"))
    outcome = loaded.load(t.schema, *lines, **EVERY_STATE)
    assert outcome.code == 75
    assert outcome.states == [t.state(marker(2, 1))["value"]]
    assert present(loaded) == [(1, "a"), (2, "a")]


def test_cut_load_goes_on_where_it_stopped(loaded, t) -> None:
    """The second run adds the rest, and rows sent again count once."""
    lines = (t.version(2), t.row(2, 1, "b"), t.row(2, 2, "b"), t.state(marker(2, 1)))
    loaded.load(t.schema, *lines, **EVERY_STATE)
    rest = (t.version(2), t.row(2, 2, "bb"), t.row(2, 3, "b"), t.version(2))
    outcome = loaded.load(
        t.state(marker(2, 1)), t.schema, *rest, t.state({}), **EVERY_STATE
    )
    assert outcome.code == 0
    assert present(loaded) == [(1, "b"), (2, "bb"), (3, "b")]


def test_load_continued_after_its_publication_loses_nothing(loaded, t) -> None:
    """A tap that never heard of the publication sends the rest once more."""
    rest = (t.version(1), t.row(1, 2, "aa"), t.version(1), t.state({}))
    assert loaded.load(t.state(marker(1, 1)), t.schema, *rest).code == 0
    assert present(loaded) == [(1, "a"), (2, "aa")]


def test_newer_load_drops_the_cut_one(loaded, t) -> None:
    """Nothing of version 2 is in version 3, and its branch is forgotten."""
    cut = (t.version(2), t.row(2, 9, "b"), t.state(marker(2, 1)))
    loaded.load(t.schema, *cut, **EVERY_STATE)
    lines = (t.version(3), t.row(3, 1, "c"), t.version(3), t.state({}))
    loaded.load(t.schema, *lines, **EVERY_STATE)
    assert present(loaded) == [(1, "c")]
    assert set(loaded.table("t").refs()) == {"main", "dativo-fence"}


def test_load_of_an_empty_source_empties_the_table(loaded, t) -> None:
    """A finished version without rows is a table without rows."""
    assert loaded.load(t.schema, t.version(2), t.version(2), t.state({})).code == 0
    assert present(loaded) == []


def test_end_after_the_schema_proves_nothing(loaded, t) -> None:
    """A tap that dies before its first row leaves the table alone."""
    assert loaded.load(t.state({}), t.schema, t.version(2)).code == 75
    assert present(loaded) == [(1, "a"), (2, "a")]


def test_unknown_beginning_is_refused(loaded, t) -> None:
    """A tap may not continue a load whose beginning the table lacks."""
    rest = (t.version(7), t.row(7, 5, "x"), t.version(7), t.state({}))
    outcome = loaded.load(t.state(marker(7, 4)), t.schema, *rest)
    assert outcome.code == 78
    assert "goes on with full load 7" in outcome.errors[0]
    assert present(loaded) == [(1, "a"), (2, "a")]


def test_explicit_upsert_is_not_swapped(loaded, t) -> None:
    """With load_method upsert a version is no reason to drop rows."""
    lines = (t.version(2), t.row(2, 2, "b"), t.version(2), t.state({}))
    assert loaded.load(t.schema, *lines, load_method="upsert").code == 0
    assert present(loaded) == [(1, "a"), (2, "b")]
