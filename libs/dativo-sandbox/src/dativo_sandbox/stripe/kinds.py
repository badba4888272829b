"""What there is to know about an object type of Stripe's API."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """One object type with a list of its own.

    Attributes:
        type: The value of `object`, also the name of the fixture.
        path: Where it is listed, below /v1.
        prefix: How its ids begin.
        share: Objects per customer of the account.
        created: Whether the list takes `created`.
        links: Fields that hold the id of another object, and its type.
        filters: Further fields that the list can be filtered by.
        required: A filter without which the list is refused.
        family: How the names of its events begin; empty if it has none.
        born: The event of its creation, if it is not `<family>.created`.
        verbs: Which of `created`, `updated` and `deleted` exist in its family.
        deletable: Whether an object can be deleted.
        stub: Whether a deleted object can still be retrieved, as a stub.
    """

    type: str
    path: str
    prefix: str
    share: float = 0.05
    created: bool = False
    links: Mapping[str, str] = dataclasses.field(default_factory=dict)
    filters: tuple[str, ...] = ()
    required: str = ""
    family: str = ""
    born: str = ""
    verbs: tuple[str, ...] = ()
    deletable: bool = False
    stub: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Nested:
    """An object type that is listed below a parent.

    Attributes:
        type: The value of `object`, also the name of the fixture.
        parent: The type of its parent.
        path: The rest of the path after the parent's own.
        prefix: How its ids begin.
        field: The parent's field that shows the first page, if there is one.
        shown: Whether the field is there without being asked for by `expand`.
        link: The child's field that holds the parent's id, if there is one.
        most: How many children an object has at most.
    """

    type: str
    parent: str
    path: str
    prefix: str
    field: str = ""
    shown: bool = False
    link: str = ""
    most: int = 1_000
