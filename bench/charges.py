#!/usr/bin/env python3
"""Print a Singer stream of payments: nested objects, as an API gives them.

A record has about 3 kB and 150 values, most of them null; its SCHEMA declares 500,
since each way to pay has details of its own. The same records come out every time, in
the spelling of Python's `json` module.
"""

from __future__ import annotations

import json
import sys
import typing as t

STREAM = "charges"

Json: t.TypeAlias = dict[str, t.Any]

_TEXT: Json = {"type": ["string", "null"]}
_WHOLE: Json = {"type": ["integer", "null"]}
_FLAG: Json = {"type": ["boolean", "null"]}
_FREE: Json = {"type": ["object", "null"]}
_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
_WAYS = [
    "acss",
    "ach",
    "affirm",
    "alipay",
    "bacs",
    "bancontact",
    "blik",
    "boleto",
    "cashapp",
    "customer",
    "eps",
    "fpx",
    "giropay",
    "grabpay",
    "ideal",
    "interac",
    "kakao",
    "klarna",
    "konbini",
    "link",
    "mobilepay",
    "multibanco",
    "naver",
    "oxxo",
    "p24",
    "paybybank",
    "payco",
    "paynow",
    "paypal",
    "pix",
    "promptpay",
    "revolut",
    "samsung",
    "sepa",
    "sofort",
    "swish",
    "twint",
    "wechat",
    "zip",
]
_WAY_TEXTS = [
    "bank_code",
    "bank_name",
    "bic",
    "country",
    "fingerprint",
    "iban_last4",
    "institution",
    "last4",
    "preferred_locale",
    "verified_name",
]


def _object(**parts: Json) -> Json:
    return {"type": ["object", "null"], "properties": parts}


def _texts(*names: str) -> dict[str, Json]:
    return dict.fromkeys(names, _TEXT)


def schema() -> Json:
    """Return the JSON Schema of a payment."""
    address = _object(**_texts(*_ADDRESS))
    card = _object(
        **_texts("brand", "country", "fingerprint", "funding", "last4", "network"),
        amount_authorized=_WHOLE,
        exp_month=_WHOLE,
        exp_year=_WHOLE,
        checks=_object(**_texts("address_line1", "address_postal_code", "cvc")),
        installments=_object(plan=_object(**_texts("interval", "type"), count=_WHOLE)),
        network_token=_object(used=_FLAG),
        three_d_secure=_object(**_texts("flow", "result", "reason", "id", "version")),
        wallet=_object(**_texts("dynamic_last4", "type"), apple=_FREE),
    )
    ways = {way: _object(**_texts(*_WAY_TEXTS), amount=_WHOLE) for way in _WAYS}
    refund = _object(
        **_texts("id", "object", "balance_transaction", "currency", "reason", "status"),
        amount=_WHOLE,
        created=_WHOLE,
        metadata=_FREE,
    )
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            **dict.fromkeys(("amount", "amount_captured", "amount_refunded"), _WHOLE),
            **dict.fromkeys(("captured", "disputed", "livemode", "paid"), _FLAG),
            "created": {"type": ["string", "null"], "format": "date-time"},
            **_texts("object", "currency", "customer", "description", "invoice"),
            **_texts("payment_intent", "payment_method", "receipt_url", "status"),
            **_texts("balance_transaction", "failure_code", "failure_message"),
            "billing_details": _object(**_texts("email", "name"), address=address),
            "shipping": _object(**_texts("carrier", "name"), address=address),
            "metadata": _FREE,
            "outcome": _object(**_texts("network_status", "type"), risk_score=_WHOLE),
            "payment_method_details": _object(**ways, card=card, type=_TEXT),
            "refunds": _object(
                data={"type": ["array", "null"], "items": refund},
                has_more=_FLAG,
                url=_TEXT,
            ),
        },
    }


def record(number: int) -> Json:
    """Return one payment; nothing about it is random but looks."""
    mixed = number * 2654435761 % 2147483647
    name = f"{mixed:08x}"
    address = dict.fromkeys(_ADDRESS) | {"city": "Łódź", "line1": f"Main {mixed % 97}"}
    way = dict.fromkeys((*_WAY_TEXTS, "amount"))
    return {
        "id": f"ch_{number:012d}{name}",
        "object": "charge",
        "amount": mixed % 100_000,
        "amount_captured": mixed % 100_000,
        "amount_refunded": 0,
        "captured": True,
        "disputed": mixed % 50 == 0,
        "livemode": False,
        "paid": True,
        "created": f"2026-01-{1 + mixed % 28:02d}T12:{mixed % 60:02d}:00Z",
        "currency": "eur",
        "customer": f"cus_{name}",
        "description": f'Order {mixed} — "{name}"',
        "invoice": None,
        "payment_intent": f"pi_{name}{name}",
        "payment_method": f"card_{name}{name}",
        "receipt_url": f"https://pay.example/receipts/{name * 12}",
        "status": "succeeded",
        "balance_transaction": f"txn_{name}",
        "failure_code": None,
        "failure_message": None,
        "billing_details": {"email": f"{name}@example.org", "name": name}
        | {"address": address},
        "shipping": {"carrier": None, "name": name, "address": address},
        "metadata": {"order": str(mixed), "tags": [1, 2.50, "a"]},
        "outcome": {"network_status": "approved", "type": "ok", "risk_score": 17},
        "payment_method_details": {
            "type": "card",
            "card": _card(mixed, name),
            "link": way | {"country": "DE"},
            "sepa": way | {"last4": "4242"} if mixed % 3 else None,
        },
        "refunds": {
            "data": [_refund(name, place) for place in range(mixed % 3)],
            "has_more": False,
            "url": f"/v1/charges/ch_{name}/refunds",
        },
    }


def _card(mixed: int, name: str) -> Json:
    return {
        "brand": "visa",
        "country": "US",
        "fingerprint": name,
        "funding": "credit",
        "last4": f"{mixed % 10000:04d}",
        "network": "visa",
        "amount_authorized": None,
        "exp_month": 1 + mixed % 12,
        "exp_year": 2027 + mixed % 9,
        "checks": {"address_line1": None, "address_postal_code": None, "cvc": "pass"},
        "installments": {"plan": {"count": None, "interval": None, "type": "fixed"}},
        "network_token": {"used": False},
        "three_d_secure": None,
        "wallet": {"dynamic_last4": None, "type": "link", "apple": {}},
    }


def _refund(name: str, place: int) -> Json:
    return {
        "id": f"re_{name}{place}",
        "object": "refund",
        "amount": place,
        "balance_transaction": None,
        "created": 1_760_000_000 + place,
        "currency": "eur",
        "metadata": {"place": place},
        "reason": None,
        "status": "succeeded",
    }


def main(rows: int) -> None:
    """Print the stream."""
    say(
        {"type": "SCHEMA", "stream": STREAM, "schema": schema()}
        | {"key_properties": []}
    )
    for number in range(rows):
        say({"type": "RECORD", "stream": STREAM, "record": record(number)})
    say({"type": "STATE", "value": {"bookmarks": {STREAM: {"at": rows}}}})


def say(message: Json) -> None:
    """Print a message."""
    sys.stdout.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
