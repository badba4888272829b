"""Split a stream of bytes into lines of bounded length."""

from __future__ import annotations

import hashlib
import typing as t
from functools import partial

from target_parquet_iceberg.messages import Malformed

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CHUNK_BYTES = 2**20
KEPT_BYTES = 2**16


class LineReader:
    """Finds the ends of lines in chunks of any size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._text = b""
        self._at = 0

    def lines(self, most: int) -> bytes:
        """Return the next whole lines, together no more than `most` bytes.

        Nothing, if the next line is longer or has no end.
        """
        while True:
            end = self._text.rfind(b"\n", self._at, self._at + most) + 1
            if end:
                return self._up_to(end)
            if len(self._text) - self._at >= most or not self._pull():
                return b""

    def readline(self, size: int) -> bytes:
        """Read to the end of the line, but no more than `size` bytes."""
        while True:
            end = self._text.find(b"\n", self._at, self._at + size) + 1
            is_enough = end or len(self._text) - self._at >= size
            if is_enough or not self._pull():
                return self._up_to(end or self._at + size)

    def _up_to(self, end: int) -> bytes:
        part = self._text[self._at : end]
        self._at += len(part)
        return part

    def _pull(self) -> bool:
        chunk = next(self._chunks, b"")
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return bool(chunk)


def split(
    readline: Callable[[int], bytes], max_bytes: int
) -> Iterator[bytes | Malformed]:
    """Yield every line; one that is too long as its beginning, length and digest.

    Args:
        readline: Reads to the end of the line, but no more bytes than it is told.
        max_bytes: The longest line, its end not counted.
    """
    for part in iter(partial(readline, min(CHUNK_BYTES, max_bytes + 1)), b""):
        if part[-1] == _END:
            yield part
        else:
            yield _long(part, readline, max_bytes)


_END = ord("\n")


def _long(
    first: bytes, readline: Callable[[int], bytes], max_bytes: int
) -> bytes | Malformed:
    parts, length = [first], len(first)
    while length <= max_bytes:
        part = readline(min(CHUNK_BYTES, max_bytes + 1 - length))
        parts.append(part)
        length += len(part)
        if not part or part[-1] == _END:
            return b"".join(parts)
    return _too_long(parts, length, readline, max_bytes)


def _too_long(
    parts: list[bytes], length: int, readline: Callable[[int], bytes], max_bytes: int
) -> bytes | Malformed:
    digest = hashlib.sha256()
    kept = b"".join(parts)[:KEPT_BYTES]
    for part in parts:
        digest.update(part)
    parts.clear()
    part = readline(CHUNK_BYTES)
    while part and part != b"\n":
        digest.update(part.removesuffix(b"\n"))
        length += len(part.removesuffix(b"\n"))
        if part[-1] == _END:
            break
        part = readline(CHUNK_BYTES)
    found = f"{length} bytes with SHA-256 {digest.hexdigest()}; {len(kept)} are kept"
    expected = f"a line of at most {max_bytes} bytes (setting max_line_bytes)"
    return Malformed(kept, found, expected=expected)
