"""Every list of the API that is a stream, one row each: data, not code."""

from __future__ import annotations

import fnmatch
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterable

ACTIVE = (("status", "all"),)
# Stripe refuses their lists to accounts that do not use them.
_PRODUCTS = {"issuing", "identity", "terminal", "test_helpers"}
_SPECIAL_OBJECTS = {"account", "application_fee", "fee_refund", "person"}


@dataclass(frozen=True, slots=True)
class Resource:
    """One stream.

    Args:
        name: The stream.
        object: What Stripe calls its objects, which also names their schema.
        path: Where they are listed; `{id}` is the parent's id.
        created: Whether the list takes a range of `created`.
        events: Types of events that tell of changes; `*` is one word of them.
        gone: Those after which the object does not exist any more.
        params: What to ask besides, so that nothing is left out.
        parent: The stream whose objects own these.
        field: Where the parent's objects carry the first of them.
        item: Where one of them is read by its id, if that is not below `path`.
        key: What the objects are told apart by.
    """

    name: str
    object: str
    path: str
    created: bool = True
    events: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    parent: str = ""
    field: str = ""
    item: str = ""
    key: tuple[str, ...] = ("id",)

    @property
    def is_costly(self) -> bool:
        """Whether each object of the parent costs a request."""
        return bool(self.parent) and not self.field

    @property
    def can_go(self) -> bool:
        """Whether it is known of an object that it does not exist any more."""
        return bool(self.gone or self.field)

    @property
    def is_special(self) -> bool:
        """Whether only accounts that use a product of Stripe's may ask for them."""
        product, dot, _ = self.object.partition(".")
        return self.object in _SPECIAL_OBJECTS or bool(dot and product in _PRODUCTS)

    @property
    def is_feed(self) -> bool:
        """Whether these are the events themselves."""
        return self.object == "event"

    def hears(self, event_type: str) -> bool:
        """Tell whether an event of this type may tell of a change."""
        depth = event_type.count(".")
        return any(
            pattern.count(".") == depth and fnmatch.fnmatchcase(event_type, pattern)
            for pattern in self.events
        )

    def item_path(self, identity: str) -> str:
        """Return where one object is read."""
        return f"{self.item or self.path}/{identity}"


def _family(
    name: str,
    object_name: str,
    *,
    path: str = "",
    events: str = "",
    gone: bool = False,
    **more: t.Any,
) -> Resource:
    """Return a row whose events are called like its objects."""
    prefix = events or object_name
    return Resource(
        name,
        object_name,
        path or f"/v1/{name}",
        events=(f"{prefix}.*",),
        gone=(f"{prefix}.deleted",) if gone else (),
        **more,
    )


RESOURCES: tuple[Resource, ...] = (
    _family("customers", "customer", gone=True),
    Resource("charges", "charge", "/v1/charges", events=("charge.*",)),
    _family("invoices", "invoice", gone=True),
    Resource(
        "invoice_line_items",
        "line_item",
        "/v1/invoices/{id}/lines",
        parent="invoices",
        field="lines",
    ),
    # `deleted` means canceled: the subscription can still be read.
    _family(
        "subscriptions", "subscription", events="customer.subscription", params=ACTIVE
    ),
    Resource(
        "subscription_items",
        "subscription_item",
        "/v1/subscription_items",
        params=(("subscription", "{id}"),),
        parent="subscriptions",
        field="items",
    ),
    Resource("events", "event", "/v1/events"),
    Resource("balance_transactions", "balance_transaction", "/v1/balance_transactions"),
    _family("payment_intents", "payment_intent"),
    Resource(
        "refunds",
        "refund",
        "/v1/refunds",
        events=("refund.*", "charge.refund.*"),
    ),
    _family("disputes", "dispute", events="charge.dispute"),
    _family("payouts", "payout"),
    _family("prices", "price", gone=True),
    _family("products", "product", gone=True),
    _family("plans", "plan", gone=True),
    _family("coupons", "coupon", gone=True),
    _family("promotion_codes", "promotion_code"),
    _family("credit_notes", "credit_note"),
    Resource(
        "credit_note_line_items",
        "credit_note_line_item",
        "/v1/credit_notes/{id}/lines",
        parent="credit_notes",
        field="lines",
    ),
    _family("invoiceitems", "invoiceitem", gone=True),
    Resource(
        "invoice_payments",
        "invoice_payment",
        "/v1/invoice_payments",
        events=("invoice_payment.*",),
    ),
    _family("transfers", "transfer"),
    Resource(
        "transfer_reversals",
        "transfer_reversal",
        "/v1/transfers/{id}/reversals",
        parent="transfers",
        field="reversals",
    ),
    _family("setup_intents", "setup_intent"),
    _family("checkout_sessions", "checkout.session", path="/v1/checkout/sessions"),
    Resource(
        "application_fees",
        "application_fee",
        "/v1/application_fees",
        events=("application_fee.*",),
    ),
    Resource(
        "application_fee_refunds",
        "fee_refund",
        "/v1/application_fees/{id}/refunds",
        parent="application_fees",
        field="refunds",
    ),
    _family("subscription_schedules", "subscription_schedule"),
    _family("tax_rates", "tax_rate"),
    _family("topups", "topup"),
    _family("reviews", "review"),
    _family(
        "early_fraud_warnings",
        "radar.early_fraud_warning",
        path="/v1/radar/early_fraud_warnings",
    ),
    Resource("value_lists", "radar.value_list", "/v1/radar/value_lists"),
    _family("files", "file"),
    Resource("file_links", "file_link", "/v1/file_links"),
    Resource("shipping_rates", "shipping_rate", "/v1/shipping_rates"),
    _family("accounts", "account"),
    _family("report_runs", "reporting.report_run", path="/v1/reporting/report_runs"),
    _family(
        "verification_sessions",
        "identity.verification_session",
        path="/v1/identity/verification_sessions",
    ),
    _family(
        "authorizations",
        "issuing.authorization",
        path="/v1/issuing/authorizations",
        events="issuing_authorization",
    ),
    _family("cards", "issuing.card", path="/v1/issuing/cards", events="issuing_card"),
    _family(
        "cardholders",
        "issuing.cardholder",
        path="/v1/issuing/cardholders",
        events="issuing_cardholder",
    ),
    _family(
        "issuing_disputes",
        "issuing.dispute",
        path="/v1/issuing/disputes",
        events="issuing_dispute",
    ),
    _family(
        "transactions",
        "issuing.transaction",
        path="/v1/issuing/transactions",
        events="issuing_transaction",
    ),
    _family("payment_links", "payment_link", created=False),
    _family("quotes", "quote", created=False),
    Resource("webhook_endpoints", "webhook_endpoint", "/v1/webhook_endpoints", False),
    _family("meters", "billing.meter", path="/v1/billing/meters", created=False),
    _family(
        "credit_grants",
        "billing.credit_grant",
        path="/v1/billing/credit_grants",
        created=False,
    ),
    Resource("features", "entitlements.feature", "/v1/entitlements/features", False),
    Resource("locations", "terminal.location", "/v1/terminal/locations", False),
    Resource("readers", "terminal.reader", "/v1/terminal/readers", False),
    Resource("tax_codes", "tax_code", "/v1/tax_codes", False),
    Resource("tax_registrations", "tax.registration", "/v1/tax/registrations", False),
    Resource(
        "invoice_rendering_templates",
        "invoice_rendering_template",
        "/v1/invoice_rendering_templates",
        False,
    ),
    _family(
        "portal_configurations",
        "billing_portal.configuration",
        path="/v1/billing_portal/configurations",
        created=False,
    ),
    Resource(
        "payment_method_configurations",
        "payment_method_configuration",
        "/v1/payment_method_configurations",
        False,
    ),
    Resource(
        "payment_method_domains",
        "payment_method_domain",
        "/v1/payment_method_domains",
        False,
    ),
    # Only test clocks that are deleted are gone at once, with all that hangs on them.
    _family(
        "test_clocks",
        "test_helpers.test_clock",
        path="/v1/test_helpers/test_clocks",
        created=False,
        gone=True,
    ),
    Resource(
        "payment_methods",
        "payment_method",
        "/v1/customers/{id}/payment_methods",
        parent="customers",
        events=("payment_method.*",),
        item="/v1/payment_methods",
    ),
    Resource(
        "customer_balance_transactions",
        "customer_balance_transaction",
        "/v1/customers/{id}/balance_transactions",
        parent="customers",
    ),
    Resource("tax_ids", "tax_id", "/v1/customers/{id}/tax_ids", parent="customers"),
    Resource(
        "checkout_session_line_items",
        "item",
        "/v1/checkout/sessions/{id}/line_items",
        parent="checkout_sessions",
    ),
    Resource(
        "payment_link_line_items",
        "item",
        "/v1/payment_links/{id}/line_items",
        parent="payment_links",
    ),
    Resource("quote_line_items", "item", "/v1/quotes/{id}/line_items", parent="quotes"),
    Resource(
        "product_features",
        "product_feature",
        "/v1/products/{id}/features",
        parent="products",
    ),
    Resource(
        "setup_attempts",
        "setup_attempt",
        "/v1/setup_attempts",
        params=(("setup_intent", "{id}"),),
        parent="setup_intents",
    ),
    Resource(
        "value_list_items",
        "radar.value_list_item",
        "/v1/radar/value_list_items",
        params=(("value_list", "{id}"),),
        parent="value_lists",
    ),
    Resource("persons", "person", "/v1/accounts/{id}/persons", parent="accounts"),
)

BY_NAME: dict[str, Resource] = {resource.name: resource for resource in RESOURCES}


def children(name: str) -> tuple[Resource, ...]:
    """Return the streams whose objects hang on those of a stream."""
    return tuple(resource for resource in RESOURCES if resource.parent == name)


def listened_types(wanted: Iterable[Resource], known: Iterable[str]) -> list[str]:
    """Return the types of events that tell something about these streams."""
    listed = list(wanted)
    return [kind for kind in known if any(one.hears(kind) for one in listed)]
