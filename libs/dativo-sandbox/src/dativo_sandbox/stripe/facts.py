"""What distinguishes one generated object from another, as functions of a position.

Each takes the position of an object in its list and the second of its creation, and
returns text that stands in JSON as it is.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Fact = t.Callable[[int, int], object]

_FIRST = ("Ada", "Grace", "Zoë", "Jürgen", "Søren", "Chloé", "Łukasz", "Ana", "Tomáš")
_LAST = ("Lovelace", "Hopper", "Müller", "Nuñez", "Sørensen", "Okafor", "Li", "O'Neil")
_CITIES = ("Berlin", "Paris", "São Paulo", "Kraków", "Oslo", "Lagos", "Osaka")
_COUNTRIES = ("DE", "FR", "BR", "PL", "NO", "NG", "JP")
_CURRENCIES = ("usd", "usd", "usd", "eur", "eur", "gbp", "jpy", "chf", "sek", "kwd")
_TIERS = ("free", "team", "business")
_STATES = (*["active"] * 4, "past_due", "trialing", *["active"] * 3, "canceled")
_MONTH = 30 * 86_400
_MANY_LINES, _LINES_OF_MANY = 1_000, 130
_SOME_LINES, _LINES_OF_SOME = 50, 12


def children(position: int) -> int:
    """Return how many children an object has: a few, sometimes pages of them."""
    if position % _MANY_LINES == 3:  # noqa: PLR2004 neither first nor last
        return _LINES_OF_MANY
    if position % _SOME_LINES == 7:  # noqa: PLR2004
        return _LINES_OF_SOME
    return 1 + position % 3


def line_amount(position: int, child: int) -> int:
    """Return what one line of an invoice costs, in minor units."""
    return 100 + (position * 37 + child * 11) % 9_000


def amount(position: int) -> int:
    """Return what a payment is about, in minor units."""
    return 500 + position * 7_919 % 99_500


def currency(position: int) -> str:
    """Return the currency of an object."""
    return _CURRENCIES[position % len(_CURRENCIES)]


def subscription_status(position: int) -> str:
    """Return the state of a subscription; every tenth is over."""
    return _STATES[position % len(_STATES)]


def invoice_status(position: int) -> str:
    """Return the state of an invoice."""
    return ("open", "draft")[position % 10 - 7] if position % 10 in (7, 8) else "paid"


def _total(position: int) -> int:
    lines = range(children(position))
    return sum(line_amount(position, child) for child in lines)


def _paid(position: int) -> int:
    return _total(position) if invoice_status(position) == "paid" else 0


def _is_failed(position: int) -> bool:
    return position % 20 == 19  # noqa: PLR2004


def _json(value: bool) -> str:
    return "true" if value else "false"


FACTS: Mapping[str, Callable[[int, int], object]] = {
    "n": lambda n, _: n,
    "created": lambda _, at: at,
    "amount": lambda n, _: amount(n),
    "amount_paid": lambda n, _: _paid(n),
    "amount_remaining": lambda n, _: _total(n) - _paid(n),
    "balance": lambda n, _: -(n % 7) * 100,
    "canceled_at": lambda n, at: (
        at + 86_400 if subscription_status(n) == "canceled" else "null"
    ),
    "charge_status": lambda n, _: "failed" if _is_failed(n) else "succeeded",
    "city": lambda n, _: _CITIES[n % len(_CITIES)],
    "country": lambda n, _: _COUNTRIES[n % len(_COUNTRIES)],
    "currency": lambda n, _: currency(n),
    "email": lambda n, _: f"customer-{n}@example.com",
    "failure_code": lambda n, _: '"card_declined"' if _is_failed(n) else "null",
    "invoice_paid": lambda n, _: _json(invoice_status(n) == "paid"),
    "invoice_status": lambda n, _: invoice_status(n),
    "name": lambda n, _: (
        f"{_FIRST[n % len(_FIRST)]} {_LAST[n // len(_FIRST) % len(_LAST)]}"
    ),
    "network_status": lambda n, _: (
        "declined_by_network" if _is_failed(n) else "approved_by_network"
    ),
    "paid": lambda n, _: _json(not _is_failed(n)),
    "paid_at": lambda n, at: at if invoice_status(n) == "paid" else "null",
    "period_after": lambda _, at: at + _MONTH,
    "period_before": lambda _, at: at - _MONTH,
    "phone": lambda n, _: f"{n % 10_000_000:07d}",
    "postal_code": lambda n, _: f"{10_000 + n % 90_000}",
    "subscription_status": lambda n, _: subscription_status(n),
    "tier": lambda n, _: _TIERS[n % len(_TIERS)],
    "total": lambda n, _: _total(n),
}
