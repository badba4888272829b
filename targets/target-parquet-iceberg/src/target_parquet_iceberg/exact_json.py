"""Read and write JSON without rounding a number."""

from __future__ import annotations

import typing as t
from decimal import Decimal

import msgspec

# Decimal's own constructor raises ArithmeticError for exponents beyond its limits.
UNDECODABLE = (msgspec.MsgspecError, RecursionError, ValueError, ArithmeticError)


class Beyond(Decimal):
    """A number with an exponent that no Decimal has: 0, or next to 0 or infinity."""

    text: str


def decode(text: bytes | msgspec.Raw) -> t.Any:
    """Read JSON; numbers that are not integers become Decimals."""
    try:
        return _decode(text)
    except ArithmeticError:
        return _decode_any(text)


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


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        return _beyond(text)


def _beyond(text: str) -> Beyond:
    digits, _, exponent = text.lower().partition("e")
    number = Decimal(digits)
    if number:
        farthest = "e-999999999999999999" if "-" in exponent else "e999999999999999999"
        number = Decimal(f"{'-' if number < 0 else ''}1{farthest}")
    found = Beyond(number)
    found.text = text
    return found


def _digits(value: t.Any) -> msgspec.Raw:
    if isinstance(value, Beyond):
        return msgspec.Raw(value.text.encode())
    msg = f"JSON has no {type(value).__name__}"
    raise TypeError(msg)


_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_decode_any = msgspec.json.Decoder(float_hook=_number).decode
_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=_digits).encode


def _wide(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {name: _wide(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_wide(part) for part in value]
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return Decimal(value) if is_integer else value
