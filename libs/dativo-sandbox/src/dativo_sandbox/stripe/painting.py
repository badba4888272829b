"""What objects look like: generated ones from a template, changed ones from a dict."""

from __future__ import annotations

import json
import typing as t

from dativo_sandbox.stripe.shapes import View, shape
from dativo_sandbox.stripe.templates import Facts, Template, encode

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dativo_sandbox.stripe.store import Thing

_NESTED = "nested_"


class FullPainter:
    """How objects look that may show first pages of what lies below them.

    Args:
        template: What all of them have in common.
        known: What distinguishes one from another.
        pages: The first page for the object at a position, by field.
    """

    def __init__(
        self,
        template: Template,
        known: Mapping[str, Callable[[int, int], object]],
        pages: Mapping[str, Callable[[int, View], str]],
    ) -> None:
        self._template = template
        shown = {name for name in template.names if name.startswith(_NESTED)}
        self._facts = Facts(known, template.names - shown - {"livemode"})
        self._pages = {name: pages[name.removeprefix(_NESTED)] for name in shown}

    def render(self, position: int, created: int, view: View) -> bytes:
        """Return a generated object as JSON."""
        values = self._facts.of(position, created)
        values["livemode"] = "true" if view.livemode else "false"
        for name, page in self._pages.items():
            values[name] = page(position, view)
        return self._template.render(view, values).encode()

    def whole(self, position: int, created: int) -> Thing:
        """Return a generated object with all that any version shows of it."""
        values = self._facts.of(position, created) | dict.fromkeys(self._pages, "null")
        return self._template.whole(values | {"livemode": "true"})

    def show(self, thing: Thing, position: int, view: View) -> bytes:
        """Return a changed object as JSON."""
        made = shape(thing, legacy=view.legacy)
        if "livemode" in made:
            made["livemode"] = view.livemode
        for name, page in self._pages.items():
            made[name.removeprefix(_NESTED)] = json.loads(page(position, view))
        return encode(made)
