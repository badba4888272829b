"""From events to what was taken off an object: lines of a draft, items of a plan.

Stripe has no event for them. The one for the object shows what its list was before and
is now, up to ten of them; ids never come back, so a later event takes nothing back.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_stripe.records import Page, read_fields, read_head, read_page

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import msgspec

    from tap_stripe.events import Event
    from tap_stripe.resources import Resource

_NOTHING = Page([])


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that an object carried and does not carry any more.

    Args:
        resource: The stream that it was a row of.
        parent: Id of the object.
        item: Its last values.
        at: Second in which it was taken off.
        is_certain: Whether the event shows all that is left; else it must be looked up.
    """

    resource: Resource
    parent: str
    item: msgspec.Raw
    at: int
    is_certain: bool


def find(
    events: Iterable[Event], carriers: Mapping[str, tuple[Resource, Sequence[Resource]]]
) -> Iterator[Removal]:
    """Yield what events say was taken off.

    Args:
        events: Any events, in any order.
        carriers: Whose objects carry lists, and which of these are wanted, by what
            Stripe calls the objects.
    """
    for event in events:
        head = read_head(event.data.object)
        if head.object in carriers and head.id:
            carrier, wanted = carriers[head.object]
            fields = read_fields(event.data.object)
            for child in wanted:
                after = _page(fields.get(child.field))
                if event.type in carrier.gone:
                    before, after = after, _NOTHING
                else:
                    attributes = event.data.previous_attributes or {}
                    before = _page(attributes.get(child.field))
                yield from _gone(event, head.id, child, before, after)


def _gone(
    event: Event, parent: str, child: Resource, before: Page, after: Page
) -> Iterator[Removal]:
    left = {read_head(item).id for item in after.data}
    for item in before.data:
        identity = read_head(item).id
        if identity and identity not in left:
            is_certain = not after.has_more
            yield Removal(child, parent, item, event.created, is_certain)


def _page(field: msgspec.Raw | None) -> Page:
    """Read a list that an object carries; what is none is an empty one."""
    text = b"" if field is None else bytes(field)
    return read_page(text) if text.startswith(b"{") else _NOTHING
