"""Which objects of a type a list is about, before it is cut into pages."""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from dativo_sandbox.stripe import facts
from dativo_sandbox.stripe.messages import missing
from dativo_sandbox.stripe.tables import EVENT

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dativo_sandbox.stripe.events import EventLog
    from dativo_sandbox.stripe.kinds import Resource
    from dativo_sandbox.stripe.queries import Query
    from dativo_sandbox.stripe.store import Store
    from dativo_sandbox.stripe.world import Account

_ALL = "all"
_OVER = ("canceled", "incomplete_expired")


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """Positions in ascending ranges, and whether the one at a position belongs."""

    ranges: Sequence[range]
    wanted: Callable[[int], bool]


def select(row: Resource, account: Account, asked: Query) -> Selection:
    """Choose the objects that a list is about.

    Raises:
        ApiError: A filter names an object that there never was.
    """
    if row.type == EVENT.type:
        log = account.events
        return Selection((range(log.size),), _events(log, account, asked))
    store = account.population.stores[row.type]
    filters = dict(asked.filters)
    status = filters.pop("status", "") if row.type == "subscription" else _ALL
    ranges: Sequence[range] = (range(store.size),)
    for field, name in filters.items():
        if field in row.links:
            ranges = _linked(row, account, field, name)
    return Selection(ranges, _fields(store, filters, status))


def _linked(row: Resource, account: Account, field: str, name: str) -> Sequence[range]:
    population = account.population
    parents, store = population.stores[row.links[field]], population.stores[row.type]
    position = parents.position(name)
    if position is None:
        raise missing(parents.type, name, param=field)
    newer = range(store.count, store.size)
    if position >= parents.count:
        return (newer,)
    ours = population.linking(row.type, parents.type, position)
    return (range(ours.start, min(ours.stop, store.count)), newer)


def _fields(
    store: Store, filters: dict[str, str], status: str
) -> Callable[[int], bool]:
    def wanted(position: int) -> bool:
        if status != _ALL and not _has_status(store, position, status):
            return False
        if not filters:
            return True
        thing = store.whole(position)
        return all(_text(thing.get(name)) == value for name, value in filters.items())

    return wanted


def _has_status(store: Store, position: int, status: str) -> bool:
    changed = store.changed.get(position)
    state = changed["status"] if changed else facts.subscription_status(position)
    if status == "ended":
        return state in _OVER
    return state == status if status else state not in _OVER


def _events(log: EventLog, account: Account, asked: Query) -> Callable[[int], bool]:
    of = dict(asked.filters).get("object_id")

    def wanted(position: int) -> bool:
        entry = log.entry(position)
        if asked.types and entry.name not in asked.types:
            return False
        if asked.pattern and not fnmatch.fnmatchcase(entry.name, asked.pattern):
            return False
        store = account.population.stores[entry.type]
        return of is None or store.id_at(entry.position) == of

    return wanted


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
