"""The JSON Schema of every exact value that taps and target agree on.

Singer's own types lose widths, scales and bytes. These builders say them in ways
that other targets understand or ignore: bounds on integers, the SDK's
`x-singer.decimal`, `contentEncoding`, `contentMediaType`. `dativo_core.arrow_types`
reads them back.
"""

from __future__ import annotations

import typing as t

Schema: t.TypeAlias = "dict[str, t.Any]"

DECIMAL_FORMAT = "x-singer.decimal"
JSON_MEDIA_TYPE = "application/json"


def boolean() -> Schema:
    """True or false."""
    return {"type": ["boolean", "null"]}


def integer(low: int, high: int) -> Schema:
    """A whole number; the bounds choose the width of the column."""
    return {"type": ["integer", "null"], "minimum": low, "maximum": high}


def signed(bits: int) -> Schema:
    """A two's complement integer of 16, 32 or 64 bits."""
    return integer(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def real(bits: int) -> Schema:
    """A binary floating-point number of 32 or 64 bits.

    JSON has no NaN and no infinity: they travel as the strings "NaN", "Infinity" and
    "-Infinity", as in Protocol Buffers' JSON mapping.
    """
    return {"type": ["number", "null"], "format": {32: "float", 64: "double"}[bits]}


def decimal(precision: int, scale: int) -> Schema:
    """An exact number, sent as a string so that no parser can round it."""
    return {
        "type": ["string", "null"],
        "format": DECIMAL_FORMAT,
        "precision": precision,
        "scale": scale,
    }


def text() -> Schema:
    """Unicode text."""
    return {"type": ["string", "null"]}


def json_text() -> Schema:
    """A JSON document as text, digit for digit."""
    return {"type": ["string", "null"], "contentMediaType": JSON_MEDIA_TYPE}


def binary() -> Schema:
    """Bytes, sent in base64."""
    return {"type": ["string", "null"], "contentEncoding": "base64"}


def uuid() -> Schema:
    """A UUID in its usual text form."""
    return {"type": ["string", "null"], "format": "uuid"}


def date() -> Schema:
    """A calendar date, `2024-02-29`."""
    return {"type": ["string", "null"], "format": "date"}


def time() -> Schema:
    """A time of day without zone, `23:59:59.999999`."""
    return {"type": ["string", "null"], "format": "time"}


def timestamp(*, zoned: bool) -> Schema:
    """A moment (with zone, sent in UTC) or a wall-clock reading (without).

    `x-timezone: false` is the only way to say "without": RFC 3339 has no such form.
    """
    schema: Schema = {"type": ["string", "null"], "format": "date-time"}
    return schema if zoned else {**schema, "x-timezone": False}


def array(items: Schema) -> Schema:
    """A list of values of one type."""
    return {"type": ["array", "null"], "items": items}
