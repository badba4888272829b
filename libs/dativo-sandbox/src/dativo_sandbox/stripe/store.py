"""The objects of one type: generated ones, and what was changed since."""

from __future__ import annotations

import bisect
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dativo_sandbox.stripe.ids import Ids
    from dativo_sandbox.stripe.shapes import View

Thing = dict[str, t.Any]


class Listing(t.Protocol):
    """What can be paged through: objects by position, the oldest first."""

    @property
    def type(self) -> str:
        """The value of `object`."""

    @property
    def size(self) -> int:
        """How many positions there are, deleted ones included."""

    def id_at(self, position: int) -> str:
        """Name the object at a position."""

    def position(self, name: str) -> int | None:
        """Return where an object is or was, if there ever was one of this name."""

    def exists(self, position: int) -> bool:
        """Tell whether the object at a position can be listed."""

    def first_since(self, second: int) -> int:
        """Return the first position created in this second or later."""

    def render(self, position: int, view: View) -> bytes:
        """Return an object as JSON."""


class Painter(t.Protocol):
    """How the objects of one type look."""

    def render(self, position: int, created: int, view: View) -> bytes:
        """Return a generated object as JSON."""

    def whole(self, position: int, created: int) -> Thing:
        """Return a generated object with all that any version shows of it."""

    def show(self, thing: Thing, position: int, view: View) -> bytes:
        """Return a changed object as JSON."""


class Store:
    """One object type of one account.

    Args:
        type_: The value of `object`.
        ids: How positions are named.
        count: How many objects are generated.
        created: When each of those was created.
        painter: What they look like.
    """

    def __init__(
        self,
        type_: str,
        *,
        ids: Ids,
        count: int,
        created: Callable[[int], int],
        painter: Painter,
    ) -> None:
        self.type = type_
        self.count = count
        self.painter = painter
        self.changed: dict[int, Thing] = {}
        self.deleted: set[int] = set()
        self._ids = ids
        self._created = created
        self._born: list[int] = []

    @property
    def size(self) -> int:
        """How many positions there are, deleted ones included."""
        return self.count + len(self._born)

    def id_at(self, position: int) -> str:
        """Name the object at a position."""
        return self._ids.at(position)

    def position(self, name: str) -> int | None:
        """Return where an object is or was, if there ever was one of this name."""
        found = self._ids.position(name)
        return found if found is not None and found < self.size else None

    def exists(self, position: int) -> bool:
        """Tell whether the object at a position can be listed."""
        return position not in self.deleted

    def created_at(self, position: int) -> int:
        """Return the second in which an object was created."""
        if position < self.count:
            return self._created(position)
        return self._born[position - self.count]

    def first_since(self, second: int) -> int:
        """Return the first position created in this second or later."""
        positions: Sequence[int] = range(self.size)
        return bisect.bisect_left(positions, second, key=self.created_at)

    def render(self, position: int, view: View) -> bytes:
        """Return an object as JSON."""
        thing = self.changed.get(position)
        if thing is not None:
            return self.painter.show(thing, position, view)
        return self.painter.render(position, self.created_at(position), view)

    def whole(self, position: int) -> Thing:
        """Return an object with all that any version shows of it, to be changed."""
        thing = self.changed.get(position)
        if thing is not None:
            return dict(thing)
        return self.painter.whole(position, self.created_at(position))

    def add(self, created: int) -> int:
        """Add an object that looks like the generated ones; return its position."""
        self._born.append(created)
        return self.size - 1
