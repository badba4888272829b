"""Stripe's answers: lists, single objects, and the errors for what cannot be."""

from __future__ import annotations

import typing as t

from dativo_sandbox.stripe import queries
from dativo_sandbox.stripe.expansion import expanded
from dativo_sandbox.stripe.messages import ApiError, Response, invalid, missing
from dativo_sandbox.stripe.pages import page, render
from dativo_sandbox.stripe.resources import by_type
from dativo_sandbox.stripe.routes import SELF
from dativo_sandbox.stripe.selection import Selection, select
from dativo_sandbox.stripe.shapes import shape
from dativo_sandbox.stripe.tables import ACCOUNT
from dativo_sandbox.stripe.templates import encode

if t.TYPE_CHECKING:
    from dativo_sandbox.stripe.children import Family
    from dativo_sandbox.stripe.keys import Caller
    from dativo_sandbox.stripe.messages import Request
    from dativo_sandbox.stripe.queries import Query
    from dativo_sandbox.stripe.routes import Route
    from dativo_sandbox.stripe.store import Listing

_NO_ROUTE = (
    "Unrecognized request URL ({method}: {path}). Please see "
    "https://stripe.com/docs or we can help at https://support.stripe.com/."
)


def answer(request: Request, route: Route | None, caller: Caller) -> Response:
    """Answer a request.

    Raises:
        ApiError: There is nothing to answer with.
    """
    if route is None or request.method != "GET":
        message = _NO_ROUTE.format(method=request.method, path=request.path)
        raise ApiError(404, message)
    if route.below:
        return _children(request, route, caller)
    if route.sublist:
        return _sublist(request, route, caller)
    if route.id:
        return _retrieve(request, route, caller)
    return _list(request, route, caller)


def _list(request: Request, route: Route, caller: Caller) -> Response:
    row = route.row
    asked = queries.parse(
        request.query, created=row.created, filters=(*row.links, *row.filters)
    )
    if row.required and row.required not in dict(asked.filters):
        raise required(row.required)
    listing = caller.account.listing(row.type)
    chosen = select(row, caller.account, asked)
    return _page(listing, asked, chosen, caller, url=request.path)


def _sublist(request: Request, route: Route, caller: Caller) -> Response:
    parent = caller.account.listing(route.row.type)
    _position(parent, route.id)
    type_, field = t.cast("tuple[str, str]", route.sublist)
    asked = queries.parse(request.query, created=False, filters=("type",))
    ours = queries.with_filter(asked, field, route.id)
    row = by_type()[type_]
    listing = caller.account.listing(type_)
    if route.child:
        return _one(listing, route.child, asked, caller)
    chosen = select(row, caller.account, ours)
    return _page(listing, ours, chosen, caller, url=request.path)


def _retrieve(request: Request, route: Route, caller: Caller) -> Response:
    listing = caller.account.listing(route.row.type)
    asked = queries.parse(request.query, created=False, filters=())
    if route.row is ACCOUNT and route.id in (SELF, caller.account.id):
        return Response(body=_own_account(caller))
    position = listing.position(route.id)
    if position is not None and not listing.exists(position) and route.row.stub:
        stub = {"id": route.id, "object": route.row.type, "deleted": True}
        return Response(body=encode(stub))
    return _one(listing, route.id, asked, caller)


def _own_account(caller: Caller) -> bytes:
    """Show the account that asks, which is in no list of connected accounts."""
    store = caller.account.population.stores[ACCOUNT.type]
    thing = store.painter.whole(0, caller.account.population.plan.timeline.start)
    thing["id"] = caller.account.id
    thing.pop("external_accounts", None)
    return encode(shape(thing, legacy=caller.view.legacy))


def _children(request: Request, route: Route, caller: Caller) -> Response:
    below = t.cast("t.Any", route.below)
    family = caller.account.population.families[below.parent, below.path]
    parents = caller.account.population.stores[below.parent]
    asked = queries.parse(
        request.query, created=False, filters=("subscription", "object")
    )
    if not route.id and route.child:
        return _orphan(family, route.child, asked, caller)
    name = route.id or dict(asked.filters).get("subscription", "")
    if not name:
        raise required("subscription")
    param = "id" if route.id else "subscription"
    branch = family.below(_position(parents, name, param))
    if route.child:
        return _one(branch, route.child, asked, caller)
    whole = Selection((range(branch.size),), lambda _: True)
    return _page(branch, asked, whole, caller, url=request.path)


def _orphan(family: Family, name: str, asked: Query, caller: Caller) -> Response:
    parent = family.parent_of(name)
    if parent is None:
        raise missing(family.row.type, name)
    return _one(family.below(parent), name, asked, caller)


def _page(
    listing: Listing, asked: Query, chosen: Selection, caller: Caller, *, url: str
) -> Response:
    shown = page(listing, asked, chosen.ranges, chosen.wanted)
    body = render(listing, shown, caller.view, url=url)
    return Response(body=expanded(body, asked.expand, caller))


def _one(listing: Listing, name: str, asked: Query, caller: Caller) -> Response:
    body = listing.render(_position(listing, name), caller.view)
    return Response(body=expanded(body, asked.expand, caller))


def _position(listing: Listing, name: str, param: str = "id") -> int:
    position = listing.position(name)
    if position is None or not listing.exists(position):
        raise missing(listing.type, name, param=param)
    return position


def required(param: str) -> ApiError:
    """Return the error for a parameter that is not there."""
    return invalid(param, f"Missing required param: {param}.", "parameter_missing")
