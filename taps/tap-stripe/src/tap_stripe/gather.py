"""From an object of Stripe to the rows of all streams that it feeds."""

from __future__ import annotations

import collections
import typing as t
from dataclasses import dataclass, field, replace

import msgspec
from dativo_core.errors import (
    GoneError,
    NotPermittedError,
    RefusedError,
    TryLaterError,
)

from tap_stripe.records import (
    Origin,
    Page,
    compact,
    read_fields,
    read_head,
    read_page,
)
from tap_stripe.windows import PAGE_SIZE

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dativo_core.errors import DativoError

    from tap_stripe.records import Fields, Head, Shape
    from tap_stripe.resources import Resource

Rows: t.TypeAlias = "dict[str, list[bytes]]"

_ATTEMPTS = 3
# A rule of dativo_core's error_handling.yaml.
_CURSOR_GONE = "stripe_cursor_gone"


class Api(t.Protocol):
    """How Stripe is asked."""

    def get(
        self,
        path: str,
        params: Mapping[str, t.Any],
        *,
        endpoint: str = "",
        account: str = "",
    ) -> bytes:
        """Return the body of an answer."""


@dataclass(slots=True)
class Wanted:
    """What a lane sends.

    Args:
        resource: Whose objects are listed.
        shapes: How the rows of each stream look, by stream.
        nested: Streams whose objects hang on those of `resource`.
        refused: Why a nested stream cannot be read, by stream; filled while reading.
    """

    resource: Resource
    shapes: Mapping[str, Shape]
    nested: tuple[Resource, ...]
    refused: dict[str, NotPermittedError] = field(default_factory=dict)


class Gatherer:
    """Completes objects and makes rows of them."""

    def __init__(self, api: Api, account: str, *, tells_account: bool) -> None:
        self._api = api
        self._account = account
        self._origin = Origin(account=account if tells_account else "")

    def page(
        self,
        resource: Resource,
        params: Mapping[str, t.Any],
        identity: str = "",
        newest: int | None = None,
    ) -> Page:
        """Read one page of a list.

        Args:
            resource: Whose list.
            params: What to ask besides.
            identity: Id of the object that the list hangs on.
            newest: Second of the last object of the page before: none can be newer.

        Raises:
            TryLaterError: if the server does not go on from page to page, or answers
                with something else than a page.
        """
        path, asked = question(resource, params, identity)
        for _ in range(_ATTEMPTS):
            page, heads = _read(path, self._get(path, asked, resource.path))
            goes_on = _follows(heads, asked.get("starting_after", ""))
            is_cut = page.has_more and not (heads and heads[-1].id)
            if goes_on and not is_cut and not _has_newer(heads, newest):
                return page
        if goes_on and not is_cut:
            # A list in another order than Stripe's: nothing is wrong with that.
            return page
        msg = f"Stripe's list {path} does not go on from page to page."
        raise TryLaterError(msg, hint="Run again; if it stays, tell Stripe's support.")

    def item(self, resource: Resource, identity: str) -> msgspec.Raw | None:
        """Read one object again; None if it is gone."""
        path = resource.item_path(identity)
        try:
            body = self._get(path, {}, resource.item_path("{id}"))
        except GoneError:
            return None
        found = msgspec.Raw(body)
        try:
            return None if read_head(found).deleted else found
        except msgspec.ValidationError as error:
            raise _strange(path, error) from error

    def rows(self, wanted: Wanted, item: msgspec.Raw, rows: Rows) -> None:
        """Add the rows that an object makes."""
        identity, fields = read_head(item).id, read_fields(item)
        for child in wanted.nested:
            found = self._children(wanted, child, identity, fields)
            shape = wanted.shapes.get(child.name)
            if shape is not None:
                origin = replace(self._origin, parent=identity)
                rows[child.name] += [
                    shape.render(read_fields(part), origin) for part in found
                ]
        self.row(wanted, wanted.resource.name, fields, rows)

    def row(
        self,
        wanted: Wanted,
        stream: str,
        fields: Fields,
        rows: Rows,
        origin: Origin | None = None,
    ) -> None:
        """Add the row of one stream, if it is wanted."""
        shape = wanted.shapes.get(stream)
        if shape is not None:
            told = origin or Origin()
            told = replace(told, account=self._origin.account)
            rows[stream].append(shape.render(fields, told))

    def _get(self, path: str, params: Mapping[str, t.Any], endpoint: str) -> bytes:
        account = self._account
        return compact(self._api.get(path, params, endpoint=endpoint, account=account))

    def carries(self, child: Resource, parent: str, identity: str) -> bool:
        """Tell whether an object carries another one."""
        try:
            found = self._rest(child, parent, [])
        except GoneError:
            return False
        return any(read_head(item).id == identity for item in found)

    def _children(
        self, wanted: Wanted, child: Resource, identity: str, fields: Fields
    ) -> list[msgspec.Raw]:
        if not child.is_costly and child.field in fields:
            listed = self._listed(child, identity, fields)
            if listed is not None:
                return listed
        if child.name not in wanted.shapes or child.name in wanted.refused:
            return []
        try:
            return self._rest(child, identity, [])
        except NotPermittedError as error:
            wanted.refused[child.name] = error
        except GoneError:
            pass
        return []

    def _listed(
        self, child: Resource, identity: str, fields: Fields
    ) -> list[msgspec.Raw] | None:
        """Return the list that an object carries, whole; complete it in place."""
        text = bytes(fields[child.field])
        if not text.startswith(b"{"):
            return None
        page = read_page(text)
        if not page.has_more:
            return page.data
        try:
            data = self._rest(child, identity, page.data)
        except GoneError:
            # The object was deleted meanwhile: events will tell.
            return page.data
        parts = read_fields(msgspec.Raw(text))
        parts["data"] = msgspec.Raw(msgspec.json.encode(data))
        parts["has_more"] = msgspec.Raw(b"false")
        fields[child.field] = msgspec.Raw(msgspec.json.encode(parts))
        return data

    def _rest(
        self, child: Resource, identity: str, begun: list[msgspec.Raw]
    ) -> list[msgspec.Raw]:
        """Return a nested list whole, of which the beginning is known.

        Raises:
            GoneError: if there is no such parent.
        """
        for _ in range(_ATTEMPTS):
            after = read_head(begun[-1]).id if begun else ""
            try:
                return [*begun, *self._all(child, identity, after)]
            except RefusedError as error:
                if not is_lost_cursor(error):
                    raise
                # What was read last is gone, and who knows what else.
                begun = []
        msg = f"The list of {child.name} of {identity} changes while it is read."
        raise TryLaterError(msg, hint="Run again when it has come to rest.")

    def _all(self, child: Resource, identity: str, after: str) -> Iterator[msgspec.Raw]:
        while True:
            params = {"limit": str(PAGE_SIZE)}
            params |= {"starting_after": after} if after else {}
            page = self.page(child, params, identity)
            yield from page.data
            if not page.has_more or not page.data:
                return
            after = read_head(page.data[-1]).id


def _read(path: str, body: bytes) -> tuple[Page, list[Head]]:
    try:
        page = without_repeats(read_page(body))
        return page, [read_head(item) for item in page.data]
    except msgspec.ValidationError as error:
        raise _strange(path, error) from error


def _strange(path: str, error: Exception) -> TryLaterError:
    msg = f"What Stripe answers for {path} is not as documented: {error}."
    return TryLaterError(msg, hint="Look at what stands between; then run again.")


def is_lost_cursor(error: DativoError) -> bool:
    """Tell whether the object that a page was to follow exists no more."""
    return error.decision is not None and error.decision.rule == _CURSOR_GONE


def question(
    resource: Resource, params: Mapping[str, t.Any], identity: str = ""
) -> tuple[str, dict[str, t.Any]]:
    """Return the path and the parameters that ask for a page of a list."""
    fixed = {name: value.format(id=identity) for name, value in resource.params}
    return resource.path.format(id=identity), fixed | {**params}


def without_repeats(page: Page) -> Page:
    """Return a page that shows each object once."""
    known: dict[str, msgspec.Raw] = {}
    for number, item in enumerate(page.data):
        known.setdefault(read_head(item).id or f"{number}", item)
    if len(known) == len(page.data):
        return page
    return Page(list(known.values()), page.has_more)


def _follows(heads: Sequence[Head], after: str) -> bool:
    """Tell whether a page can be what comes after an object."""
    return not after or all(head.id != after for head in heads)


def _has_newer(heads: Sequence[Head], newest: int | None) -> bool:
    return newest is not None and any((head.moment or 0) > newest for head in heads)


def no_rows() -> Rows:
    """Return an empty collection of rows."""
    return collections.defaultdict(list)
