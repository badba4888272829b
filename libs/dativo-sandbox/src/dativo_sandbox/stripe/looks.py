"""How the objects that matter most differ from Stripe's examples, and each other."""

from __future__ import annotations

import typing as t

from dativo_sandbox.stripe.examples import Template, example, link

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _address() -> Template:
    return {
        "city": "«city»",
        "country": "«country»",
        "line1": "«n» Harbour Street",
        "line2": None,
        "postal_code": "«postal_code»",
        "state": None,
    }


def _metadata() -> Template:
    return {"order_id": "«n»", "plan_tier": "«tier»", "imported": "false"}


def _customer() -> Template:
    return {
        "address": _address(),
        "balance": "«balance#»",
        "description": "Customer «n» of the sandbox",
        "discount": None,
        "email": "«email»",
        "invoice_prefix": "INV«n»",
        "metadata": _metadata(),
        "name": "«name»",
        "phone": "+4930«phone»",
        "preferred_locales": ["en", "de"],
        "shipping": {
            "address": _address(),
            "carrier": None,
            "name": "«name»",
            "phone": None,
            "tracking_number": None,
        },
    }


def _charge() -> Template:
    made = example("charge")
    made["outcome"] |= {
        "network_status": "«network_status»",
        "risk_level": "normal",
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    made["billing_details"] |= {
        "address": _address(),
        "email": "«email»",
        "name": "«name»",
    }
    return {
        "amount": "«amount#»",
        "amount_captured": "«amount#»",
        "amount_refunded": "«amount_refunded#»",
        "billing_details": made["billing_details"],
        "captured": True,
        "currency": "«currency»",
        "description": "Order «n»",
        "failure_code": "«failure_code#»",
        "metadata": _metadata(),
        "outcome": made["outcome"],
        "paid": "«paid#»",
        "payment_method": link("payment_method"),
        "receipt_email": "«email»",
        "receipt_url": "https://pay.stripe.com/receipts/«id»",
        "refunded": "«refunded#»",
        "shipping": None,
        "status": "«charge_status»",
        "transfer_data": None,
        "transfer_group": "group_«n»",
        "_legacy": {"invoice": link("invoice")},
        "_without": ["source", "refunds"],
    }


def _invoice() -> Template:
    return {
        "account_name": "Sandbox",
        "amount_due": "«total#»",
        "amount_overpaid": 0,
        "amount_paid": "«amount_paid#»",
        "amount_remaining": "«amount_remaining#»",
        "attempt_count": 1,
        "attempted": True,
        "billing_reason": "subscription_cycle",
        "currency": "«currency»",
        "customer_address": _address(),
        "customer_email": "«email»",
        "customer_name": "«name»",
        "customer_shipping": None,
        "description": "Invoice «n» of the sandbox",
        "due_date": None,
        "effective_at": "«created#»",
        "from_invoice": None,
        "hosted_invoice_url": "https://invoice.stripe.com/i/«id»",
        "invoice_pdf": "https://pay.stripe.com/invoice/«id»/pdf",
        "last_finalization_error": None,
        "metadata": _metadata(),
        "next_payment_attempt": None,
        "number": "SANDBOX-«n»",
        "parent": _invoice_parent(),
        "period_end": "«created#»",
        "period_start": "«period_before#»",
        "shipping_cost": None,
        "shipping_details": None,
        "status": "«invoice_status»",
        "status_transitions": {
            "finalized_at": "«created#»",
            "marked_uncollectible_at": None,
            "paid_at": "«paid_at#»",
            "voided_at": None,
        },
        "subtotal": "«total#»",
        "subtotal_excluding_tax": "«total#»",
        "total": "«total#»",
        "total_excluding_tax": "«total#»",
        "total_taxes": [],
        "webhooks_delivered_at": "«created#»",
        "_legacy": _invoice_before_basil(),
        "_without": ["subscription"],
    }


def _invoice_parent() -> Template:
    subscription = {"metadata": {}, "subscription": link("subscription")}
    return {
        "quote_details": None,
        "subscription_details": subscription,
        "type": "subscription_details",
    }


def _invoice_before_basil() -> Template:
    return {
        "application_fee_amount": None,
        "charge": link("charge"),
        "discount": None,
        "paid": "«invoice_paid#»",
        "paid_out_of_band": False,
        "payment_intent": link("payment_intent"),
        "quote": None,
        "subscription": link("subscription"),
        "subscription_details": {"metadata": {}},
        "tax": None,
        "total_tax_amounts": [],
        "transfer_data": None,
    }


def _price() -> Template:
    return example("price") | {
        "id": link("price"),
        "created": "«created#»",
        "livemode": "«livemode#»",
        "product": link("product"),
        "transform_quantity": None,
        "unit_amount": "«line_amount#»",
        "unit_amount_decimal": "«line_amount»",
    }


def _plan() -> Template:
    return example("plan") | {
        "id": link("price"),
        "amount": "«line_amount#»",
        "amount_decimal": "«line_amount»",
        "created": "«created#»",
        "livemode": "«livemode#»",
        "product": link("product"),
    }


def _line_item() -> Template:
    subscription, item = link("subscription"), "«first_item»"
    return {
        "amount": "«line_amount#»",
        "currency": "«currency»",
        "description": "1 x seat «k» of order «n»",
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": None,
                "subscription": subscription,
                "subscription_item": item,
            },
            "type": "subscription_item_details",
        },
        "period": {"end": "«created#»", "start": "«period_before#»"},
        "pricing": {
            "price_details": {"price": link("price"), "product": link("product")},
            "type": "price_details",
            "unit_amount_decimal": "«line_amount»",
        },
        "quantity_decimal": "1",
        "subtotal": "«line_amount#»",
        "taxes": [],
        "_legacy": {
            "amount_excluding_tax": "«line_amount#»",
            "invoice_item": None,
            "plan": _plan(),
            "price": _price(),
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": subscription,
            "subscription_item": item,
            "tax_amounts": [],
            "tax_rates": [],
            "type": "subscription",
            "unit_amount_excluding_tax": "«line_amount»",
        },
        "_without": ["subscription"],
    }


def _subscription() -> Template:
    return {
        "billing_cycle_anchor_config": None,
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": "«canceled_at#»",
        "currency": "«currency»",
        "description": "Subscription «n» of the sandbox",
        "ended_at": "«canceled_at#»",
        "latest_invoice": link("invoice"),
        "metadata": _metadata(),
        "next_pending_invoice_item_invoice": None,
        "pause_collection": None,
        "pending_invoice_item_interval": None,
        "pending_update": None,
        "start_date": "«created#»",
        "status": "«subscription_status»",
        "transfer_data": None,
        "trial_end": None,
        "trial_start": None,
        "_legacy": {
            "current_period_end": "«period_after#»",
            "current_period_start": "«created#»",
            "discount": None,
        },
    }


def _subscription_item() -> Template:
    return {
        "billing_thresholds": None,
        "current_period_end": "«period_after#»",
        "current_period_start": "«created#»",
        "metadata": {"seat": "«k»"},
        "plan": _plan(),
        "price": _price(),
    }


def _payment_intent() -> Template:
    return {
        "amount": "«amount#»",
        "amount_received": "«amount#»",
        "canceled_at": None,
        "client_secret": "«id»_secret_sandbox",
        "currency": "«currency»",
        "last_payment_error": None,
        "metadata": _metadata(),
        "next_action": None,
        "payment_method": link("payment_method"),
        "processing": None,
        "shipping": None,
        "status": "succeeded",
        "transfer_data": None,
        "_legacy": {"invoice": link("invoice")},
    }


def _refund() -> Template:
    return {
        "amount": "«charge_amount#»",
        "currency": "«charge_currency»",
        "metadata": {},
        "reason": "requested_by_customer",
    }


def _balance_transaction() -> Template:
    return {
        "amount": "«amount#»",
        "available_on": "«created#»",
        "currency": "«currency»",
        "net": "«amount#»",
    }


def _invoiceitem() -> Template:
    return {
        "amount": "«amount#»",
        "date": "«created#»",
        "_legacy": {
            "plan": None,
            "price": None,
            "subscription": None,
            "unit_amount": "«amount#»",
            "unit_amount_decimal": "«amount»",
        },
        "_without": ["created"],
    }


def _account() -> Template:
    return {"email": "«email»", "charges_enabled": True, "details_submitted": True}


LOOKS: Mapping[str, Callable[[], Template]] = {
    "account": _account,
    "balance_transaction": _balance_transaction,
    "charge": _charge,
    "customer": _customer,
    "dispute": lambda: {"amount": "«charge_amount#»", "currency": "«charge_currency»"},
    "invoice": _invoice,
    "invoiceitem": _invoiceitem,
    "line_item": _line_item,
    "payment_intent": _payment_intent,
    "payout": lambda: {"amount": "«amount#»", "status": "paid"},
    "plan": lambda: {"amount": "«amount#»", "amount_decimal": "«amount»"},
    "price": lambda: {"unit_amount": "«amount#»", "unit_amount_decimal": "«amount»"},
    "product": lambda: {"name": "Product «n»", "active": True},
    "refund": _refund,
    "subscription": _subscription,
    "subscription_item": _subscription_item,
}
