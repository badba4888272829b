"""From the bytes of a page to the bytes of RECORD lines, without a dict of values.

A value stays the text that Stripe sent, digit for digit. Only two things change:
moments become date-times, and what has no column goes to `_extra`.
"""

from __future__ import annotations

import functools
import json
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

import msgspec
from dativo_core.record_lines import label

from tap_stripe.versions import ACCOUNT, DELETED_AT, EXTRA, PARENT

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_stripe.left_out import LeftOut

Fields: t.TypeAlias = "dict[str, msgspec.Raw]"


class Page(msgspec.Struct, frozen=True):
    """One answer of a list."""

    data: list[msgspec.Raw]
    has_more: bool = False


class Head(msgspec.Struct, frozen=True, rename={"told_id": "id"}):
    """What the tap itself must know of an object; what is not there yet has no id."""

    told_id: str | None = None
    object: str = ""
    created: int | None = None
    date: int | None = None
    deleted: bool = False

    @property
    def id(self) -> str:
        """What names it."""
        return self.told_id or ""

    @property
    def moment(self) -> int | None:
        """When it was made; invoice items call it `date`."""
        return self.date if self.created is None else self.created


class _Owned(msgspec.Struct, frozen=True):
    customer: t.Any = None


_page = msgspec.json.Decoder(Page)
_head = msgspec.json.Decoder(Head)
_owned = msgspec.json.Decoder(_Owned)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def compact(body: bytes) -> bytes:
    """Return JSON on one line: Stripe indents its answers, and a line is a message."""
    return msgspec.json.format(body, indent=-1) if b"\n" in body else body


def read_page(body: bytes | memoryview) -> Page:
    """Cut a list into its objects."""
    return _page.decode(body)


def read_head(item: msgspec.Raw) -> Head:
    """Read what the tap must know of an object, and nothing else."""
    return _head.decode(item)


def read_owner(item: msgspec.Raw) -> str:
    """Return the id of the customer that an object hangs on, if it names one."""
    owner = _owned.decode(item).customer
    return owner if isinstance(owner, str) else ""


def read_fields(item: msgspec.Raw) -> Fields:
    """Cut an object into its fields."""
    return _fields.decode(item)


def without(left_out: LeftOut, text: bytes) -> bytes:
    """Return an object's JSON less some fields; whatever is no object stays."""
    if not text.startswith(b"{"):
        return text
    kept: list[bytes] = []
    for name, value in _fields.decode(text).items():
        out = left_out.get(name)
        if out != {}:
            inside = without(out, bytes(value)) if out else bytes(value)
            kept.append(label(name) + inside)
    return b"{" + b",".join(kept) + b"}"


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of an object besides its fields.

    Args:
        parent: Id of the object that it hangs on.
        account: Id of the connected account, where rows must tell it.
        deleted_at: When it was deleted, in seconds since 1970.
    """

    parent: str = ""
    account: str = ""
    deleted_at: int | None = None


class Shape:
    """Renders the objects of one stream.

    Args:
        columns: Kind of each column that the stream has.
        left_out: What is not selected.
        fits: Whether a value is what its column declares, where that is a shape.
    """

    def __init__(
        self,
        columns: Mapping[str, str],
        left_out: LeftOut,
        fits: Mapping[str, Callable[[bytes], bool]] | None = None,
    ) -> None:
        self._left_out = left_out
        known = fits or {}
        self._own_columns = columns.keys() & {EXTRA, PARENT, ACCOUNT, DELETED_AT}
        self._rules = {
            name: _Rule(label(name), kind, known.get(name))
            for name, kind in columns.items()
            if name not in self._own_columns
        }

    def render(self, fields: Fields, origin: Origin) -> bytes:
        """Return the record as JSON."""
        parts: list[bytes] = []
        unknown: list[bytes] = []
        for name, value in fields.items():
            out = self._left_out.get(name)
            if out == {}:
                continue
            text = without(out, bytes(value)) if out else bytes(value)
            rule = self._rules.get(name)
            held = rule.hold(text) if rule else None
            if rule and held:
                parts.append(rule.label + held)
            elif name != "deleted":
                unknown.append(label(name) + text)
        parts += self._own(origin, unknown)
        return b"{" + b",".join(parts) + b"}"

    def _own(self, origin: Origin, unknown: list[bytes]) -> list[bytes]:
        found = {
            PARENT: json.dumps(origin.parent).encode() if origin.parent else b"",
            ACCOUNT: json.dumps(origin.account).encode() if origin.account else b"",
            DELETED_AT: b"" if origin.deleted_at is None else moment(origin.deleted_at),
            EXTRA: b"{" + b",".join(unknown) + b"}" if unknown else b"",
        }
        return [
            label(name) + value
            for name, value in found.items()
            if value and name in self._own_columns and name not in self._left_out
        ]


@functools.lru_cache(maxsize=100_000)
def moment(seconds: int) -> bytes:
    """Return a date-time in UTC as JSON."""
    text = datetime.fromtimestamp(seconds, timezone.utc).isoformat()
    return f'"{text}"'.encode()


class _Rule:
    def __init__(
        self, label: bytes, kind: str, fits: Callable[[bytes], bool] | None
    ) -> None:
        self.label = label
        self._fits = fits
        self._starts = _STARTS[kind]
        self._is_moment = kind == "moment"

    def hold(self, text: bytes) -> bytes | None:
        """Return the value as the column has it; None if it cannot hold it."""
        if text[0] not in self._starts or (self._fits and not self._fits(text)):
            return None
        return _date_time(text) if self._is_moment else text


def _date_time(text: bytes) -> bytes | None:
    if text == b"null":
        return text
    try:
        return moment(int(text))
    except (ValueError, OverflowError, OSError):
        return None


# A value of another kind than its column's has no place there: null may stand anywhere.
_STARTS = {
    "text": b'"n',
    "integer": b"0123456789-n",
    "number": b"0123456789-n",
    "moment": b"0123456789-n",
    "boolean": b"tfn",
    "texts": b"[n",
    "list": b"[n",
    "object": b"{n",
}
