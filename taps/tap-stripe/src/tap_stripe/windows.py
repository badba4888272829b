"""Which part of a list is read already, and how to cut the rest for more readers.

A list comes newest first, and its cursor is the id of the last object, so one reader
takes one page after another. Where the list takes a range of `created`, what a reader
has still before it can be cut in two: it goes on with the newer part, and another
takes the older one. So many can read at once, each object is read once, and what is
left to do is at any moment a short list of segments.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

if t.TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_SIZE = 100
# Below this another reader's last page, seldom full, costs more than it brings.
_LEAST_PAGES = 8
# How much a reader keeps when far more is before it: enough to go on for a while.
_KEPT_PAGES = 15
# Stripe has no objects that are older (https://en.wikipedia.org/wiki/Stripe,_Inc.).
_FIRST_SECOND = 1_262_304_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a list that is still to be read: `since <= created < until`.

    Args:
        since: Lowest second; None for no limit.
        until: Second before which it ends; None for no limit.
        after: Id of the object that was read last.
        reached: Second of that object.
        pace: Seconds that the last page covered; None before the first page.
    """

    since: int | None = None
    until: int | None = None
    after: str = ""
    reached: int | None = None
    pace: float | None = None

    @property
    def is_cut(self) -> bool:
        """Whether it is part of a list that was cut."""
        return self.until is not None or (self.since is not None and bool(self.after))

    def params(self) -> dict[str, str]:
        """Return what to ask for the next page."""
        asked = {"limit": str(PAGE_SIZE)}
        if self.since is not None:
            asked["created[gte]"] = str(self.since)
        if self.until is not None:
            asked["created[lt]"] = str(self.until)
        if self.after:
            asked["starting_after"] = self.after
        return asked

    def restarted(self) -> Segment:
        """Return the rest without its cursor: the object may be gone meanwhile."""
        until = self.until if self.reached is None else self.reached + 1
        return Segment(self.since, until)


def advance(
    segment: Segment, last_id: str, moments: Sequence[int | None], *, has_more: bool
) -> Segment | None:
    """Return what is left after a page; None if that was all.

    Args:
        segment: What the page was read from.
        last_id: Id of the page's last object.
        moments: When the page's objects were created, in their order.
        has_more: Whether the server has more.
    """
    if not has_more or not last_id:
        return None
    known = [moment for moment in moments if moment is not None]
    is_ordered = len(known) == len(moments) and known == sorted(known, reverse=True)
    if not known or not is_ordered:
        return replace(segment, after=last_id, reached=None, pace=None)
    # Two objects of one second still have some pace.
    pace = max(known[0] - known[-1], 1) * PAGE_SIZE / len(known)
    return replace(segment, after=last_id, reached=known[-1], pace=pace)


def cut(segment: Segment) -> tuple[Segment, Segment] | None:
    """Cut the rest into a newer and an older part; None if that brings nothing."""
    pages = pages_left(segment)
    if pages < _LEAST_PAGES or segment.reached is None or segment.pace is None:
        return None
    kept = pages / 2 if pages < 2 * _KEPT_PAGES else _KEPT_PAGES
    border = max(int(segment.reached - kept * segment.pace), _lowest(segment) + 1)
    if border > segment.reached:
        return None
    return replace(segment, since=border), Segment(segment.since, border)


def pages_left(segment: Segment) -> float:
    """Guess how many pages are left, if they go on at the pace of the last one."""
    if segment.reached is None or segment.pace is None:
        return 0
    return max(segment.reached - _lowest(segment), 0) / segment.pace


def _lowest(segment: Segment) -> int:
    return _FIRST_SECOND if segment.since is None else segment.since


def slices(since: int, until: int, pace: float, pages: int) -> list[tuple[int, int]]:
    """Cut a range into parts of about so many pages each, the newest first."""
    width = max(int(pace * pages), 1)
    borders = [*range(until, since, -width), since]
    return list(zip(borders[1:], borders, strict=False))
