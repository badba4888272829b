"""`expand`: objects whole in place of their ids, and lists that are else left out."""

from __future__ import annotations

import json
import re
import typing as t

from dativo_sandbox.stripe.messages import ApiError
from dativo_sandbox.stripe.pages import page, render
from dativo_sandbox.stripe.queries import Query, with_filter
from dativo_sandbox.stripe.resources import by_type, nested
from dativo_sandbox.stripe.selection import select
from dativo_sandbox.stripe.tables import EXPANDED_LISTS, INCLUDABLE, SUBLISTS
from dativo_sandbox.stripe.templates import encode

if t.TYPE_CHECKING:
    from dativo_sandbox.stripe.keys import Caller
    from dativo_sandbox.stripe.store import Thing

_ID = re.compile(r"[a-z]+_\w+")


def expanded(body: bytes, paths: tuple[str, ...], caller: Caller) -> bytes:
    """Return an answer with what the paths name shown whole.

    Raises:
        ApiError: A path leads nowhere.
    """
    if not paths:
        return body
    thing = json.loads(body)
    for path in paths:
        _expand(thing, path.split("."), caller)
    return encode(thing)


def _expand(thing: t.Any, words: list[str], caller: Caller) -> None:
    if isinstance(thing, list):
        for part in thing:
            _expand(part, words, caller)
        return
    if not isinstance(thing, dict) or not words:
        return
    field, rest = words[0], words[1:]
    if field not in thing or isinstance(thing[field], str):
        thing[field] = _whole(thing, field, caller)
    _expand(thing[field], rest, caller)


def _whole(thing: Thing, field: str, caller: Caller) -> t.Any:
    value = thing.get(field)
    found = _list(thing, field, caller) or _linked(value, caller)
    if found is not None:
        return json.loads(found)
    if field not in INCLUDABLE.get(thing["object"], ()) and not _is_id(value):
        raise ApiError(400, f"This property cannot be expanded ({field}).")
    return value


def _is_id(value: str | None) -> bool:
    """Tell whether a value names an object, be it one that there is not here."""
    return value is not None and bool(_ID.fullmatch(value))


def _linked(name: str | None, caller: Caller) -> bytes | None:
    for store in caller.account.population.stores.values():
        position = None if name is None else store.position(name)
        if position is not None:
            return store.render(position, caller.view)
    return None


def _list(thing: Thing, field: str, caller: Caller) -> bytes | None:
    type_, population = thing.get("object", ""), caller.account.population
    for row in nested():
        if row.parent == type_ and row.field == field:
            parent = population.stores[type_].position(thing["id"])
            family = population.families[row.parent, row.path]
            return family.first_page(t.cast("int", parent), caller.view).encode()
    if (type_, field) not in EXPANDED_LISTS:
        return None
    return _sublist(thing, field, caller)


def _sublist(thing: Thing, field: str, caller: Caller) -> bytes:
    type_, link = SUBLISTS[thing["object"], field]
    row, listing = by_type()[type_], caller.account.listing(type_)
    asked = with_filter(Query(), link, thing["id"])
    chosen = select(row, caller.account, asked)
    shown = page(listing, asked, chosen.ranges, chosen.wanted)
    url = f"/v1/{by_type()[thing['object']].path}/{thing['id']}/{field}"
    return render(listing, shown, caller.view, url=url)
