"""Input in chunks of any size becomes the same messages as line by line."""

from __future__ import annotations

import io
import itertools
import os
import threading
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_parquet_iceberg import draining, lines, messages, runs
from target_parquet_iceberg.lines import LineReader
from target_parquet_iceberg.runs import Run

HEADS = [
    b'{"type":"RECORD","stream":"s","record":',
    b'{"type": "RECORD", "stream": "t", "record": ',
    b'{ "stream":"s" , "type":"RECORD","record":',
    b'{"record":{},"type":"RECORD","stream":"s","x":',
]
OTHERS = [
    b'{"type":"STATE","value":{}}\n',
    b'{"type":"RECORD","stream":"s","record":\n',
    b'{"type":"RECORD","stream":"s","record":{}} \n',
    b'{"type":"RECORD","stream":"s","record":{}}\r\n',
    b'{"type":"RECORD","stream":"s","record":{}}\rx\n',
    b'{"type":"RECORD","stream":"s","record":{},"stream":"t"}\n',
    b"\xef\xbb\xbf{}\n",
    b"\n",
    b"noise\n",
]
RECORDS = st.builds(
    lambda head, count: (head + b'{"a":"}\\n"}}\n') * count,
    st.sampled_from(HEADS),
    st.sampled_from([1, 2, 15, 16, 40]),
)
LONG = st.integers(1, 400).map(lambda size: b"x" * size + b"\n")
TEXTS = st.lists(RECORDS | st.sampled_from(OTHERS) | LONG, max_size=8).map(b"".join)


def cut(text: bytes, sizes: list[int]) -> t.Iterator[bytes]:
    """Cut bytes into chunks of these sizes, over and over."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(text):
            return
        yield text[at : at + size]
        at += size


@given(
    start=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    text=TEXTS,
    end=st.sampled_from([b"", b'{"type":"RECORD"', b"\xef"]),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=3),
    longest=st.sampled_from([50, 120, 10_000]),
)
def test_messages_are_those_of_the_lines(start, text, end, sizes, longest) -> None:
    """However the bytes arrive, whatever a line holds, and whatever the limit is."""
    whole = start + text + end
    expected = list(messages.read(lines.split(io.BytesIO(whole).readline, longest)))
    found: list[messages.Message] = []
    for piece in runs.read(LineReader(cut(whole, sizes)), longest):
        if isinstance(piece, Run):
            inner = list(piece.messages())
            assert piece.count == len(inner) == piece.text.count(b"\n")
            found += inner
        else:
            found.append(piece)
    assert expected == found


@pytest.mark.parametrize("head", HEADS[:3])
def test_records_that_begin_alike_are_one_run(head) -> None:
    """Any spacing and either order of the names; what follows is cut off."""
    text = (head + b"{}}\n") * 20
    state = b'{"type":"STATE","value":{}}\n'
    chunks = [state, text[: len(head) + 4], text, state]
    _, first, run, last = runs.read(LineReader(chunks), 10**6)
    assert isinstance(first, messages.Record)
    assert isinstance(last, messages.State)
    assert run == Run(first.stream, text, 20)


def test_halves_are_the_whole() -> None:
    """Lines of one half follow those of the other; a short run has none."""
    run = Run("s", b"".join(HEADS[0] + b"%d}\n" % n for n in range(101)), 101)
    first, second = run.halves()
    assert first.text + second.text == run.text
    assert (first.count + second.count, min(first.count, second.count)) == (101, 50)
    assert Run("s", first.text, 20).halves() == ()


def test_pipe_is_drained_while_nobody_reads() -> None:
    """A writer never waits for the reader until the limit is reached."""
    source, sink = os.pipe()
    drain = draining.Drain(source, ahead_bytes=4 * 2**20).start()
    written = threading.Event()

    def write() -> None:
        with os.fdopen(sink, "wb", buffering=0) as output:
            output.write(b"first")
            output.write(b"x" * 3 * 2**20)
            written.set()

    threading.Thread(target=write).start()
    found = [next(drain)]  # the thread runs from here on, and nobody reads
    assert written.wait(60)
    found += drain
    os.close(source)
    assert b"".join(found) == b"first" + b"x" * 3 * 2**20
    assert max(map(len, found)) <= draining.READ_BYTES


def test_drain_holds_no_more_than_its_limit(monkeypatch) -> None:
    """Memory is bounded, whatever the tap's speed: the rest stays in the file."""
    monkeypatch.setattr(draining, "READ_BYTES", 100)
    held: list[int] = []

    class Watched(draining.Drain):
        def _put(self, part: bytes) -> bool:
            going_on = super()._put(part)
            held.append(self._held_bytes)
            return going_on

    source, sink = os.pipe()
    os.write(sink, b"y" * 10_000)
    os.close(sink)
    assert b"".join(Watched(source, ahead_bytes=250).start()) == b"y" * 10_000
    os.close(source)
    assert max(held) < 250 + 100


def test_failure_to_read_is_told() -> None:
    """The error of the thread reaches who reads, after what came before it."""
    source, sink = os.pipe()
    os.close(sink)
    os.close(source)
    with pytest.raises(OSError, match="Bad file descriptor"):
        list(draining.Drain(source).start())


def test_closed_reader_lets_the_thread_end() -> None:
    """Who stops reading leaves no thread behind that fills memory."""
    source, sink = os.pipe()
    drain = draining.Drain(source, ahead_bytes=1).start()
    os.write(sink, b"1")
    assert next(drain) == b"1"
    [thread] = [t for t in threading.enumerate() if t.name == "stdin"]
    drain.close()
    os.write(sink, b"2")
    thread.join(60)
    assert not thread.is_alive()
    os.close(sink)
    os.close(source)


def test_lines_of_a_slow_tap_come_in_bundles(monkeypatch) -> None:
    """What comes while the thread waits is one read; what came first is not late."""
    source, sink = os.pipe()
    parts: list[bytes] = []

    class Watched(draining.Drain):
        def _put(self, part: bytes) -> bool:
            parts.append(part)
            return super()._put(part)

    def pause(_seconds: float) -> None:
        if len(parts) == 1:
            os.write(sink, b"2\n")
            os.write(sink, b"3\n")
            os.close(sink)

    monkeypatch.setattr(draining, "sleep", pause)
    os.write(sink, b"1\n")
    assert b"".join(Watched(source).start()) == b"1\n2\n3\n"
    assert parts == [b"1\n", b"2\n3\n"]
    os.close(source)


def test_files_without_descriptor_are_read_as_they_are() -> None:
    """Text and bytes in memory need no thread."""
    assert list(draining.chunks(io.StringIO("ä\n"))) == ["ä\n".encode()]
    assert list(draining.chunks(io.BytesIO(b"a\n"))) == [b"a\n"]
    assert list(draining.chunks(io.TextIOWrapper(io.BytesIO(b"\xff\n")))) == [b"\xff\n"]
