"""Passes on what a tap writes to a target; counts rows, and stops where a kill is due.

The rows have numbers from 1 on, in the order in which a tap must send them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

NUMBER = "n"
BLOCK_BYTES = 2**20
RECORD = b'{"type":"RECORD"'


class OutOfOrderError(Exception):
    """A tap has sent another row than the next one."""


class Rows(t.NamedTuple):
    """Some lines, and the rows that are in them."""

    text: bytes
    first: int = 0
    last: int = 0

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.last - self.first + 1 if self.last else 0


@dataclass
class Files:
    """How many rows the files of a tap have, and how long a row takes."""

    rows: int = 0
    seconds_per_row: float = 0.0


def marker(state: dict[str, t.Any]) -> str:
    """Return from where a STATE lets the only stream go on, as text."""
    [bookmark] = [*state.get("bookmarks", {}).values()] or [{}]
    return json.dumps(bookmark.get("full_table") or {}, sort_keys=True)


class Relay:
    """From a tap to a target.

    Args:
        tap: What the tap writes to.
        target: What the target reads from.
        position: How many rows lie before the first that the tap must send.
        files: What is known of the tap's files; none come with records.
        random: Says where a line is torn.

    Attributes:
        marks: How many rows lie before the place from which a STATE goes on.
    """

    def __init__(
        self,
        tap: t.IO[bytes],
        target: t.IO[bytes],
        position: int,
        files: Files,
        random: Random,
    ) -> None:
        self.position = self.start = position
        self.marks: dict[str, int] = {}
        self._tap, self._target = tap.fileno(), target
        self._files = files
        self._random = random
        self._file_began: float | None = None
        with contextlib.suppress(AttributeError, OSError):  # Linux has it
            fcntl.fcntl(self._tap, fcntl.F_SETPIPE_SZ, BLOCK_BYTES)

    def pass_on(self, until: int | None, lines: int = 1) -> bool:
        """Pass on so many rows of the table and so many lines; tell if they came.

        Raises:
            OutOfOrderError: another row than the next one came.
        """
        rest, passed = b"", 0
        while block := self._read(until if passed >= lines else None):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            for found in self._pieces(whole + newline):
                self._check(found)
                room = found.count if until is None else max(0, until - self.position)
                is_torn = found.count > room and not self._files.rows
                self._write(self._torn(found, room) if is_torn else found)
                passed += 1
                is_there = until is not None and self.position >= until
                if is_torn or (is_there and passed >= lines):
                    return True
        return block is None

    def _read(self, until: int | None) -> bytes | None:
        """Wait for the tap; in the middle of a file as long as a part of it takes.

        Nothing is its end, None the end of the wait.
        """
        if until is not None and until - self.position < self._files.rows:
            seconds = (until - self.position) * self._files.seconds_per_row
            poll = select.poll()
            poll.register(self._tap, select.POLLIN)
            if not poll.poll(seconds * 1000):
                return None
        return os.read(self._tap, BLOCK_BYTES)

    def _pieces(self, block: bytes) -> Iterator[Rows]:
        if block.count(RECORD) == block.count(b"\n"):
            if block:
                yield _records(block)
            return
        for line in block.splitlines(keepends=True):
            yield self._other(line)

    def _other(self, line: bytes) -> Rows:
        if line.startswith(RECORD):
            return _records(line)
        message = json.loads(line)
        if message["type"] == "STATE":
            self.marks[marker(message["value"])] = self.position
        if message["type"] != "BATCH":
            return Rows(line)
        return self._file(_filed(line, message["manifest"]))

    def _file(self, rows: Rows) -> Rows:
        now, self._files.rows = time.monotonic(), rows.count
        if self._file_began is not None:
            self._files.seconds_per_row = (now - self._file_began) / rows.count
        self._file_began = now
        return rows

    def _check(self, found: Rows) -> None:
        if found.count and found.first != self.position + 1:
            told = f"Row {found.first} came where {self.position + 1} was due."
            raise OutOfOrderError(told)

    def _torn(self, found: Rows, count: int) -> Rows:
        """Return so many lines, and a part of the next."""
        *lines, rest = found.text.split(b"\n", count)
        cut = self._random.randrange(rest.index(b"\n") + 1)
        text = b"".join(line + b"\n" for line in lines) + rest[:cut]
        return Rows(text, found.first, found.first + count - 1)

    def _write(self, found: Rows) -> None:
        self._target.write(found.text)
        self._target.flush()
        self.position += found.count


def _records(block: bytes) -> Rows:
    first, last = block.partition(b"\n")[0], block[:-1].rpartition(b"\n")[2]
    return _gapless(Rows(block, _number(first), _number(last)), block.count(b"\n"))


def _number(line: bytes) -> int:
    return int(json.loads(line)["record"][NUMBER])


def _filed(line: bytes, manifest: list[str]) -> Rows:
    [url] = manifest
    found = pq.read_table(unquote(urlsplit(url).path), columns=[NUMBER])[NUMBER]
    return _gapless(Rows(line, found[0].as_py(), found[-1].as_py()), len(found))


def _gapless(rows: Rows, count: int) -> Rows:
    if rows.count != count:
        told = f"{count} rows came from {rows.first} to {rows.last}."
        raise OutOfOrderError(told)
    return rows
