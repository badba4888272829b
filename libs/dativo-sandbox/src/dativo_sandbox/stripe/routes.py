"""What a path means."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from dativo_sandbox.stripe.resources import by_path, by_type, nested
from dativo_sandbox.stripe.tables import ACCOUNT, SUBLISTS

if TYPE_CHECKING:
    from dativo_sandbox.stripe.kinds import Nested, Resource

SELF = "account"
_ROOT = "/v1/"


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    Attributes:
        endpoint: The path with `:id` in place of ids, as limits and counts see it.
        row: The type of what is listed or retrieved, or of its parent.
        id: The object, or the parent.
        below: The type below the parent that is listed, if one is.
        sublist: A list of another type, and its field that links to the parent.
        child: The object below the parent, if one is retrieved.
    """

    endpoint: str
    row: Resource
    id: str = ""
    below: Nested | None = None
    sublist: tuple[str, str] | None = None
    child: str = ""


def route(path: str) -> Route | None:
    """Return where a path leads, if anywhere."""
    words = path.removeprefix(_ROOT).split("/")
    if not path.startswith(_ROOT) or not all(words):
        return None
    if words == [SELF]:
        return Route(f"{_ROOT}{SELF}", ACCOUNT, SELF)
    return _items(words) or _list(words) or _retrieve(words) or _below(words)


def _list(words: list[str]) -> Route | None:
    row = by_path().get("/".join(words))
    return Route(f"{_ROOT}{row.path}", row) if row else None


def _retrieve(words: list[str]) -> Route | None:
    row = by_path().get("/".join(words[:-1]))
    return Route(f"{_ROOT}{row.path}/:id", row, words[-1]) if row else None


def _below(words: list[str]) -> Route | None:
    for length in (1, 2):
        row = by_path().get("/".join(words[:length]))
        rest = words[length:]
        if row is None or len(rest) not in (2, 3):
            continue
        child = rest[2] if rest[2:] else ""
        endpoint = f"{_ROOT}{row.path}/:id/{rest[1]}" + ("/:id" if child else "")
        below = _nested().get((row.type, rest[1]))
        sublist = SUBLISTS.get((row.type, rest[1]))
        if below or sublist:
            return Route(endpoint, row, rest[0], below, sublist, child)
    return None


def _items(words: list[str]) -> Route | None:
    """Subscription items are listed beside their subscriptions, not below."""
    if words[0] != "subscription_items" or words[2:]:
        return None
    row, below = by_type()["subscription"], _nested()["subscription", "items"]
    endpoint = f"{_ROOT}subscription_items" + ("/:id" if words[1:] else "")
    return Route(endpoint, row, below=below, child="".join(words[1:]))


@functools.cache
def _nested() -> dict[tuple[str, str], Nested]:
    return {(row.parent, row.path): row for row in nested()}
