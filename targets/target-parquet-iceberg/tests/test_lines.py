"""Lines of any length, held as far as the limit allows."""

from __future__ import annotations

import hashlib
import io

import pytest
from target_parquet_iceberg import lines
from target_parquet_iceberg.messages import Malformed


def split(data: bytes, longest: int) -> list[bytes | Malformed]:
    """Split with this limit."""
    return list(lines.split(io.BytesIO(data).readline, longest))


@pytest.mark.parametrize("end", [b"\n", b""])
def test_longest_line_is_whole_and_one_byte_more_is_not(end) -> None:
    """The limit counts what comes before the end of the line."""
    assert [b"a" * 9 + end] == split(b"a" * 9 + end, 9)
    (found,) = split(b"a" * 10 + end, 9)
    digest = hashlib.sha256(b"a" * 10).hexdigest()
    assert isinstance(found, Malformed)
    assert found.reason == f"10 bytes with SHA-256 {digest}; 10 are kept"
    assert "at most 9 bytes" in found.expected


def test_lines_around_a_long_one_survive() -> None:
    """What follows is read from its beginning."""
    first, long, last = split(b"a\n" + b"b" * 5000 + b"\nc", 100)
    assert (first, last) == (b"a\n", b"c")
    assert isinstance(long, Malformed)


def test_only_the_beginning_is_kept(monkeypatch) -> None:
    """A line of many chunks is read over in pieces that no one holds together."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", 64)
    monkeypatch.setattr(lines, "KEPT_BYTES", 10)
    asked = []
    source = io.BytesIO(b"x" * 10_000)

    def readline(size: int) -> bytes:
        asked.append(size)
        return source.readline(size)

    (found,) = lines.split(readline, 100)
    assert max(asked) == 64
    assert found.line == b"x" * 10
    assert found.reason.startswith("10000 bytes with SHA-256")
