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
# How the classes of stripe 10.12, for 2024-06-20, differ from those of 16.1.
_NEW_ONLY: Mapping[str, str] = {
    "balance_transaction": "balance_type",
    "billing_portal.configuration": "name",
    "charge": "customer_account",
    "checkout.session": (
        "adaptive_pricing collected_information customer_account discounts "
        "integration_identifier managed_payments origin_context permissions "
        "wallet_options"
    ),
    "credit_note": (
        "customer_account post_payment_amount pre_payment_amount "
        "pretax_credit_amounts refunds total_taxes"
    ),
    "credit_note_line_item": "metadata pretax_credit_amounts taxes",
    "customer": "customer_account",
    "customer_balance_transaction": "checkout_session customer_account",
    "dispute": "enhanced_eligibility_types",
    "identity.verification_session": "related_customer_account",
    "invoice": (
        "amount_overpaid customer_account parent total_pretax_credit_amounts "
        "total_taxes"
    ),
    "invoiceitem": "customer_account net_amount parent pricing quantity_decimal",
    "issuing.authorization": "card_presence verified_by_fraud_challenge",
    "issuing.card": "latest_fraud_warning lifecycle_controls second_line",
    "item": "adjustable_quantity metadata",
    "line_item": "parent pretax_credit_amounts pricing quantity_decimal subtotal taxes",
    "payment_intent": "customer_account excluded_payment_method_types managed_payments",
    "payment_link": "managed_payments payment_method_options",
    "payment_method": "customer_account",
    "payment_method_domain": "amazon_pay klarna",
    "payout": "payout_method trace_id",
    "promotion_code": "customer_account promotion",
    "quote": "customer_account",
    "refund": "customer customer_account payment_method",
    "setup_attempt": "customer_account",
    "setup_intent": "excluded_payment_method_types",
    "subscription": "billing_mode billing_schedules customer_account managed_payments",
    "subscription_item": "current_period_end current_period_start",
    "subscription_schedule": "billing_mode customer_account",
    "tax_id": "customer_account",
    "tax_rate": "flat_amount rate_type",
    "terminal.reader": "last_seen_at",
    "topup": "initiated_by",
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
        for name in _NEW_ONLY.get(thing["object"], "").split():
            made.pop(name, None)
        made |= thing.get("_legacy", {})
    return made
