"""What can be listed, as data: one row an object type of Stripe's API.

The rows follow the list methods of the official SDK, stripe 16.1.0.
"""

from __future__ import annotations

import typing as t

from dativo_sandbox.stripe.kinds import Nested, Resource

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_CUD = ("created", "updated", "deleted")
_CU = ("created", "updated")
_CUSTOMER = {"customer": "customer"}

ROWS: tuple[Resource, ...] = (
    Resource(
        "customer", "customers", "cus_", 1, created=True, filters=("email",),
        family="customer", verbs=_CUD, deletable=True, stub=True,
    ),
    Resource(
        "charge", "charges", "ch_", 1, created=True,
        links={
            **_CUSTOMER,
            "payment_intent": "payment_intent",
            "balance_transaction": "balance_transaction",
        },
        filters=("transfer_group",), family="charge", born="charge.succeeded",
        verbs=("updated",),
    ),
    Resource(
        "invoice", "invoices", "in_", 1, created=True,
        links={**_CUSTOMER, "subscription": "subscription"},
        filters=("status", "collection_method", "subscription"),
        family="invoice", verbs=_CUD, deletable=True,
    ),
    Resource(
        "subscription", "subscriptions", "sub_", 1, created=True, links=_CUSTOMER,
        filters=("status", "collection_method"),
        family="customer.subscription", verbs=_CU,
    ),
    Resource(
        "balance_transaction", "balance_transactions", "txn_", 1, created=True,
        links={"source": "charge"}, filters=("type", "currency", "payout"),
    ),
    Resource(
        "payment_intent", "payment_intents", "pi_", 1, created=True,
        links={**_CUSTOMER, "latest_charge": "charge"},
        family="payment_intent", verbs=("created",),
    ),
    Resource(
        "payment_method", "payment_methods", "pm_", 1, links=_CUSTOMER,
        filters=("type",), family="payment_method",
        born="payment_method.attached", verbs=("updated",),
    ),
    Resource(
        "refund", "refunds", "re_", 0.1, created=True,
        links={"charge": "charge", "payment_intent": "payment_intent"},
        family="refund", verbs=_CU,
    ),
    Resource(
        "dispute", "disputes", "dp_", 0.02, created=True,
        links={"charge": "charge", "payment_intent": "payment_intent"},
        filters=("status",), family="charge.dispute", verbs=_CU,
    ),
    Resource(
        "payout", "payouts", "po_", created=True,
        filters=("status", "destination"), family="payout", verbs=_CU,
    ),
    Resource(
        "product", "products", "prod_", 0.02, created=True, filters=("active",),
        family="product", verbs=_CUD, deletable=True,
    ),
    Resource(
        "price", "prices", "price_", 0.04, created=True,
        links={"product": "product"}, filters=("active", "currency", "type"),
        family="price", verbs=_CUD,
    ),
    Resource(
        "plan", "plans", "plan_", 0.04, created=True, links={"product": "product"},
        filters=("active",), family="plan", verbs=_CUD, deletable=True,
    ),
    Resource(
        "coupon", "coupons", "", 0.02, created=True, family="coupon", verbs=_CUD,
        deletable=True,
    ),
    Resource(
        "promotion_code", "promotion_codes", "promo_", created=True,
        links=_CUSTOMER, filters=("active", "code"), family="promotion_code",
        verbs=_CU,
    ),
    Resource(
        "credit_note", "credit_notes", "cn_", 0.1, created=True,
        links={**_CUSTOMER, "invoice": "invoice"}, family="credit_note", verbs=_CU,
    ),
    Resource(
        "invoiceitem", "invoiceitems", "ii_", 0.5, created=True,
        links={**_CUSTOMER, "invoice": "invoice"}, family="invoiceitem",
        verbs=("created", "deleted"), deletable=True,
    ),
    Resource(
        "invoice_payment", "invoice_payments", "inpay_", 0.5, created=True,
        links={"invoice": "invoice"}, filters=("status",),
        family="invoice_payment", born="invoice_payment.paid",
    ),
    Resource(
        "transfer", "transfers", "tr_", 0.1, created=True,
        filters=("destination", "transfer_group"), family="transfer", verbs=_CU,
    ),
    Resource(
        "setup_intent", "setup_intents", "seti_", 0.3, created=True,
        links={**_CUSTOMER, "payment_method": "payment_method"},
        family="setup_intent", verbs=("created",),
    ),
    Resource(
        "setup_attempt", "setup_attempts", "setatt_", 0.3, created=True,
        links={"setup_intent": "setup_intent"}, required="setup_intent",
    ),
    Resource(
        "checkout.session", "checkout/sessions", "cs_", 0.2, created=True,
        links={**_CUSTOMER, "payment_intent": "payment_intent"},
        filters=("status", "subscription"), family="checkout.session",
        born="checkout.session.completed",
    ),
    Resource(
        "application_fee", "application_fees", "fee_", 0.1, created=True,
        links={"charge": "charge"}, family="application_fee", verbs=("created",),
    ),
    Resource(
        "file_link", "file_links", "link_", created=True, links={"file": "file"},
        filters=("expired",),
    ),
    Resource("file", "files", "file_", created=True, filters=("purpose",)),
    Resource(
        "radar.early_fraud_warning", "radar/early_fraud_warnings", "issfr_", 0.02,
        created=True, links={"charge": "charge"},
        family="radar.early_fraud_warning", verbs=_CU,
    ),
    Resource(
        "radar.value_list", "radar/value_lists", "rsl_", created=True,
        filters=("alias",), deletable=True,
    ),
    Resource(
        "radar.value_list_item", "radar/value_list_items", "rsli_", 0.2,
        created=True, links={"value_list": "radar.value_list"},
        filters=("value",), required="value_list", deletable=True,
    ),
    Resource(
        "review", "reviews", "prv_", 0.02, created=True, links={"charge": "charge"},
        family="review", born="review.opened",
    ),
    Resource(
        "shipping_rate", "shipping_rates", "shr_", created=True,
        filters=("active", "currency"),
    ),
    Resource(
        "subscription_schedule", "subscription_schedules", "sub_sched_", 0.1,
        created=True, links=_CUSTOMER, family="subscription_schedule", verbs=_CU,
    ),
    Resource(
        "tax_rate", "tax_rates", "txr_", created=True,
        filters=("active", "inclusive"), family="tax_rate", verbs=_CU,
    ),
    Resource(
        "topup", "topups", "tu_", created=True, filters=("status", "amount"),
        family="topup", verbs=("created",),
    ),
    Resource(
        "issuing.authorization", "issuing/authorizations", "iauth_", 0.3,
        created=True, filters=("status", "card", "cardholder"),
        family="issuing_authorization", verbs=_CU,
    ),
    Resource(
        "issuing.cardholder", "issuing/cardholders", "ich_", 0.1, created=True,
        filters=("email", "status", "type"), family="issuing_cardholder", verbs=_CU,
    ),
    Resource(
        "issuing.card", "issuing/cards", "ic_", 0.1, created=True,
        filters=("status", "type", "last4"), family="issuing_card", verbs=_CU,
    ),
    Resource(
        "issuing.dispute", "issuing/disputes", "idp_", 0.02, created=True,
        links={"transaction": "issuing.transaction"}, filters=("status",),
        family="issuing_dispute", verbs=_CU,
    ),
    Resource(
        "issuing.personalization_design", "issuing/personalization_designs",
        "ipd_", filters=("status",), family="issuing_personalization_design",
        verbs=("updated",),
    ),
    Resource(
        "issuing.physical_bundle", "issuing/physical_bundles", "ics_",
        filters=("status", "type"),
    ),
    Resource(
        "issuing.transaction", "issuing/transactions", "ipi_", 0.3, created=True,
        links={"card": "issuing.card", "cardholder": "issuing.cardholder"},
        filters=("type",), family="issuing_transaction", verbs=_CU,
    ),
    Resource(
        "treasury.financial_account", "treasury/financial_accounts", "fa_",
        created=True, filters=("status",), family="treasury.financial_account",
        verbs=("created",),
    ),
    Resource(
        "treasury.transaction", "treasury/transactions", "trxn_", 0.3,
        created=True, links={"financial_account": "treasury.financial_account"},
        filters=("status",), required="financial_account",
    ),
    Resource("payment_link", "payment_links", "plink_", filters=("active",),
             family="payment_link", verbs=_CU),
    Resource(
        "quote", "quotes", "qt_", links=_CUSTOMER, filters=("status",),
        family="quote", verbs=("created",),
    ),
    Resource(
        "tax_id", "tax_ids", "txi_", 0.2, links=_CUSTOMER,
        family="customer.tax_id", verbs=_CUD, deletable=True,
    ),
    Resource("webhook_endpoint", "webhook_endpoints", "we_", deletable=True),
    Resource(
        "billing.meter", "billing/meters", "mtr_", filters=("status",),
        family="billing.meter", verbs=_CU,
    ),
    Resource(
        "billing.credit_grant", "billing/credit_grants", "credgr_", 0.1,
        links=_CUSTOMER, family="billing.credit_grant", verbs=_CU,
    ),
    Resource(
        "billing.credit_balance_transaction", "billing/credit_balance_transactions",
        "cbtxn_", 0.1, links={"credit_grant": "billing.credit_grant"},
        filters=("customer",),
        family="billing.credit_balance_transaction", verbs=("created",),
    ),
    Resource("billing.alert", "billing/alerts", "alrt_", filters=("alert_type",)),
    Resource(
        "billing_portal.configuration", "billing_portal/configurations", "bpc_",
        filters=("active", "is_default"), family="billing_portal.configuration",
        verbs=_CU,
    ),
    Resource(
        "entitlements.feature", "entitlements/features", "feat_",
        filters=("archived", "lookup_key"),
    ),
    Resource(
        "invoice_rendering_template", "invoice_rendering_templates", "inrtem_",
        filters=("status",),
    ),
    Resource(
        "terminal.configuration", "terminal/configurations", "tmc_",
        filters=("is_account_default",), deletable=True, stub=True,
    ),
    Resource(
        "terminal.location", "terminal/locations", "tml_", deletable=True, stub=True
    ),
    Resource(
        "terminal.reader", "terminal/readers", "tmr_",
        links={"location": "terminal.location"},
        filters=("status", "device_type", "serial_number"), deletable=True, stub=True,
    ),
    Resource(
        "test_helpers.test_clock", "test_helpers/test_clocks", "clock_",
        family="test_helpers.test_clock", born="test_helpers.test_clock.created",
        verbs=("deleted",), deletable=True,
    ),
    Resource(
        "identity.verification_session", "identity/verification_sessions", "vs_",
        created=True, filters=("status",), family="identity.verification_session",
        verbs=("created",),
    ),
    Resource(
        "identity.verification_report", "identity/verification_reports", "vr_",
        created=True, filters=("type",),
    ),
    Resource(
        "financial_connections.account", "financial_connections/accounts", "fca_",
        family="financial_connections.account", verbs=("created",),
    ),
    Resource("climate.order", "climate/orders", "climorder_",
             family="climate.order", verbs=("created",)),
    Resource("climate.product", "climate/products", "climsku_"),
    Resource("climate.supplier", "climate/suppliers", "climsup_"),
    Resource("reporting.report_run", "reporting/report_runs", "frr_", created=True),
    Resource("reporting.report_type", "reporting/report_types", "report_"),
    Resource(
        "payment_method_configuration", "payment_method_configurations", "pmc_",
        filters=("application",),
    ),
    Resource(
        "payment_method_domain", "payment_method_domains", "pmd_",
        filters=("domain_name", "enabled"),
    ),
    Resource("apple_pay_domain", "apple_pay/domains", "apwc_",
             filters=("domain_name",), deletable=True),
    Resource("country_spec", "country_specs", "spec_"),
    Resource("exchange_rate", "exchange_rates", "rate_"),
    Resource("tax_code", "tax_codes", "txcd_"),
    Resource("tax.registration", "tax/registrations", "taxreg_",
             filters=("status",)),
    Resource("forwarding.request", "forwarding/requests", "fwdreq_", created=True),
    Resource("scheduled_query_run", "sigma/scheduled_query_runs", "sqr_"),
)  # fmt: skip

NESTED: tuple[Nested, ...] = (
    Nested("line_item", "invoice", "lines", "il_", "lines", shown=True, link="invoice"),
    Nested(
        "subscription_item", "subscription", "items", "si_", "items", shown=True,
        link="subscription", most=20,
    ),
    Nested(
        "credit_note_line_item", "credit_note", "lines", "cnli_", "lines", shown=True
    ),
    Nested(
        "customer_balance_transaction", "customer", "balance_transactions",
        "cbtxn_", link="customer",
    ),
    Nested(
        "customer_cash_balance_transaction", "customer",
        "cash_balance_transactions", "ccsbtxn_", link="customer",
    ),
    Nested("card", "customer", "sources", "card_", "sources", link="customer"),
    Nested("fee_refund", "application_fee", "refunds", "fr_", "refunds",
           shown=True, link="fee"),
    Nested("transfer_reversal", "transfer", "reversals", "trr_", "reversals",
           shown=True, link="transfer"),
    Nested("item", "checkout.session", "line_items", "li_", "line_items"),
    Nested("item", "quote", "line_items", "liq_", "line_items"),
    Nested("item", "payment_link", "line_items", "lip_", "line_items"),
    Nested("product_feature", "product", "features", "prodft_"),
    Nested("person", "account", "persons", "person_", link="account"),
    Nested("bank_account", "account", "external_accounts", "ba_",
           "external_accounts", shown=True, link="account"),
    Nested("capability", "account", "capabilities", "capa_", link="account"),
)  # fmt: skip

ACCOUNT = Resource(
    "account", "accounts", "acct_", created=True, family="account", verbs=("updated",)
)
EVENT = Resource(
    "event", "events", "evt_", created=True, filters=("type", "types", "object_id")
)
# Lists of another type's objects under one object's own path, by a link.
SUBLISTS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("charge", "refunds"): ("refund", "charge"),
    ("customer", "subscriptions"): ("subscription", "customer"),
    ("customer", "payment_methods"): ("payment_method", "customer"),
    ("customer", "tax_ids"): ("tax_id", "customer"),
}
# Fields of those lists that only `expand` shows.
EXPANDED_LISTS = {
    ("charge", "refunds"),
    ("customer", "subscriptions"),
    ("customer", "tax_ids"),
}

# Fields that are only there on request, and for no object here.
INCLUDABLE: Mapping[str, frozenset[str]] = {
    "coupon": frozenset({"applies_to", "currency_options"}),
    "customer": frozenset({"cash_balance", "tax"}),
    "invoice": frozenset({"confirmation_secret", "payments"}),
    "plan": frozenset({"tiers"}),
    "price": frozenset({"currency_options", "tiers"}),
    "subscription": frozenset({"plan"}),
}
