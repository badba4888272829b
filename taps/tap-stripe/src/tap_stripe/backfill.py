"""Read lists with many readers at once; at any moment it is known what is left."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from dativo_core.errors import DativoError, NotPermittedError, RefusedError

from tap_stripe import windows
from tap_stripe.gather import is_lost_cursor, no_rows
from tap_stripe.records import read_head
from tap_stripe.windows import Segment

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_stripe.gather import Gatherer, Rows, Wanted
    from tap_stripe.state import Bookmark


@dataclass(slots=True, eq=False)
class Lane:
    """One list that is read for some streams, and what of it is left.

    Args:
        wanted: What it sends.
        bookmark: Where it stood when the run began.
        idle: What nobody reads at the moment.
        busy: What somebody reads; where they stood before that.
        heard: Second from which on events tell what has changed.
        pages: How many pages were read.
        takes_ranges: Whether the server takes ranges of `created`.
        error: Why it cannot be read.
    """

    wanted: Wanted
    bookmark: Bookmark
    idle: list[Segment] = field(default_factory=list)
    busy: list[Segment] = field(default_factory=list)
    heard: int = 0
    pages: int = 0
    takes_ranges: bool = True
    error: DativoError | None = None

    @property
    def left(self) -> tuple[Segment, ...]:
        """What must still be read."""
        return (*self.idle, *self.busy)


@dataclass(frozen=True, slots=True)
class Found:
    """One page: its rows, and how the list goes on."""

    rows: Rows
    rest: Segment | None


Task: t.TypeAlias = "tuple[Lane, Segment]"


class Pages(t.Protocol):
    """Who reads pages, some at once."""

    def ask(self, task: Task) -> None:
        """Begin to read a page."""

    def answer(self) -> tuple[Task, Found | BaseException]:
        """Wait for any page, or for why it cannot be read."""

    def dismiss(self) -> None:
        """Ask for nothing more."""


def read(
    lanes: Sequence[Lane], pages: Pages, *, readers: int, at_once: int
) -> Iterator[tuple[Lane, Rows]]:
    """Yield the rows of each page, when what is left of its lane excludes them.

    Args:
        lanes: What to read; they keep account of what is left.
        pages: Who reads pages.
        readers: Requests in flight for one list.
        at_once: Requests in flight for all.

    Raises:
        DativoError: when a page cannot be read; not for a missing permission, which
            ends its lane only.
    """
    in_flight = 0
    try:
        while True:
            in_flight += _ask(lanes, pages, readers, at_once - in_flight)
            if not in_flight:
                return
            (lane, segment), answer = pages.answer()
            in_flight -= 1
            lane.busy.remove(segment)
            rows = _settle(lane, segment, answer)
            if rows is not None:
                yield lane, rows
    finally:
        pages.dismiss()


def _ask(lanes: Sequence[Lane], pages: Pages, readers: int, free: int) -> int:
    """Give each lane a turn, until all readers are busy or nothing is left to ask."""
    asked = 0
    waiting = [lane for lane in lanes if _share(lane, readers)]
    while waiting and asked < free:
        # Whoever has the fewest readers comes first, so that all lists move on.
        lane = min(waiting, key=lambda one: len(one.busy))
        segment = lane.idle.pop(0)
        lane.busy.append(segment)
        pages.ask((lane, segment))
        asked += 1
        waiting = [one for one in waiting if _share(one, readers)]
    return asked


def _share(lane: Lane, readers: int) -> bool:
    """Cut what is left until every free reader has a part; tell whether one has."""
    # A short list is read before many readers could help.
    free = min(readers, 2 * lane.pages or 1) - len(lane.busy)
    can_cut = lane.takes_ranges and lane.wanted.resource.created
    while can_cut and 0 < len(lane.idle) < free:
        largest = max(lane.idle, key=windows.pages_left)
        parts = windows.cut(largest)
        if parts is None:
            break
        lane.idle.remove(largest)
        lane.idle += parts
    return free > 0 and bool(lane.idle)


def _settle(lane: Lane, segment: Segment, answer: Found | BaseException) -> Rows | None:
    if isinstance(answer, DativoError) and is_lost_cursor(answer):
        if lane.wanted.resource.created:
            lane.idle.append(segment.restarted())
        else:
            _start_over(lane)
        return None
    # An account that does not use a product is refused its lists from the start.
    is_closed = isinstance(answer, RefusedError) and not lane.pages
    if isinstance(answer, DativoError) and (
        is_closed or isinstance(answer, NotPermittedError)
    ):
        lane.error = answer
        lane.idle.clear()
        return None
    if not lane.takes_ranges and segment.is_cut:
        return None
    if type(answer) is RefusedError and segment.is_cut:
        _start_over(lane)
        return None
    if isinstance(answer, BaseException):
        lane.idle.append(segment)
        raise answer
    if lane.error is not None:
        return None
    lane.pages += 1
    if answer.rest is not None:
        lane.idle.append(answer.rest)
    return answer.rows


def _start_over(lane: Lane) -> None:
    """Read a list by its cursor alone: this server knows no ranges of it."""
    lane.takes_ranges = False
    lane.idle[:] = [Segment()]


def page(gatherer: Gatherer, lane: Lane, segment: Segment) -> Found:
    """Read the next page of a segment."""
    resource = lane.wanted.resource
    found = gatherer.page(resource, segment.params(), newest=segment.reached)
    rows = no_rows()
    heads = [read_head(item) for item in found.data]
    for item in found.data:
        gatherer.rows(lane.wanted, item, rows)
    last = heads[-1].id if heads else ""
    moments = [head.moment for head in heads]
    rest = windows.advance(segment, last, moments, has_more=found.has_more)
    return Found(rows, rest)
