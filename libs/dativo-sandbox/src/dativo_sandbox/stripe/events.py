"""What happened in an account: one event for each change, kept for thirty days."""

from __future__ import annotations

import bisect
import dataclasses
import typing as t

from dativo_sandbox.stripe.ids import Ids
from dativo_sandbox.stripe.resources import by_type
from dativo_sandbox.stripe.shapes import view
from dativo_sandbox.stripe.templates import encode

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_sandbox.stripe.population import Population
    from dativo_sandbox.stripe.shapes import View
    from dativo_sandbox.stripe.store import Thing

HORIZON_SECONDS = 30 * 86_400


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One event.

    Attributes:
        created: The second in which it happened.
        name: Such as `charge.refunded`.
        type: The type of the object that it is about.
        position: Where that object is.
        version: The version of the API that its snapshot is in.
        snapshot: The object as it was then; without one, as it was generated.
        previous: What an update changed.
        visible: The second from which it can be seen.
    """

    created: int
    name: str
    type: str
    position: int
    version: str
    snapshot: Thing | None = None
    previous: Thing | None = None
    visible: int = 0


class EventLog:
    """The events of one account, as a list.

    Args:
        population: The objects that they are about.
        clock: The second that it is.
        version: The version of the API that the account has.
    """

    type = "event"

    def __init__(
        self, population: Population, clock: Callable[[], int], version: str
    ) -> None:
        self.version = version
        self._population = population
        self._clock = clock
        self._ids = Ids("evt_", population.plan.seed, population.plan.account)
        self._entries = self._births(clock() - HORIZON_SECONDS)

    @property
    def size(self) -> int:
        """How many events there have been."""
        return len(self._entries)

    def entry(self, position: int) -> Entry:
        """Return one event."""
        return self._entries[position]

    def id_at(self, position: int) -> str:
        """Name the event at a position."""
        return self._ids.at(position)

    def position(self, name: str) -> int | None:
        """Return where an event is, if there ever was one of this name."""
        found = self._ids.position(name)
        return found if found is not None and found < self.size else None

    def exists(self, position: int) -> bool:
        """Tell whether an event is young enough, and old enough, to be seen."""
        entry, now = self._entries[position], self._clock()
        return entry.created >= now - HORIZON_SECONDS and entry.visible <= now

    def first_since(self, second: int) -> int:
        """Return the first event of this second or later."""
        return bisect.bisect_left(self._entries, second, key=lambda e: e.created)

    def render(self, position: int, view: View) -> bytes:
        """Return an event as JSON; its snapshot does not depend on who asks."""
        entry = self._entries[position]
        thing = self._frame(position, entry, view)
        head, _, tail = encode(thing).partition(b'"SNAPSHOT"')
        return head + self._snapshot(entry, livemode=view.livemode) + tail

    def add(self, entry: Entry) -> int:
        """Write down what happened; return its position."""
        self._entries.append(entry)
        return self.size - 1

    def _frame(self, position: int, entry: Entry, view: View) -> Thing:
        data: Thing = {"object": "SNAPSHOT"}
        if entry.previous is not None:
            data["previous_attributes"] = entry.previous
        return {
            "id": self.id_at(position),
            "object": "event",
            "api_version": entry.version,
            "created": entry.created,
            "data": data,
            "livemode": view.livemode,
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": entry.name,
        }

    def _snapshot(self, entry: Entry, *, livemode: bool) -> bytes:
        seen = view(entry.version, livemode=livemode)
        store = self._population.stores[entry.type]
        if entry.snapshot is not None:
            return store.painter.show(entry.snapshot, entry.position, seen)
        created = store.created_at(entry.position)
        return store.painter.render(entry.position, created, seen)

    def _births(self, since: int) -> list[Entry]:
        found = []
        for type_, row in by_type().items():
            name = row.born or f"{row.family}.created"
            if not row.family or not (row.born or "created" in row.verbs):
                continue
            store = self._population.stores[type_]
            for position in range(store.first_since(since), store.size):
                created = store.created_at(position)
                found.append(Entry(created, name, type_, position, self.version))
        return sorted(found, key=lambda entry: entry.created)
