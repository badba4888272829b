"""Read and write JSON without rounding a number."""

from __future__ import annotations

import typing as t
from decimal import Decimal

import msgspec

# Decimal's own constructor raises ArithmeticError for exponents beyond its limits.
UNDECODABLE = (msgspec.MsgspecError, RecursionError, ValueError, ArithmeticError)

decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def encode(value: t.Any) -> bytes:
    """Return the value as JSON, numbers digit for digit."""
    try:
        return _encode(value)
    except OverflowError:  # msgspec writes no integer beyond 64 bits, but any Decimal
        return _encode(_wide(value))


def is_whole(number: float | Decimal) -> bool:
    """Tell whether a number has no fraction; NaN and infinity are not whole."""
    if isinstance(number, float):
        return number.is_integer()
    return number.is_finite() and number == number.to_integral_value()


def _wide(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {name: _wide(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_wide(part) for part in value]
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return Decimal(value) if is_integer else value
