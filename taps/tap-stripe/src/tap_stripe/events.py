"""From a feed of events to what has changed: the newest of each object counts.

Stripe renders the object of an event in the version of the API that the account had
when it happened, so it is used only where that is the version that the tap asks for
(https://docs.stripe.com/api/events/object). Events of one second have no order.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass

import msgspec

from tap_stripe.records import Head, read_head

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_stripe.resources import Resource


class Data(msgspec.Struct, frozen=True):
    """What an event carries."""

    object: msgspec.Raw
    previous_attributes: dict[str, msgspec.Raw] | None = None


class Event(msgspec.Struct, frozen=True):
    """One event."""

    id: str
    type: str
    created: int
    data: Data
    api_version: str | None = None


_event = msgspec.json.Decoder(Event)


class How(enum.Enum):
    """What to do about an object that has changed."""

    TAKE = "take the object as the event has it"
    READ = "read the object again"
    DELETE = "say that it is gone"


@dataclass(frozen=True, slots=True)
class Change:
    """An object that has changed, as its newest event tells."""

    resource: Resource
    head: Head
    item: msgspec.Raw
    how: How
    at: int


@dataclass(slots=True)
class _Newest:
    event: Event
    resource: Resource
    head: Head
    is_tied: bool = False


def read_event(item: msgspec.Raw) -> Event:
    """Read one event of a page."""
    return _event.decode(item)


def fold(
    events: Iterable[Event],
    listening: Mapping[str, Resource],
    version: str,
    seen: set[tuple[str, str]],
) -> list[Change]:
    """Return one change for each object that these events tell of.

    Args:
        events: All events of some whole seconds, in any order.
        listening: The streams that want to know, by what Stripe calls their objects.
        version: The version of the API that the tap asks for.
        seen: Objects of which newer events were folded before; grows.
    """
    newest: dict[tuple[str, str], _Newest] = {}
    for event in events:
        head = read_head(event.data.object)
        resource = listening.get(head.object)
        # The object of `invoice.upcoming` does not exist yet and has no id.
        if resource is None or not head.id:
            continue
        identity = (head.object, head.id)
        if identity not in seen:
            _keep_newest(newest, identity, _Newest(event, resource, head))
    seen.update(newest)
    found = [_change(one, version) for one in newest.values()]
    return sorted(found, key=lambda change: (change.at, change.head.id))


def _keep_newest(
    newest: dict[tuple[str, str], _Newest], identity: tuple[str, str], new: _Newest
) -> None:
    old = newest.get(identity)
    if old is None or new.event.created > old.event.created:
        newest[identity] = new
    elif new.event.created == old.event.created:
        same = bytes(new.event.data.object) == bytes(old.event.data.object)
        is_gone = _is_gone(new) or _is_gone(old)
        old.is_tied = old.is_tied or not same or is_gone


def _change(one: _Newest, version: str) -> Change:
    if one.is_tied:
        how = How.READ
    elif _is_gone(one):
        how = How.DELETE
    else:
        how = How.TAKE if one.event.api_version == version else How.READ
    return Change(one.resource, one.head, one.event.data.object, how, one.event.created)


def _is_gone(one: _Newest) -> bool:
    return one.event.type in one.resource.gone
