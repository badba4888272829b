"""Streams on threads of their own, and one thread that writes, in turns."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import threading

import pytest
from dativo_core.output import LineWriter
from dativo_core.sql import tables
from dativo_core.sql.journal import Journal
from dativo_core.sql.pool import Pool
from dativo_core.sql.tables import Tables


class Stream:
    """Writes numbered lines, and remembers how far it is."""

    def __init__(self, name, writer, journal, *, lines=50, every=7, fails_at=None):
        self.name = name
        self.writer, self.journal = writer, journal
        self.lines, self.every, self.fails_at = lines, every, fails_at

    def sync(self):
        """Say what a tap says."""
        self.writer.mark(lambda: self.journal.begin(self.name))
        for number in range(1, self.lines + 1):
            if number == self.fails_at:
                message = f"{self.name} fails"
                raise ValueError(message)
            line = json.dumps({"stream": self.name, "n": number}) + "\n"
            self.writer.write_blocks([memoryview(line.encode())])
            if not number % self.every:
                self._remember(number)
        self.writer.mark(
            lambda: self.journal.finish(self.name, {"n": self.lines}), is_barrier=True
        )

    def _remember(self, number):
        note = lambda: self.journal.remember(self.name, {"n": number})  # noqa: E731
        self.writer.mark(note, is_barrier=True)


class Connections:
    """Takes note of what is asked of them."""

    def __init__(self):
        self.asked = []

    def cancel(self):
        """Take note."""
        self.asked.append("cancel")

    def forget(self):
        """Take note."""
        self.asked.append("forget")


class Run:
    """Streams of a run, and what they have written."""

    def __init__(self, **fails_at):
        self.text = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        self.writer = LineWriter()
        self.connections = Connections()
        names = ["a", "b", "c", "d"]
        self.journal = Journal({}, names, self.write_state)
        self.streams = [
            Stream(name, self.writer, self.journal, fails_at=fails_at.get(name))
            for name in names
        ]

    def write_state(self, state):
        """Write a STATE."""
        line = json.dumps({"state": state}) + "\n"
        self.writer.write_blocks([memoryview(line.encode())])

    def sync(self, count, max_bytes=1_000):
        """Sync all streams; return what was written."""
        together = Tables(self.streams, count, self.writer, self.connections, max_bytes)
        with contextlib.redirect_stdout(self.text):
            together.sync()
        return self.messages

    @property
    def messages(self):
        """What was written so far."""
        self.text.seek(0)
        return [json.loads(line) for line in self.text]


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("max_bytes", [1, 1_000, 1_000_000])
def test_each_state_covers_what_was_written(count, max_bytes):
    """At every STATE each stream has written exactly what its bookmark says."""
    run = Run()

    messages = run.sync(count, max_bytes)

    written = dict.fromkeys("abcd", 0)
    for message in messages:
        if "n" in message:
            assert message["n"] == written[message["stream"]] + 1
            written[message["stream"]] += 1
        else:
            marks = message["state"]["bookmarks"]
            assert written == {n: marks.get(n, {}).get("n", 0) for n in "abcd"}
    assert written == dict.fromkeys("abcd", 50)
    last = messages[-1]["state"]
    assert "currently_syncing" not in last
    states = [message["state"] for message in messages[:-1] if "state" in message]
    for state in states:
        syncing = state["currently_syncing"]
        assert state["bookmarks"].get(syncing, {}).get("n", 0) < 50
    assert run.connections.asked == []


def test_streams_take_turns():
    """None waits until another one is whole."""
    order = [m["stream"] for m in Run().sync(4, 1_000_000) if "n" in m]

    changes = sum(a != b for a, b in itertools.pairwise(order))
    assert changes > 3


def test_a_failure_ends_all():
    """What was written before is whole; threads end, and connections are told."""
    before = threading.active_count()
    run = Run(b=30)

    with pytest.raises(ValueError, match="b fails"):
        run.sync(2)

    assert run.connections.asked == ["cancel"]
    assert threading.active_count() == before
    assert run.messages
    assert "currently_syncing" in [m for m in run.messages if "state" in m][-1]["state"]


def test_a_reader_that_is_gone_ends_all():
    """Whoever writes notices, and nobody waits for room any more."""
    before = threading.active_count()
    run = Run()

    class Gone(io.BytesIO):
        def write(self, _data):
            raise BrokenPipeError

    run.text = io.TextIOWrapper(Gone(), encoding="utf-8", write_through=True)

    with pytest.raises(BrokenPipeError):
        run.sync(3, max_bytes=1)

    assert threading.active_count() == before
    assert run.connections.asked == ["cancel"]
    run.text.detach()


def test_nobody_waits_for_a_server_that_is_gone(monkeypatch):
    """What does not answer is left alone, and the failure is told."""
    monkeypatch.setattr(tables, "_PATIENCE_SECONDS", 0.01)
    run = Run(b=3)
    answer = threading.Event()
    monkeypatch.setattr(run.streams[0], "sync", answer.wait)

    with pytest.raises(ValueError, match="b fails"):
        run.sync(2)

    assert run.connections.asked == ["cancel", "forget"]
    answer.set()


def test_connections_are_lent_one_by_one():
    """Those that are given back are lent again; each call goes to the right ones."""
    made = []

    def connect():
        made.append(Connection())
        return made[-1]

    pool = Pool(connect)
    with pool.lend() as first:
        with pool.lend() as second:
            assert first is not second
        with pool.lend() as third:
            assert third is second
        pool.cancel()
        pool.forget()
        pool.close()

    assert [one.asked for one in made] == [["cancel", "forget"], ["close"]]


class Connection(Connections):
    """Takes note of what is asked of it."""

    def close(self):
        """Take note."""
        self.asked.append("close")


def test_a_journal_names_who_is_not_finished():
    """Whatever the order in which streams end."""
    seen = []
    journal = Journal({}, ["a", "b"], lambda state: seen.append(json.dumps(state)))

    journal.begin("a")
    journal.begin("b")
    journal.finish("b", {"x": 1})
    journal.finish("a", {})

    syncing = [json.loads(state).get("currently_syncing") for state in seen]
    assert syncing == ["a", "b", "a", None]
    assert json.loads(seen[-1]) == {"bookmarks": {"a": {}, "b": {"x": 1}}}
    assert journal.bookmark("b") == {"x": 1}
    assert journal.bookmark("other") == {}
