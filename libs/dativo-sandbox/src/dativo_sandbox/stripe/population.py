"""All objects of one account, each a function of seed, type and position."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from dativo_sandbox.stripe import facts
from dativo_sandbox.stripe.children import Family
from dativo_sandbox.stripe.fixtures import template
from dativo_sandbox.stripe.ids import Ids, Timeline
from dativo_sandbox.stripe.painting import FullPainter
from dativo_sandbox.stripe.resources import by_type, nested
from dativo_sandbox.stripe.store import Store
from dativo_sandbox.stripe.templates import Template

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# So that every list has a second page of 100, if there are that many customers.
_LEAST = 120


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What to generate for one account.

    Attributes:
        account: The id of the account.
        seed: What makes one population differ from another.
        customers: How many customers there are; all else is in proportion.
        connected: How many connected accounts there are.
        timeline: When all that was created.
    """

    account: str
    seed: int
    customers: int
    connected: int
    timeline: Timeline

    def count(self, type_: str) -> int:
        """Return how many objects of a type there are."""
        if type_ == "account":
            return self.connected
        share = by_type()[type_].share
        return max(int(self.customers * share), min(_LEAST, self.customers))


@functools.cache
def _template(type_: str) -> Template:
    return Template(template(type_))


class Population:
    """The stores of one account."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._ids = {
            type_: Ids(row.prefix, plan.seed, plan.account, type_)
            for type_, row in by_type().items()
        }
        self._counts = {type_: plan.count(type_) for type_ in by_type()}
        self.item_ids = Ids("si_", plan.seed, plan.account)
        self.families = {(row.parent, row.path): Family(self, row) for row in nested()}
        self.stores: Mapping[str, Store] = {
            type_: self._store(type_, delay) for delay, type_ in enumerate(by_type())
        }

    def linked(self, of: str, to: str, position: int) -> int:
        """Return the position of the object that belongs to one of another type."""
        last = max(self._counts[to] - 1, 0)
        return min(position * self._counts[to] // max(self._counts[of], 1), last)

    def linking(self, of: str, to: str, position: int) -> range:
        """Return the generated objects of a type that belong to one of another."""
        many, one = self._counts[of], max(self._counts[to], 1)
        return range(-(-position * many // one), -(-(position + 1) * many // one))

    def links(self, of: str) -> Mapping[str, Callable[[int, int], object]]:
        """Return the facts that name other objects."""

        def fact(to: str) -> Callable[[int, int], object]:
            ids = self._ids[to]
            return lambda position, _: ids.at(self.linked(of, to, position))

        return {f"link_{to.replace('.', '__')}": fact(to) for to in by_type()}

    def _store(self, type_: str, delay: int) -> Store:
        count, timeline = self._counts[type_], self.plan.timeline
        families = [f for f in self.families.values() if f.row.parent == type_]
        return Store(
            type_,
            ids=self._ids[type_],
            count=count,
            created=lambda position: timeline.created(position, count, delay),
            painter=FullPainter(
                _template(type_),
                self._facts(type_),
                {f.row.field: f.first_page for f in families if f.row.field},
            ),
        )

    def _facts(self, type_: str) -> Mapping[str, Callable[[int, int], object]]:
        ids = self._ids[type_]

        def charge(n: int) -> int:
            return self.linked(type_, "charge", n)

        def is_refunded(n: int) -> bool:
            return bool(self.linking("refund", "charge", n))

        return {
            **facts.FACTS,
            **self.links(type_),
            "id": lambda n, _: ids.at(n),
            "amount_refunded": lambda n, _: facts.amount(n) if is_refunded(n) else 0,
            "refunded": lambda n, _: "true" if is_refunded(n) else "false",
            "charge_amount": lambda n, _: facts.amount(charge(n)),
            "charge_currency": lambda n, _: facts.currency(charge(n)),
        }
