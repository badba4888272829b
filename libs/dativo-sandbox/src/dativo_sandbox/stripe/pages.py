"""One page of a list: newest first, by a cursor that is an object's id."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from dativo_sandbox.stripe.messages import missing

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dativo_sandbox.stripe.queries import Query
    from dativo_sandbox.stripe.shapes import View
    from dativo_sandbox.stripe.store import Listing


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """The positions on a page, newest first, and whether there are more."""

    positions: tuple[int, ...]
    has_more: bool


def page(
    listing: Listing,
    query: Query,
    ranges: Sequence[range],
    wanted: Callable[[int], bool],
) -> Page:
    """Choose the objects of a page.

    Args:
        listing: What to page through.
        query: Which page.
        ranges: Where to look, in ascending order.
        wanted: Whether the object at a position belongs into the list.

    Raises:
        ApiError: The cursor is no object of this list, or was deleted.
    """
    low = 0 if query.since is None else listing.first_since(query.since)
    high = listing.size if query.until is None else listing.first_since(query.until)
    if query.after:
        high = min(high, _cursor(listing, query.after, "starting_after"))
    if query.before:
        low = max(low, _cursor(listing, query.before, "ending_before") + 1)
    within = [range(max(r.start, low), min(r.stop, high)) for r in ranges]
    forward = bool(query.before)
    found = tuple(
        itertools.islice(
            (p for p in _walk(within, forward) if listing.exists(p) and wanted(p)),
            query.limit + 1,
        )
    )
    shown = found[: query.limit]
    return Page(shown[::-1] if forward else shown, len(found) > query.limit)


def body(positions: Iterable[bytes], *, url: str, has_more: bool) -> bytes:
    """Return a list as JSON."""
    more = b"true" if has_more else b"false"
    return b'{"object":"list","data":[%b],"has_more":%b,"url":"%b"}' % (
        b",".join(positions),
        more,
        url.encode(),
    )


def render(listing: Listing, shown: Page, view: View, *, url: str) -> bytes:
    """Return a page as JSON."""
    things = [listing.render(position, view) for position in shown.positions]
    return body(things, url=url, has_more=shown.has_more)


def _cursor(listing: Listing, name: str, param: str) -> int:
    position = listing.position(name)
    if position is None or not listing.exists(position):
        raise missing(listing.type, name, param=param)
    return position


def _walk(ranges: Sequence[range], forward: bool) -> Iterator[int]:
    if forward:
        return itertools.chain.from_iterable(ranges)
    return itertools.chain.from_iterable(map(reversed, reversed(ranges)))
