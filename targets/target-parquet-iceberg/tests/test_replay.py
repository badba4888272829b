"""Appends are exactly once: rows that come again are recognised."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from target_parquet_iceberg.maintenance import Maintenance
from target_parquet_iceberg.policy import Budget, Policy
from target_parquet_iceberg.replay import Seen, fingerprints

APPEND = {"load_method": "append-only", "commit_max_rows": 1}
SCALARS = st.none() | st.text(max_size=3)


@given(st.lists(st.tuples(SCALARS, SCALARS), max_size=8))
@settings(deadline=None)
def test_fingerprints_are_equal_as_rows_are(rows) -> None:
    """No two different rows look alike, whatever their text, nulls included."""
    table = pa.table(
        {
            "a": pa.array([a for a, _ in rows], pa.string()),
            "b": pa.array([b for _, b in rows], pa.string()),
        }
    )
    assert len(set(fingerprints(table, ["a", "b"]).to_pylist())) == len(set(rows))


@pytest.mark.parametrize(("once", "expected"), [(True, 0), (False, 1)])
def test_copies_count_without_keys_only(once, expected) -> None:
    """One copy in the table stands for all rows with its key, or else for one."""
    seen = Seen(once=once)
    seen.add(pa.array([b"x"], pa.large_binary()))
    found = seen.is_new(pa.array([b"x", b"x"], pa.large_binary()))
    assert sum(found.to_pylist()) == expected


def stored(lake) -> list:
    """Return the rows of the table."""
    return lake.query("SELECT id, v FROM lake.t ORDER BY ALL")


def rows(say, *pairs) -> list:
    """Return records of the stream."""
    return [say.record("t", id=number, v=value) for number, value in pairs]


@pytest.mark.parametrize("keys", [(), ("id",)])
def test_rows_that_a_crash_repeats_are_stored_once(lake, say, keys) -> None:
    """A tap that starts from nothing again adds only what the table lacks."""
    schema = say.schema("t", keys, id="integer", v="string")
    first = rows(say, (1, "a"), (2, None))
    lake.load(schema, *first, say.state(t={"c": 2}), **APPEND)
    again = [first[0], say.state(t={"c": 1}), first[1], *rows(say, (3, "c"))]
    assert lake.load(schema, *again, say.state(t={"c": 3}), **APPEND).code == 0
    assert stored(lake) == [(1, "a"), (2, None), (3, "c")]


def test_equal_rows_of_a_source_without_key_all_count(lake, say) -> None:
    """Two equal rows stay two; a third one in the repetition is a new one."""
    schema = say.schema("t", (), id="integer", v="string")
    twice = rows(say, (1, "a"), (1, "a"))
    lake.load(schema, *twice, say.state(t={"c": 1}), **APPEND)
    thrice = rows(say, (1, "a"), (1, "a"), (1, "a"))
    lake.load(schema, *thrice, say.state(t={"c": 2}), **APPEND)
    assert stored(lake) == [(1, "a")] * 3


def test_only_rows_after_the_start_can_come_again(lake, say) -> None:
    """A run that starts from an older bookmark repeats what came after it."""
    schema = say.schema("t", (), id="integer", v="string")
    lake.load(schema, *rows(say, (1, "a")), say.state(t={"c": 1}), **APPEND)
    lake.load(
        say.state(t={"c": 1}),
        schema,
        *rows(say, (2, "b")),
        say.state(t={"c": 2}),
        **APPEND,
    )
    again = rows(say, (1, "a"), (2, "b"))
    lake.load(say.state(t={"c": 1}), schema, *again, say.state(t={"c": 3}), **APPEND)
    assert stored(lake) == [(1, "a"), (1, "a"), (2, "b")]


LOSSES = {
    "nothing": None,
    "merged files": Policy(keep_snapshots=100, keep_days=1),
    "expired snapshots": Policy(keep_snapshots=1, keep_days=0),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_new_rows_that_look_old_count_whatever_is_forgotten(lake, say, loss) -> None:
    """As many rows come again as came after the bookmark: any other one is new."""
    schema = say.schema("t", (), id="integer", v="string")
    lake.load(schema, *alike(say, 12), maintenance={"enabled": False}, **APPEND)
    if LOSSES[loss] is not None:
        budget = Budget(LOSSES[loss].thorough(100), lambda: 0.0)
        now = time.time() + 1
        visit = Maintenance(LOSSES[loss].thorough(100), budget, lambda: now).visit
        assert visit(lake.table("t")).merged == 12
    again = alike(say, 20)[2 * 9 :]
    assert lake.load(say.state(t={"c": 9}), schema, *again, **APPEND).code == 0
    assert stored(lake) == [(1, "a")] * 20


def test_old_entries_of_a_parquet_log_are_not_missed(lake, say) -> None:
    """The log keeps ten entries, and counts for longer."""
    schema = say.schema("t", (), id="integer", v="string")
    lake.load(schema, *alike(say, 30), format="parquet", **APPEND)
    again = alike(say, 40)[2 * 5 :]
    start = say.state(t={"c": 5})
    assert lake.load(start, schema, *again, format="parquet", **APPEND).code == 0
    found = lake.parquet(
        "SELECT count(*) FROM read_parquet('{folder}/lake/t/*.parquet')"
    )
    assert found == [(40,)]


def test_bookmark_of_nobody_is_told(lake, say, caplog) -> None:
    """A state that no run has left is taken, with a warning of what it means."""
    schema = say.schema("t", (), id="integer", v="string")
    lake.load(schema, *alike(say, 3), **APPEND)
    outcome = lake.load(say.state(t={"by": "hand"}), schema, *alike(say, 4), **APPEND)
    assert outcome.code == 0
    assert "does not know the bookmark" in caplog.text
    assert stored(lake) == [(1, "a")] * 4


def alike(say, count) -> list:
    """Return equal records, with a STATE after each."""
    pairs = (
        (say.record("t", id=1, v="a"), say.state(t={"c": n + 1})) for n in range(count)
    )
    return [message for pair in pairs for message in pair]


def test_tie_at_the_bookmark_is_recognised_by_its_key(lake, say) -> None:
    """Taps that read from the bookmark on, inclusive, add no second copy."""
    schema = say.schema("t", ("id",), id="integer", v="string")
    lake.load(schema, *rows(say, (1, "a")), say.state(t={"c": 1}), **APPEND)
    tie = rows(say, (1, "a"), (2, "b"))
    lake.load(say.state(t={"c": 1}), schema, *tie, say.state(t={"c": 2}), **APPEND)
    assert stored(lake) == [(1, "a"), (2, "b")]


def test_new_version_of_a_key_is_history(lake, say) -> None:
    """Append-only keeps every version of a row that differs."""
    schema = say.schema("t", ("id",), id="integer", v="string")
    lake.load(schema, *rows(say, (1, "a")), say.state(t={"c": 1}), **APPEND)
    newer = rows(say, (1, "b"))
    lake.load(say.state(t={"c": 1}), schema, *newer, say.state(t={"c": 2}), **APPEND)
    assert stored(lake) == [(1, "a"), (1, "b")]


@pytest.mark.parametrize("size", [1, 9])
def test_a_row_with_a_key_is_stored_once_however_commits_fall(lake, say, size) -> None:
    """Equal rows of one key are one row, in one commit as in two."""
    schema = say.schema("t", ("id",), id="integer", v="string")
    twice = [*rows(say, (1, "a")), say.state(t={"c": 1}), *rows(say, (1, "a"))]
    settings = {**APPEND, "commit_max_rows": size}
    lake.load(schema, *twice, say.state(t={"c": 2}), **settings)
    assert stored(lake) == [(1, "a")]


def test_a_crash_while_rows_come_again_repeats_none(lake, say) -> None:
    """The bookmark stays ahead until all has come again, so no run starts too early."""
    schema = say.schema("t", (), id="integer", v="string")
    all_rows = rows(say, (1, "a"), (2, "b"), (3, "c"))
    lake.load(say.state(), schema, *all_rows, say.state(t={"c": 3}), **APPEND)
    cut = lake.load(say.state(), schema, all_rows[0], say.state(t={"c": 1}), **APPEND)
    assert (cut.code, cut.states) == (75, [say.state()["value"]])
    rest = [*all_rows[1:], *rows(say, (4, "d")), say.state(t={"c": 4})]
    again = lake.load(say.state(), schema, all_rows[0], *rest, **APPEND)
    assert again.code == 0
    assert stored(lake) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
