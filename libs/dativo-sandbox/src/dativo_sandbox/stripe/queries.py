"""The parameters of a list: which objects are asked for, and which page of them."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from dativo_sandbox.stripe.messages import ApiError, invalid

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_DEFAULT, _MOST = 10, 100
_MOST_TYPES = 20
_ITEM = re.compile(r"(\w+)\[\d*\]")
_RANGE = re.compile(r"created\[(gte?|lte?)\]")
_DEEPEST = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """What was asked for.

    Attributes:
        limit: The most objects on the page.
        after: The object after which the page begins, in the order of the list.
        before: The object before which the page ends.
        since: The first second of creation, if there is a bound.
        until: The second before which all were created, if there is a bound.
        filters: Values that fields must have.
        types: Types of events, by name.
        pattern: One type of event, or a family that ends with `*`.
        expand: What to show whole instead of its id.
    """

    limit: int = _DEFAULT
    after: str = ""
    before: str = ""
    since: int | None = None
    until: int | None = None
    filters: tuple[tuple[str, str], ...] = ()
    types: tuple[str, ...] = ()
    pattern: str = ""
    expand: tuple[str, ...] = ()


def parse(
    pairs: Iterable[tuple[str, str]], *, created: bool, filters: Collection[str]
) -> Query:
    """Read the parameters of a list.

    Raises:
        ApiError: One is unknown to this list, or its value cannot be.
    """
    found: dict[str, t.Any] = {"filters": (), "types": (), "expand": ()}
    for name, value in pairs:
        found |= _read(name, value, found, created=created, filters=filters)
    if found.get("after") and found.get("before"):
        message = (
            "You may only specify one of these parameters: ending_before, "
            "starting_after."
        )
        raise invalid("ending_before", message)
    return Query(**found)


def with_filter(query: Query, field: str, value: str) -> Query:
    """Return a query for only those objects that have this value too."""
    return dataclasses.replace(query, filters=(*query.filters, (field, value)))


def _read(
    name: str,
    value: str,
    found: dict[str, t.Any],
    *,
    created: bool,
    filters: Collection[str],
) -> dict[str, t.Any]:
    item = _ITEM.fullmatch(name)
    word = item[1] if item else name
    if name == "limit":
        return {"limit": _limit(value)}
    if name in ("starting_after", "ending_before"):
        return {"after" if name == "starting_after" else "before": value}
    if item and word == "expand":
        return {"expand": (*found["expand"], _expandable(value))}
    if created and (name == "created" or _RANGE.fullmatch(name)):
        return _bound(name, value, found)
    if "types" in filters and (name == "type" or (item and word == "types")):
        return _kind(name, value, found)
    if name in filters:
        return {"filters": (*found["filters"], (name, value))}
    message = f"Received unknown parameter: {name}"
    raise invalid(name, message, "parameter_unknown")


def _kind(name: str, value: str, found: dict[str, t.Any]) -> dict[str, t.Any]:
    read = {"pattern": value} if name == "type" else {"types": (*found["types"], value)}
    both = found | read
    if len(both["types"]) > _MOST_TYPES:
        raise invalid("types", f"You may pass at most {_MOST_TYPES} types.")
    if both["types"] and both.get("pattern"):
        raise invalid("types", "You may pass only one of these: type, types.")
    return read


def _limit(value: str) -> int:
    limit = _integer("limit", value)
    if not 1 <= limit <= _MOST:
        side = (
            "greater than or equal to 1" if limit < 1 else "less than or equal to 100"
        )
        code = "parameter_invalid_integer"
        raise invalid("limit", f"This value must be {side}.", code)
    return limit


def _bound(name: str, value: str, found: dict[str, t.Any]) -> dict[str, t.Any]:
    second = _integer(name, value)
    operator = name.removeprefix("created").strip("[]")
    since = {"": second, "gte": second, "gt": second + 1}.get(operator)
    until = {"": second + 1, "lt": second, "lte": second + 1}.get(operator)
    bounds: dict[str, t.Any] = {}
    if since is not None:
        bounds["since"] = max(since, found.get("since", since))
    if until is not None:
        bounds["until"] = min(until, found.get("until", until))
    return bounds


def _integer(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        message = f"Invalid integer: {value}"
        raise invalid(name, message, "parameter_invalid_integer") from None


def _expandable(path: str) -> str:
    if path.removeprefix("data.").count(".") >= _DEEPEST:
        message = f"You cannot expand more than {_DEEPEST} levels of a property"
        raise ApiError(400, message)
    return path
