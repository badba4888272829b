"""One object, as the version of the API that was asked for shows it.

Stripe moved what users join on in 2025-03-31.basil; earlier versions are `legacy`.
https://docs.stripe.com/changelog/basil
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

NEWEST = "2026-10-28.endive"
_BASIL = "2025-03-31"
_VERSION = re.compile(r"20\d\d-[01]\d-[0-3]\d(\.[a-z]+)?")
_NEW_ONLY: Mapping[str, frozenset[str]] = {
    "balance_transaction": frozenset({"balance_type"}),
    "charge": frozenset({"customer_account"}),
    "customer": frozenset({"customer_account"}),
    "invoice": frozenset(
        {"amount_overpaid", "customer_account", "parent", "total_taxes"}
    ),
    "line_item": frozenset(
        {"parent", "pricing", "quantity_decimal", "subtotal", "taxes"}
    ),
    "payment_intent": frozenset({"customer_account", "managed_payments"}),
    "subscription": frozenset(
        {"billing_mode", "billing_schedules", "customer_account", "managed_payments"}
    ),
    "subscription_item": frozenset({"current_period_end", "current_period_start"}),
}


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """How objects are shown: to which version of the API, to which kind of key."""

    legacy: bool
    livemode: bool


def is_version(text: str) -> bool:
    """Tell whether a text could be a version of the API."""
    return bool(_VERSION.fullmatch(text))


def view(version: str, *, livemode: bool) -> View:
    """Return what a version shows."""
    return View(version[: len(_BASIL)] < _BASIL, livemode)


def shape(thing: Mapping[str, t.Any], *, legacy: bool) -> dict[str, t.Any]:
    """Return an object without what its version does not have."""
    made = {name: thing[name] for name in thing if name not in ("_legacy", "_without")}
    for name in thing.get("_without", ()):
        made.pop(name, None)
    if legacy:
        for name in _NEW_ONLY.get(thing["object"], ()):
            made.pop(name, None)
        made |= thing.get("_legacy", {})
    return made
