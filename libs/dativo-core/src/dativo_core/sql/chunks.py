"""Cut a table into chunks: by pages, or by keys."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Cut: t.TypeAlias = "tuple[t.Any, ...]"


@dataclass(frozen=True, slots=True)
class PageRange:
    """Pages from the first up to, not including, the end."""

    first: int
    end: int


class Pages:
    """Cuts a table into page ranges of about so many rows; it learns how full they are.

    Args:
        first: Where to begin.
        last: The table's last page; there is always one range, even of none.
        chunk_rows: Rows of a range.
        rows: Rows of the table, as the server believes.
        pages: Pages that hold them.
    """

    def __init__(
        self, first: int, last: int, *, chunk_rows: int, rows: int, pages: int
    ) -> None:
        self._next = first
        self._last = last
        self._is_fresh = not first
        self._is_over = False
        self._chunk_rows = chunk_rows
        self._rows, self._pages = rows, pages

    def __iter__(self) -> Iterator[PageRange]:
        """Yield range after range."""
        while not self._is_over:
            size = pages_of_a_chunk(self._chunk_rows, self._rows, self._pages)
            found = PageRange(self._next, self._next + size)
            self._next = found.end
            self._is_over = found.end >= self._last
            yield found

    def learn(self, done: PageRange, rows: int) -> None:
        """Take note of the rows of a range."""
        if self._is_fresh:
            # What was counted is better than what the server believes.
            self._is_fresh, self._rows, self._pages = False, 0, 0
        self._rows += rows
        self._pages += done.end - done.first


def pages_of_a_chunk(rows: int, rows_seen: int, pages_seen: int) -> int:
    """Return how many pages hold about so many rows."""
    if not rows_seen or not pages_seen:
        return max(1, rows // 100)
    return max(1, rows * pages_seen // rows_seen)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Rows whose key lies above one tuple, and not above another; None has no bound."""

    after: Cut | None
    upto: Cut | None

    def where(self, columns: Sequence[str], literal: Callable[[t.Any], str]) -> str:
        """Return the condition; columns are quoted, and ordered as the key is."""
        bounds = []
        if self.after is not None:
            bounds.append(_beyond(columns, [*map(literal, self.after)], ">", ">"))
        if self.upto is not None:
            bounds.append(_beyond(columns, [*map(literal, self.upto)], "<", "<="))
        return " AND ".join(f"({bound})" for bound in bounds)


def _beyond(
    columns: Sequence[str], values: Sequence[str], sign: str, last_sign: str
) -> str:
    """Compare tuples, in words from which every optimiser sees the leading column."""
    [column, *columns], [value, *values] = columns, values
    if not columns:
        return f"{column} {last_sign} {value}"
    rest = _beyond(columns, values, sign, last_sign)
    return (
        f"{column} {sign}= {value} AND "
        f"({column} {sign} {value} OR ({column} = {value} AND ({rest})))"
    )


def key_ranges(cuts: Iterable[Cut], after: Cut | None = None) -> Iterator[KeyRange]:
    """Yield the ranges between keys, in order: the last one has no end."""
    for cut in cuts:
        yield KeyRange(after, cut)
        after = cut
    yield KeyRange(after, None)
