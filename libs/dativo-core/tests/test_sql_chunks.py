"""Chunks cover a table once, and come in order however many read them."""

from __future__ import annotations

import itertools
import sqlite3
import threading

import pyarrow as pa
import pytest
from dativo_core.sql.chunks import KeyRange, PageRange, Pages, key_ranges
from dativo_core.sql.lanes import Lanes
from dativo_core.sql.parallel import in_order
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)))


@given(st.integers(0, 50), st.integers(0, 300), st.lists(st.integers(0, 500)))
def test_page_ranges_leave_no_gap_and_reach_the_end(first, last, found):
    """Whatever a range turns out to hold; there is always one."""
    pages = Pages(first, last, chunk_rows=100, rows=1000, pages=100)
    counts = iter([*found, *[40] * 400])
    ranges = []
    for part in pages:
        ranges.append(part)
        pages.learn(part, next(counts))

    assert ranges[0].first == first
    assert all(a.end == b.first for a, b in itertools.pairwise(ranges))
    assert ranges[-1].first <= max(first, last) <= ranges[-1].end or first > last


def test_what_was_counted_replaces_what_the_server_believes():
    """Unless the load goes on: then nobody knows what the first pages held."""
    fresh = Pages(0, 100, chunk_rows=100, rows=1_000, pages=100)
    steps = iter(fresh)
    assert next(steps) == PageRange(0, 10)
    fresh.learn(PageRange(0, 10), 200)
    assert next(steps) == PageRange(10, 15)

    resumed = Pages(10, 100, chunk_rows=100, rows=1_000, pages=100)
    steps = iter(resumed)
    next(steps)
    resumed.learn(PageRange(10, 20), 200)
    assert next(steps) == PageRange(20, 29)


@given(st.sets(st.tuples(*[st.integers(0, 3)] * 3)), KEYS)
def test_key_ranges_hold_each_row_once(rows, cuts):
    """Composite keys compare as tuples, in SQL as in Python."""
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (a, b, c)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        read = [
            row
            for part in key_ranges(sorted(set(cuts)))
            for row in database.execute(
                "SELECT a, b, c FROM t WHERE "
                + (part.where(["a", "b", "c"], str) or "1")
                + " ORDER BY a, b, c"
            )
        ]
    database.close()

    assert read == sorted(rows)


def test_a_range_of_one_column_is_a_plain_comparison():
    """So that any optimiser takes the index."""
    assert KeyRange((1,), (5,)).where(['"id"'], str) == '("id" > 1) AND ("id" <= 5)'
    assert KeyRange(None, None).where(['"id"'], str) == ""


class Reader:
    """Gives batches of one row of eight bytes, and can be told to fail."""

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.is_cancelled = False

    def read(self, chunk):
        """Yield a batch for each number of the chunk."""
        for number in chunk:
            if number == self.fails_at:
                message = f"no {number}"
                raise ValueError(message)
            yield pa.record_batch({"n": pa.array([number], pa.int64())})

    def cancel(self):
        """Take note."""
        self.is_cancelled = True


CHUNKS = [range(start, start + 7) for start in range(0, 140, 7)]


def numbers(events):
    """Return what the batches hold."""
    return [b["n"][0].as_py() for _, b in events if b is not None]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("max_bytes", [1, 100, 10_000])
def test_chunks_come_in_order(count, max_bytes):
    """With any number of readers, and hardly any room."""
    events = list(in_order(CHUNKS, [Reader() for _ in range(count)], max_bytes))

    assert numbers(events) == list(range(140))
    assert [chunk for chunk, batch in events if batch is None] == CHUNKS
    ends = [at for at, (_, batch) in enumerate(events) if batch is None]
    assert ends == list(range(7, 8 * len(CHUNKS), 8))


def test_what_waits_is_bounded_by_bytes():
    """However slow the consumer is, readers do not run away from it."""
    lanes, held = Lanes(max_bytes=80), []
    first, second = lanes.open(), lanes.open()

    def work(lane):
        for number in range(1_000):
            lanes.put(lane, number, 8)
        lanes.end(lane)

    threads = [threading.Thread(target=work, args=[one]) for one in (second, first)]
    for thread in threads:
        thread.start()
    for lane in (first, second):
        while lanes.take(lane) is not None:
            held.append(lanes.held)
    for thread in threads:
        thread.join()

    assert len(held) == 2_000
    # One thing more for the lane that is served.
    assert max(held) <= 88
    assert lanes.held == 0


@pytest.mark.parametrize("count", [1, 3])
def test_a_failure_comes_where_its_chunk_is(count):
    """All before it is good, and nothing comes after it."""
    events = in_order(CHUNKS, [Reader(fails_at=50) for _ in range(count)], 1_000)
    read = []

    with pytest.raises(ValueError, match="no 50"):
        read.extend(numbers([event])[0] for event in events if event[1] is not None)

    assert read == list(range(50))


def test_a_consumer_that_stops_leaves_no_thread():
    """Readers are told to cancel, and end."""
    before = threading.active_count()
    readers = [Reader() for _ in range(4)]
    events = in_order(CHUNKS, readers, max_bytes=8)
    next(events)

    events.close()

    assert threading.active_count() == before
    assert all(reader.is_cancelled for reader in readers)
