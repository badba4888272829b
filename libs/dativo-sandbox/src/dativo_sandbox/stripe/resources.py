"""Finding the object types of Stripe's API."""

from __future__ import annotations

import functools
import typing as t

from dativo_sandbox.stripe.tables import ACCOUNT, EVENT, NESTED, ROWS

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from dativo_sandbox.stripe.kinds import Nested, Resource


@functools.cache
def by_type() -> Mapping[str, Resource]:
    """Return what an account holds, events apart, by type."""
    return {row.type: row for row in (*ROWS, ACCOUNT)}


@functools.cache
def by_path() -> Mapping[str, Resource]:
    """Return what is listed by the path of its list."""
    return {row.path: row for row in (*ROWS, ACCOUNT, EVENT)}


def nested() -> tuple[Nested, ...]:
    """Return the object types that live below a parent."""
    return NESTED
