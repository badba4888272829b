"""What is inside of Stripe's objects: as JSON Schema, and as a check of values.

A tree is a kind, the fields of an object by name, or a list of one that holds the
fields of its objects. It comes from Stripe's own SDK, as all schemas do.
"""

from __future__ import annotations

import functools
import json
import typing as t
from importlib import resources

import msgspec

from tap_stripe.versions import KINDS, line_of

if t.TYPE_CHECKING:
    from tap_stripe.resources import Resource

Tree: t.TypeAlias = "str | dict[str, Tree] | list[dict[str, Tree]]"
Schema: t.TypeAlias = "dict[str, t.Any]"

_TYPES: dict[str, t.Any] = {
    "text": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "texts": list[str | None],
    "list": list[msgspec.Raw],
    "object": dict[str, msgspec.Raw],
    "json": msgspec.Raw,
}


def load(resource: Resource, version: str) -> dict[str, Tree]:
    """Return the fields of a resource that have a shape of their own."""
    found: dict[str, Tree] = _read(line_of(version)).get(resource.object, {})
    return found


@functools.cache
def _read(line: str) -> t.Any:
    file = resources.files("tap_stripe") / "schemas" / f"{line}.nested.json"
    return json.loads(file.read_text(encoding="utf-8"))


def schema(tree: Tree) -> Schema:
    """Return the JSON Schema of what a tree describes; everything may be null."""
    if isinstance(tree, str):
        return dict(KINDS.get(tree, {}))
    if isinstance(tree, list):
        return {"type": ["array", "null"], "items": schema(tree[0])}
    fields = {name: schema(part) for name, part in tree.items()}
    # An object without known fields is any object.
    known = {"properties": fields} if fields else {}
    return {"type": ["object", "null"], **known}


class Fit:
    """Tells whether a value is what a tree describes, and holds nothing else."""

    def __init__(self, tree: Tree) -> None:
        self._decoder = msgspec.json.Decoder(_type(tree))

    def __call__(self, text: bytes) -> bool:
        """Look at JSON."""
        try:
            self._decoder.decode(text)
        except msgspec.ValidationError:
            return False
        return True


def _type(tree: Tree) -> t.Any:
    if isinstance(tree, str):
        kind = _TYPES[tree]
        return kind if kind is msgspec.Raw else kind | None
    if isinstance(tree, list):
        return list[_type(tree[0])] | None  # type: ignore[misc]
    if not tree:
        return dict[str, msgspec.Raw] | None
    # A field may be called like a word of Python.
    fields = [(f"{name}_", _type(part), None) for name, part in tree.items()]
    made = msgspec.defstruct(
        "Nested", fields, rename=lambda name: name[:-1], forbid_unknown_fields=True
    )
    return made | None
