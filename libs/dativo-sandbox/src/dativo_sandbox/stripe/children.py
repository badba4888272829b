"""What lies below one object: lines of an invoice, items of a subscription."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from dativo_sandbox.stripe import facts
from dativo_sandbox.stripe.fixtures import nested_template
from dativo_sandbox.stripe.ids import Ids
from dativo_sandbox.stripe.resources import by_type
from dativo_sandbox.stripe.shapes import View
from dativo_sandbox.stripe.templates import Facts, Template

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_sandbox.stripe.kinds import Nested
    from dativo_sandbox.stripe.population import Population
    from dativo_sandbox.stripe.store import Thing

_FIRST_PAGE = 10
_MOST = 4_096


@functools.cache
def _template(type_: str, parent: str) -> Template:
    return Template(nested_template(type_, parent))


class Family:
    """All objects of one type that lie below those of another, in one account.

    The position of a child is that of its parent times 4,096 plus its own.
    """

    def __init__(self, population: Population, row: Nested) -> None:
        self.row = row
        self.ids = Ids(row.prefix, population.plan.seed, population.plan.account)
        self._population = population
        self._template = _template(row.type, row.parent)
        names, shared = self._template.names, self._shared()
        own = {"id", "k", "parent", "line_amount", "livemode"}
        self._facts = Facts(shared, names - own)
        self._removed: set[int] = set()

    def below(self, parent: int) -> Branch:
        """Return the children of the object at a position."""
        return Branch(self, parent)

    def count(self, parent: int) -> int:
        """Return how many children the object at a position has."""
        return min(facts.children(parent), self.row.most)

    def parent_of(self, name: str) -> int | None:
        """Return the position of the parent of a child of this name, if any."""
        position = self.ids.position(name)
        if position is None or position // _MOST >= self._parents.size:
            return None
        return position // _MOST

    def remove(self, name: str) -> int:
        """Take a child away; return the position of its parent.

        Raises:
            LookupError: There is no such child.
        """
        parent = self.parent_of(name)
        position = None if parent is None else self.below(parent).position(name)
        if parent is None or position is None or not self.exists(parent, position):
            message = f"There is no {self.row.type} {name!r}."
            raise LookupError(message)
        self._removed.add(parent * _MOST + position)
        return parent

    def exists(self, parent: int, child: int) -> bool:
        """Tell whether a child was not taken away."""
        return parent * _MOST + child not in self._removed

    def render(self, parent: int, child: int, view: View) -> str:
        """Return a child as JSON."""
        values = self._of_all(parent, view)
        return self._template.render(view, values | self._of_one(parent, child))

    def whole(self, parent: int, child: int) -> Thing:
        """Return a child with all that any version shows of it."""
        values = self._of_all(parent, View(legacy=False, livemode=True))
        return self._template.whole(values | self._of_one(parent, child))

    def first_page(self, parent: int, view: View) -> str:
        """Return the list of the first children, as their parent shows it."""
        there = [k for k in range(self.count(parent)) if self.exists(parent, k)]
        shown = there[: -_FIRST_PAGE - 1 : -1]
        values, render = self._of_all(parent, view), self._template.render
        things = (render(view, values | self._of_one(parent, k)) for k in shown)
        more = "true" if len(there) > _FIRST_PAGE else "false"
        url, data = self.url(self._parents.id_at(parent)), ",".join(things)
        return f'{{"object":"list","data":[{data}],"has_more":{more},"url":"{url}"}}'

    def url(self, parent: str) -> str:
        """Return where all children of a parent are listed."""
        if self.row.type == "subscription_item":
            return f"/v1/subscription_items?subscription={parent}"
        return f"/v1/{by_type()[self.row.parent].path}/{parent}/{self.row.path}"

    @property
    def _parents(self) -> t.Any:
        return self._population.stores[self.row.parent]

    def _of_all(self, parent: int, view: View) -> dict[str, object]:
        """Return the values that all children of one parent share."""
        values = self._facts.of(parent, self._parents.created_at(parent))
        values["parent"] = self._parents.id_at(parent)
        values["livemode"] = "true" if view.livemode else "false"
        return values

    def _of_one(self, parent: int, child: int) -> dict[str, object]:
        return {
            "id": self.ids.at(parent * _MOST + child),
            "k": child,
            "line_amount": facts.line_amount(parent, child),
        }

    def _shared(self) -> dict[str, Callable[[int, int], object]]:
        population, parent = self._population, self.row.parent
        first = population.item_ids

        def first_item(position: int, _: int) -> str:
            subscription = population.linked(parent, "subscription", position)
            return first.at(subscription * _MOST)

        links = population.links(parent)
        return {**facts.FACTS, **links, "first_item": first_item}


@dataclasses.dataclass(frozen=True, slots=True)
class Branch:
    """The children of one object, as a list."""

    family: Family
    parent: int

    @property
    def type(self) -> str:
        """The value of `object`."""
        return self.family.row.type

    @property
    def size(self) -> int:
        """How many children there are."""
        return self.family.count(self.parent)

    def id_at(self, position: int) -> str:
        """Name the child at a position."""
        return self.family.ids.at(self.parent * _MOST + position)

    def position(self, name: str) -> int | None:
        """Return which of these children has this name."""
        found = self.family.ids.position(name)
        if found is None or found // _MOST != self.parent:
            return None
        return found % _MOST if found % _MOST < self.size else None

    def exists(self, position: int) -> bool:
        """Tell whether a child can be listed."""
        is_one = 0 <= position < self.size
        return is_one and self.family.exists(self.parent, position)

    def first_since(self, second: int) -> int:
        """Children are as old as their parent and have no times of their own."""
        return 0 * second

    def render(self, position: int, view: View) -> bytes:
        """Return a child as JSON."""
        return self.family.render(self.parent, position, view).encode()

    def whole(self, position: int) -> Thing:
        """Return a child with all that any version shows of it."""
        return self.family.whole(self.parent, position)
