"""Changes to objects, which leave events behind as they would at Stripe."""

from __future__ import annotations

import dataclasses
import json
import random
import typing as t

from dativo_sandbox.stripe.events import Entry
from dativo_sandbox.stripe.resources import by_type
from dativo_sandbox.stripe.shapes import view

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dativo_sandbox.stripe.store import Store, Thing
    from dativo_sandbox.stripe.world import Account, Clock

Changes = dict[str, t.Any]
RANDOM_TYPES = ("customer", "charge", "invoice", "subscription")
_TRIES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What happened to one object."""

    op: str
    type: str
    id: str


class Mutations:
    """Changes to the objects of one account.

    Args:
        account: Whose objects they are.
        clock: The second that it is; each change takes the next one.
        event_delay: How many seconds later events can be seen.
    """

    def __init__(self, account: Account, clock: Clock, event_delay: int = 0) -> None:
        self._account = account
        self._clock = clock
        self._delay = event_delay
        self._stores = account.population.stores

    def apply(self, op: str, type_: str, name: str, changes: Changes) -> list[Change]:
        """Make one change, and those that follow from it.

        Raises:
            LookupError: There is no such operation, type or object.
        """
        self._clock.now += 1
        if op == "remove":
            return [self.remove(type_, name)]
        store = self._stores[type_]
        if op == "create":
            return [self.create(type_, changes)]
        position = store.position(name)
        if position is None or not store.exists(position):
            message = f"There is no {type_} {name!r}."
            raise LookupError(message)
        act = _ACTS[op]
        return act(self, store, position, changes)

    def create(self, type_: str, changes: Changes) -> Change:
        """Create an object that looks like the generated ones, but for the changes."""
        store, row = self._stores[type_], by_type()[type_]
        position = store.add(self._clock.now)
        if changes:
            store.changed[position] = store.whole(position) | changes
        if row.born or "created" in row.verbs:
            self._happened(store, position, row.born or f"{row.family}.created")
        return Change("create", type_, store.id_at(position))

    def update(self, store: Store, position: int, changes: Changes) -> list[Change]:
        """Change fields of an object, by default its metadata."""
        row = by_type()[store.type]
        event = f"{row.family}.updated" if "updated" in row.verbs else ""
        return [self._change(store, position, changes, event)]

    def delete(self, store: Store, position: int, _: Changes = {}) -> list[Change]:  # noqa: B006
        """Delete an object; a customer's subscriptions end with it."""
        row, name = by_type()[store.type], store.id_at(position)
        if "deleted" in row.verbs:
            self._happened(store, position, f"{row.family}.deleted")
        store.deleted.add(position)
        ended = self._end_subscriptions(name) if store.type == "customer" else []
        return [Change("delete", store.type, name), *ended]

    def remove(self, type_: str, name: str) -> Change:
        """Take a line or an item off its parent, which is updated by that."""
        family = self._family(type_, name)
        seen = view(self._account.events.version, livemode=True)
        before = json.loads(family.first_page(family.parent_of(name), seen))
        parent = family.remove(name)
        store, row = self._stores[family.row.parent], by_type()[family.row.parent]
        previous = {family.row.field: {"data": before["data"]}}
        self._happened(store, parent, f"{row.family}.updated", previous)
        return Change("remove", type_, name)

    def refund(self, store: Store, position: int, _: Changes) -> list[Change]:
        """Refund a charge whole."""
        charge = store.whole(position)
        links = {"charge": charge["id"], "payment_intent": charge["payment_intent"]}
        money = {"amount": charge["amount"], "currency": charge["currency"]}
        made = self.create("refund", links | money)
        changes = {"refunded": True, "amount_refunded": charge["amount"]}
        return [made, self._change(store, position, changes, "charge.refunded")]

    def cancel(self, store: Store, position: int, _: Changes) -> list[Change]:
        """End a subscription, which stays readable."""
        now = self._clock.now
        changes = {"status": "canceled", "canceled_at": now, "ended_at": now}
        event = "customer.subscription.deleted"
        return [self._change(store, position, changes, event)]

    def pay(self, store: Store, position: int, _: Changes) -> list[Change]:
        """Pay an invoice."""
        invoice = store.whole(position)
        changes = {
            "status": "paid",
            "amount_paid": invoice["total"],
            "amount_remaining": 0,
            "_legacy": {**invoice["_legacy"], "paid": True},
        }
        return [self._change(store, position, changes, "invoice.paid")]

    def void(self, store: Store, position: int, _: Changes) -> list[Change]:
        """Void an invoice."""
        changes = {"status": "void"}
        return [self._change(store, position, changes, "invoice.voided")]

    def _family(self, type_: str, name: str) -> t.Any:
        for family in self._account.population.families.values():
            if family.row.type == type_ and family.parent_of(name) is not None:
                return family
        message = f"There is no {type_} {name!r}."
        raise LookupError(message)

    def _end_subscriptions(self, customer: str) -> list[Change]:
        store = self._stores["subscription"]
        customers = self._stores["customer"]
        position = customers.position(customer)
        ours = self._account.population.linking(
            "subscription", "customer", t.cast("int", position)
        )
        return [
            change
            for at in ours
            if at < store.count and store.whole(at)["status"] != "canceled"
            for change in self.cancel(store, at, {})
        ]

    def _change(
        self, store: Store, position: int, changes: Changes, event: str
    ) -> Change:
        before = store.whole(position)
        if not changes:
            revision = {"revision": str(self._clock.now)}
            changes = {"metadata": {**before.get("metadata", {}), **revision}}
        store.changed[position] = before | changes
        if event:
            previous = {
                name: before.get(name) for name in changes if not name.startswith("_")
            }
            self._happened(store, position, event, previous)
        return Change(event or "update", store.type, before["id"])

    def _happened(
        self, store: Store, position: int, name: str, previous: Thing | None = None
    ) -> None:
        log, now = self._account.events, self._clock.now
        log.add(
            Entry(
                created=now,
                name=name,
                type=store.type,
                position=position,
                version=log.version,
                snapshot=store.whole(position),
                previous=previous,
                visible=now + self._delay,
            )
        )


_ACTS: Mapping[str, t.Callable[..., list[Change]]] = {
    "update": Mutations.update,
    "delete": Mutations.delete,
    "refund": Mutations.refund,
    "cancel": Mutations.cancel,
    "pay": Mutations.pay,
    "void": Mutations.void,
}
_USUAL: Mapping[str, Sequence[str]] = {
    "charge": ("create", "update", "refund"),
    "invoice": ("create", "update", "pay", "void"),
    "subscription": ("create", "update", "cancel"),
}


def script(
    account: Account, count: int, seed: int, types: Iterable[str] = RANDOM_TYPES
) -> list[tuple[str, str, str]]:
    """Draw changes: the operation, the type and the id, each once an object."""
    die = random.Random(seed)  # noqa: S311 no secret
    choices = [type_ for type_ in types if account.population.stores[type_].size]
    drawn: dict[tuple[str, str], str] = {}
    for _ in range(count * _TRIES):
        if len(drawn) == count:
            break
        type_ = die.choice(choices)
        store, op = account.population.stores[type_], die.choice(_ops(type_))
        position = die.randrange(store.size)
        if store.exists(position):
            name = f"new {len(drawn)}" if op == "create" else store.id_at(position)
            drawn.setdefault((type_, name), op)
    return [(op, type_, name) for (type_, name), op in drawn.items()]


def _ops(type_: str) -> Sequence[str]:
    deletable = ("delete",) if by_type()[type_].deletable else ()
    return _USUAL.get(type_, ("create", "update", *deletable))
