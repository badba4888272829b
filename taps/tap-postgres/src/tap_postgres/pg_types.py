"""What a Postgres type is, once domains and arrays are taken apart."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

MAX_DECIMAL_PRECISION = 38
# A numeric's type modifier: precision and an 11-bit signed scale, behind an offset.
_MODIFIER_OFFSET = 4
_SCALE_SIGN = 0x400


@dataclass(frozen=True, slots=True)
class PgType:
    """A column's type, with domains already replaced by what they are made of.

    Attributes:
        boxed: Whether arrays hold arrays by way of a domain: casts stop at the domain.
    """

    name: str
    modifier: int = -1
    element: PgType | None = None
    dimensions: int = 0
    boxed: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What the user and the server decide about values."""

    special_dates: t.Literal["keep", "null"] = "keep"
    non_finite_floats: t.Literal["keep", "null"] = "keep"
    money_scale: int = 2


def numeric_digits(modifier: int) -> tuple[int, int] | None:
    """Return precision and scale that hold every value; None if 38 digits do not."""
    if modifier < _MODIFIER_OFFSET:
        return None
    packed = modifier - _MODIFIER_OFFSET
    precision = packed >> 16 & 0xFFFF
    scale = (packed & 0x7FF ^ _SCALE_SIGN) - _SCALE_SIGN
    # numeric(3,-2) holds 99900 and numeric(3,5) holds 0.00999.
    precision = precision - scale if scale < 0 else max(precision, scale)
    return (precision, max(scale, 0)) if precision <= MAX_DECIMAL_PRECISION else None
