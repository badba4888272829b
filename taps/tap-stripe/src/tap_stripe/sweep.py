"""Read the feed of events once, for all streams, and pass on what has changed."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass

from dativo_core import fetch
from dativo_core.errors import NotPermittedError, RefusedError

from tap_stripe import events as feed
from tap_stripe import removals, resources, windows
from tap_stripe.events import How
from tap_stripe.gather import is_lost_cursor, no_rows
from tap_stripe.records import Origin, read_fields, read_head, read_owner
from tap_stripe.windows import Segment

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import msgspec

    from tap_stripe.backfill import Lane
    from tap_stripe.events import Change
    from tap_stripe.gather import Gatherer, Rows
    from tap_stripe.records import Page
    from tap_stripe.removals import Removal
    from tap_stripe.resources import Resource

Asked: t.TypeAlias = "dict[str, t.Any]"

EVENTS = resources.BY_NAME["events"]
# What the API takes in one request (https://docs.stripe.com/api/events/list).
_MOST_TYPES = 20
_PAGES_A_SLICE = 8
_MOST_LOST = 3


@dataclass(frozen=True, slots=True)
class Feed:
    """Which events to read, and for whom.

    Args:
        since: First second.
        until: Second before which it ends.
        version: The version of the API that the tap asks for.
        types: All types of events that there are.
    """

    since: int
    until: int
    version: str
    types: tuple[str, ...]


def sweep(
    lanes: Sequence[Lane], what: Feed, gatherer: Gatherer, *, readers: int
) -> Iterator[tuple[Lane, Rows]]:
    """Yield the rows of each object that has changed, from the newest slice on.

    Args:
        lanes: Who wants to know; their bookmarks tell from when on.
        what: The events.
        gatherer: Who reads pages and objects.
        readers: Requests in flight.
    """

    def apply(lane: Lane, change: Change) -> Rows:
        work = functools.partial(_apply, gatherer, lane, change, what.until)
        return _permitted(lane, change.resource, work)

    def remove(lane: Lane, removal: Removal) -> Rows:
        work = functools.partial(_remove, gatherer, lane, removal)
        return _permitted(lane, removal.resource, work)

    listening = _listening(lanes)
    seen: set[tuple[str, str]] = set()
    for slice_ in _slices(lanes, what, gatherer, readers):
        events = [feed.read_event(item) for item in slice_]
        for lane in lanes:
            if lane.wanted.resource.is_feed:
                yield lane, _as_rows(lane, slice_, gatherer)
        changes = feed.fold(events, listening, what.version, seen)
        tasks = _tasks(lanes, changes)
        yield from fetch.ordered(
            tasks,
            lambda task: (task[0], apply(*task)),
            workers=readers,
            ahead=4 * readers,
        )
        yield from fetch.ordered(
            _removed(lanes, events),
            lambda task: (task[0], remove(*task)),
            workers=readers,
            ahead=4 * readers,
        )


def _listening(lanes: Sequence[Lane]) -> dict[str, Resource]:
    found = {}
    for lane in lanes:
        for resource in _everyone(lane):
            if resource.events:
                found[resource.object] = resource
    return found


def _everyone(lane: Lane) -> tuple[Resource, ...]:
    return (lane.wanted.resource, *lane.wanted.nested)


def _slices(
    lanes: Sequence[Lane], what: Feed, gatherer: Gatherer, readers: int
) -> Iterator[list[msgspec.Raw]]:
    """Yield all events: each part is some whole seconds, the newest come first."""
    whole = Segment(what.since, what.until)
    asked, page = _first_page(gatherer, whole, _types(lanes, what))
    heads = [read_head(item) for item in page.data]
    rest = windows.advance(
        whole,
        heads[-1].id if heads else "",
        [head.created for head in heads],
        has_more=page.has_more,
    )
    if rest is None:
        yield page.data
    elif rest.reached is None or rest.pace is None:
        yield [*page.data, *pages(gatherer, EVENTS, rest, asked)]
    else:
        border = rest.reached + 1
        yield [
            item
            for item, head in zip(page.data, heads, strict=True)
            if (head.created or 0) >= border
        ]
        parts = windows.slices(what.since, border, rest.pace, _PAGES_A_SLICE)
        yield from fetch.ordered(
            parts,
            lambda part: list(pages(gatherer, EVENTS, Segment(*part), asked)),
            workers=readers,
            ahead=readers,
        )


def _types(lanes: Sequence[Lane], what: Feed) -> list[str]:
    """Return the types to ask for; none for all."""
    if any(lane.wanted.resource.is_feed for lane in lanes):
        return []
    types = resources.listened_types(_listening(lanes).values(), what.types)
    return types if len(types) <= _MOST_TYPES else []


def _first_page(
    gatherer: Gatherer, whole: Segment, types: list[str]
) -> tuple[Asked, Page]:
    asked: Asked = {"types[]": types} if types else {}
    try:
        return asked, gatherer.page(EVENTS, whole.params() | asked)
    except RefusedError:
        # All events hold those of some types, wherever these cannot be asked for.
        if not types:
            raise
        return {}, gatherer.page(EVENTS, whole.params())


def pages(
    gatherer: Gatherer, resource: Resource, segment: Segment, asked: Asked
) -> Iterator[msgspec.Raw]:
    """Yield all objects of a part of a list, some again if its cursor was lost."""
    rest: Segment | None = segment
    lost = 0
    while rest is not None:
        try:
            page = gatherer.page(resource, rest.params() | asked)
        except RefusedError as error:
            lost += 1
            if not is_lost_cursor(error) or lost > _MOST_LOST:
                raise
            rest = segment
            continue
        yield from page.data
        last = read_head(page.data[-1]).id if page.data else ""
        rest = windows.advance(rest, last, [], has_more=page.has_more)


def _tasks(
    lanes: Sequence[Lane], changes: Sequence[Change]
) -> Iterator[tuple[Lane, Change]]:
    for change in changes:
        for lane in lanes:
            if change.resource in _everyone(lane) and change.at >= lane.heard:
                yield lane, change


def _permitted(lane: Lane, resource: Resource, work: Callable[[], Rows]) -> Rows:
    """Return rows; note which streams the key may not read any more."""
    wanted, is_root = lane.wanted, resource is lane.wanted.resource
    streams = [*wanted.shapes] if is_root else [resource.name]
    if wanted.refused.keys().isdisjoint(streams):
        try:
            return work()
        except NotPermittedError as error:
            wanted.refused.update(dict.fromkeys(streams, error))
    return no_rows()


def _apply(gatherer: Gatherer, lane: Lane, change: Change, until: int) -> Rows:
    """Return the rows of a changed object; of one that is gone, its last ones."""
    rows = no_rows()
    item: msgspec.Raw | None = change.item
    if change.how is How.READ:
        item = gatherer.item(change.resource, change.head.id)
    if change.how is How.DELETE or item is None:
        # When an object went that could not be read again, the next run's events tell.
        gone_at = change.at if change.how is How.DELETE else until
        origin = Origin(deleted_at=gone_at if change.resource.gone else None)
        fields = read_fields(change.item)
        gatherer.row(lane.wanted, change.resource.name, fields, rows, origin)
    elif change.resource is lane.wanted.resource:
        gatherer.rows(lane.wanted, item, rows)
    else:
        fields = read_fields(item)
        origin = Origin(parent=read_owner(item))
        gatherer.row(lane.wanted, change.resource.name, fields, rows, origin)
    return rows


def _removed(
    lanes: Sequence[Lane], events: Sequence[feed.Event]
) -> Iterator[tuple[Lane, Removal]]:
    for lane in lanes:
        root, shapes = lane.wanted.resource, lane.wanted.shapes
        carried = [
            one for one in lane.wanted.nested if one.field and one.name in shapes
        ]
        for removal in removals.find(events, {root.object: (root, carried)}):
            if removal.at >= lane.heard:
                yield lane, removal


def _remove(gatherer: Gatherer, lane: Lane, removal: Removal) -> Rows:
    """Return the last row of what an object carries no more."""
    rows, resource, parent = no_rows(), removal.resource, removal.parent
    identity = read_head(removal.item).id
    if removal.is_certain or not gatherer.carries(resource, parent, identity):
        origin = Origin(parent=parent, deleted_at=removal.at)
        fields = read_fields(removal.item)
        gatherer.row(lane.wanted, resource.name, fields, rows, origin)
    return rows


def _as_rows(lane: Lane, items: Sequence[msgspec.Raw], gatherer: Gatherer) -> Rows:
    rows = no_rows()
    for item in items:
        if (read_head(item).created or 0) >= lane.heard:
            gatherer.rows(lane.wanted, item, rows)
    return rows
