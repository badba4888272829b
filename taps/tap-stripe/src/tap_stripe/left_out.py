"""What the catalog leaves out of a stream: columns, and fields inside of objects."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

LeftOut: t.TypeAlias = "dict[str, LeftOut]"
"""What is left out of a field, by name; nothing means the field itself."""


def plan(mask: Mapping[tuple[str, ...], bool]) -> LeftOut:
    """Return what a selection leaves out.

    Args:
        mask: Whether a breadcrumb is selected, such as
            `("properties", "address", "properties", "city")`.
    """
    found: LeftOut = {}
    # The longer first: a field that is left out forgets what is left out in it.
    for breadcrumb in sorted(mask, key=len, reverse=True):
        if breadcrumb and not mask[breadcrumb]:
            *above, last = breadcrumb[1::2]
            place = found
            for name in above:
                place = place.setdefault(name, {})
            place[last] = {}
    return found
