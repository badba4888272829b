"""SQL is built from names and values that may hold anything."""

from __future__ import annotations

import pytest
from dativo_core.sql.chunks import pages_of_a_chunk
from tap_postgres import queries
from tap_postgres.bookmarks import (
    Activity,
    Bookmark,
    Checkpoint,
    Load,
    Snapshot,
    floor,
    usable,
)
from tap_postgres.queries import Cursor, Window

AT = Cursor("t", "at", "timestamptz", "timestamp with time zone")


def test_names_and_values_are_quoted():
    """No name and no value can end its quotes."""
    assert queries.DIALECT.qualified('a"b', "c.d") == '"a""b"."c.d"'
    assert queries.quote_literal("o'clock\\") == "'o''clock\\'"
    assert AT.literal("x'; --") == "'x''; --'::timestamp with time zone"


def test_a_number_is_compared_with_infinity_as_text():
    """Before version 14 a numeric has none, and the server refuses to make one."""
    assert '"n"::text NOT IN' in Cursor("t", "n", "numeric", "numeric").ordinary


@pytest.mark.parametrize(
    "text", ["'it''s ada'", r"E'it\'s ada'", "$$it's ada$$", "$x$ada $$ ada$x$"]
)
def test_no_spelling_of_a_value_gets_into_a_log(text):
    """Values of rows are what a clause compares with."""
    masked = queries.DIALECT.without_literals(f"a = {text} AND b = 'ada'")

    assert masked == "a = '***' AND b = '***'"


def test_a_select_joins_all_conditions():
    """Each condition stands alone, and a comment ends with its line."""
    sql = queries.DIALECT.select(
        '"t"', [("1", "a")], ["x = 1 OR y -- z", "b"], order="a", limit=3
    )

    assert sql == (
        'SELECT 1 AS "a" FROM "t" WHERE (x = 1 OR y -- z\n) AND (b\n) '
        "ORDER BY a LIMIT 3"
    )


def test_pages_are_half_open_ranges():
    """Neighbouring ranges share no page."""
    assert queries.pages(0, 5) == "ctid >= '(0,0)'::tid AND ctid < '(5,0)'::tid"


def test_a_window_of_ages_is_that_of_its_transactions():
    """Ages count back from the next transaction, which has age zero."""
    snapshot = Snapshot(horizon=100, next=110, cluster="c")

    assert snapshot.window(90, 100) == Window(youngest=11, oldest=20)
    assert snapshot.window(90, 100).sql == "age(xmin) BETWEEN 11 AND 20"
    assert snapshot.window(None, 100).sql == "NOT age(xmin) BETWEEN 0 AND 10"
    assert snapshot.since(100).sql == "age(xmin) BETWEEN 0 AND 10"


@pytest.mark.parametrize("epoch", [0, 1, 7])
@pytest.mark.parametrize("low", [3, 2**31 - 1, 2**31 + 5, 2**32 - 1])
def test_the_next_transaction_is_widened_to_64_bits(epoch, low):
    """`age()` counts in 32 bits with a sign; the snapshot in 64."""
    number = (epoch << 32) + low
    age = (low - 3 + 2**31) % 2**32 - 2**31

    for older in (0, 2):
        assert Snapshot.from_row(1, number - older, age, "").next == number


@pytest.mark.parametrize(
    ("horizon", "is_reachable"),
    [(2**32, True), (2**32 + 1, False), (2**32 - 2**31 + 10**7, False)],
)
def test_a_horizon_half_a_circle_away_cannot_be_compared(horizon, is_reachable):
    """Nor one that lies in the future."""
    snapshot = Snapshot(horizon=2**32, next=2**32, cluster="c")
    found = usable(Bookmark(5, horizon, "c", scan_from=4), snapshot)

    assert (found.horizon is not None) == is_reachable
    assert found.start == 4


def test_a_bookmark_without_floor_is_dropped_whole():
    """If any row may be unsent, no value bounds what is read again."""
    found = usable(Bookmark(5, 10, "other"), Snapshot(1, 20, "c"))

    assert found.start is None


def test_an_interrupted_plan_of_another_server_is_forgotten():
    """Its numbers mean nothing here."""
    partial = Bookmark(1, 10, "c", 1).interrupted(7, Bookmark(1, 15, "other", 1))

    assert usable(partial, Snapshot(16, 20, "c")) == Bookmark(1, 10, "c", 1)


def test_bookmarks_survive_their_way_through_state():
    """In the SDK's shape, with ours beside it."""
    planned = Bookmark(9, 20, "c", 7, (Checkpoint(1, 2, None),))
    bookmark = Bookmark(8, 10, "c", 6, (Checkpoint(0, 1, 0),)).interrupted(8, planned)

    assert Bookmark.from_state(bookmark.to_state("k"), "k") == bookmark
    assert Bookmark.from_state(bookmark.to_state("k"), "other") == Bookmark()


IDLE = Activity(1000, None, is_complete=True)
HIDDEN = Activity(1000, None, is_complete=False)
NOW = Checkpoint(1001, "now", 990)
HISTORY = (
    Checkpoint(100, "a", 100),
    Checkpoint(200, "b", 150),
    Checkpoint(300, "c", 300),
    Checkpoint(400, "d", 250),
)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (IDLE, IDLE, "now"),
        (IDLE, HIDDEN, "kept"),
        (
            Activity(990, 500, is_complete=True),
            Activity(1000, 500, is_complete=True),
            "b",
        ),
        (
            Activity(990, 350, is_complete=True),
            Activity(1000, 350, is_complete=True),
            "b",
        ),
        (
            Activity(990, 250, is_complete=True),
            Activity(1000, 250, is_complete=True),
            "a",
        ),
        (
            Activity(990, 50, is_complete=True),
            Activity(1000, 50, is_complete=True),
            "kept",
        ),
    ],
)
def test_the_floor_lies_below_every_row_that_is_unsent(before, after, expected):
    """Two checkpoints back from the oldest open transaction, or where it was."""
    previous = Bookmark("v", 10, "c", "kept", HISTORY)

    assert floor(previous, NOW, before, after) == expected


def test_a_chunk_holds_about_as_many_rows_as_asked():
    """From what is known of the table, or a guess."""
    assert pages_of_a_chunk(1000, 0, 0) == 10
    assert pages_of_a_chunk(1000, 50_000, 500) == 10
    assert pages_of_a_chunk(10, 10_000, 10) == 1


def test_a_load_survives_its_way_through_state():
    """And a stream without one has none."""
    load = Load(1, 2, 3, "c", "l")

    assert Load.from_state({"full_table": load.to_state()}) == load
    assert Load.from_state({}) is None
