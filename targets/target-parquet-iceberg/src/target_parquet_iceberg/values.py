"""Turn one JSON value into one exact Arrow value, or say why it cannot be.

This is the slow, certain path: `decode` uses it for the values that its vectorised
casts refuse. What may be coerced is this table and nothing else:

| Column | Accepted besides its own JSON form |
|:--|:--|
| any | nothing at all, for null, if the field is not required |
| any with `enum` or `const` | null, if its type allows null |
| integer | a number without fraction: `1.0`, `1e3` |
| decimal of numbers | a number in any notation that needs no rounding: `1e-2` |
| decimal of strings | a number, or a string with sign or exponent: `1.5`, `"+1e3"` |
| float, double | a number with more digits than it holds (the nearest is stored) |
| float, double | the strings `"NaN"`, `"Infinity"`, `"-Infinity"` |
| date | a date-time at midnight, counted in UTC |
| time, timestamp | no seconds, or no minutes either; a comma for the point |
| time, timestamp | zeros beyond microseconds |
| timestamp | a date alone, for midnight |
| timestamp | a space for the T, or before the zone |
| timestamp with zone | no zone, for UTC; `z`; an offset without colon or minutes |
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import typing as t
from datetime import date, datetime, time, timedelta, timezone
from decimal import Context, Decimal, Inexact, InvalidOperation

import pyarrow as pa

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.schema import JSON_TEXT

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TIME = r"(?P<clock>\d\d(?::\d\d(?::\d\d)?)?)(?:(?<=:\d\d:\d\d)[.,](?P<fraction>\d+))?"
_CLOCK = re.compile(_TIME, re.ASCII)
_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    rf"(?:[T ]{_TIME}\s?(?P<zone>[Zz]|[+-]\d\d(?::?[0-5]\d)?)?)?",
    re.ASCII,
)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)
_MICROS = 6
_HOURS = 24


class Unfit(Exception):  # noqa: N818 it is a verdict on a value, not a fault
    """A value that its column cannot hold exactly.

    Args:
        expected: What the column takes, in words.
        path: Where inside a nested value, innermost part last.
        found: What came instead, in words; empty where its type says enough.
    """

    def __init__(
        self, expected: str, path: tuple[str, ...] = (), *, found: str = ""
    ) -> None:
        super().__init__(expected)
        self.expected = expected
        self.path = path
        self.found = found


def fit(value: t.Any, kind: pa.DataType) -> t.Any:
    """Return the value as pyarrow takes it for this type.

    Raises:
        Unfit: if the value cannot be held exactly.
    """
    if value is None:
        return None
    for matches, convert in _CONVERSIONS:
        if matches(kind):
            return convert(value, kind)
    raise Unfit(str(kind))


def _boolean(value: t.Any, _kind: pa.DataType) -> bool:
    if isinstance(value, bool):
        return value
    raise Unfit(expected="boolean")


def _integer(value: t.Any, kind: pa.DataType) -> int:
    expected = f"integer of {kind.bit_width} bits"
    number = _number(value, expected)
    if number != number.to_integral_value():
        raise Unfit(expected)
    limit = 2 ** (kind.bit_width - 1)
    if not -limit <= number < limit:
        raise Unfit(expected)
    return int(number)


def _number(value: t.Any, expected: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise Unfit(expected)
    number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    if not number and number.is_finite():
        return Decimal((number.is_signed(), (0,), 0))
    # Huge exponents would take for ever to expand.
    if not number.is_finite() or number.adjusted() > _LARGEST_EXPONENT:
        raise Unfit(expected)
    return number


_LARGEST_EXPONENT = 400


def _real(value: t.Any, kind: pa.DataType) -> float:
    expected = "number"
    if isinstance(value, str) and value in NON_FINITE:
        return NON_FINITE[value]
    number = float(_number(value, expected))
    if math.isinf(number) or (kind == pa.float32() and abs(number) >= _FLOAT_MAX):
        raise Unfit(expected=f"number in the range of {kind}")
    return number


# From here on a double is rounded to infinity.
_FLOAT_MAX = 3.4028235677973366e38


def _decimal(value: t.Any, kind: pa.DataType) -> Decimal:
    expected = f"decimal({kind.precision}, {kind.scale})"
    if not isinstance(value, str):
        number = _number(value, expected)
    elif _DECIMAL.fullmatch(value):
        number = Decimal(value)
    else:
        raise Unfit(expected)
    whole = number.adjusted() + 1
    if number and (places(number) > kind.scale or whole > kind.precision - kind.scale):
        raise Unfit(expected)
    # Arrow takes neither exponents nor zeros beyond its 38 digits.
    return number.quantize(Decimal(1).scaleb(-kind.scale), context=_EXACT)


_EXACT = Context(prec=38, traps=[Inexact, InvalidOperation])


def places(number: Decimal) -> int:
    """Count the decimal places that are needed, trailing zeros left out."""
    parts = number.as_tuple()
    # Decimal.normalize() would round to the context's 28 digits.
    significant = "".join(map(str, parts.digits)).rstrip("0")
    dropped = len(parts.digits) - len(significant)
    return -(t.cast("int", parts.exponent) + dropped)


def _text(value: t.Any, _kind: pa.DataType) -> str:
    if isinstance(value, str):
        return value
    raise Unfit(expected="string")


def _binary(value: t.Any, _kind: pa.DataType) -> bytes:
    try:
        return base64.b64decode(_text(value, _kind), validate=True)
    except (binascii.Error, ValueError, Unfit):
        raise Unfit(expected="string in base64") from None


def _date(value: t.Any, _kind: pa.DataType) -> date:
    expected = "date from 0001-01-01 to 9999-12-31"
    moment = _moment(value, expected)
    if moment.time() != time():
        raise Unfit(expected)
    return moment.date()


def _clock(value: t.Any, _kind: pa.DataType) -> time:
    expected = "time of day from 00:00:00 to 23:59:59.999999"
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Unfit(expected)
    try:
        clock = time.fromisoformat(match["clock"])
    except ValueError:
        raise Unfit(expected) from None
    return clock.replace(microsecond=_microseconds(match["fraction"], expected))


def _timestamp(value: t.Any, kind: pa.DataType) -> datetime:
    zone = "with" if kind.tz else "without"
    expected = f"date-time {zone} zone from year 0001 to 9999, in microseconds"
    moment = _moment(value, expected, zoned=bool(kind.tz))
    return moment.replace(tzinfo=timezone.utc) if kind.tz else moment


def _moment(value: t.Any, expected: str, *, zoned: bool = True) -> datetime:
    match = _ISO.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match["zone"] and not zoned):
        raise Unfit(expected)
    micros = _microseconds(match["fraction"], expected)
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{match['clock'] or '00:00'}")
        return moment.replace(microsecond=micros) - _offset(match["zone"])
    except (ValueError, OverflowError):
        raise Unfit(expected) from None


def _microseconds(fraction: str | None, expected: str) -> int:
    digits = (fraction or "").rstrip("0")
    if len(digits) > _MICROS:
        raise Unfit(expected)
    return int(digits.ljust(_MICROS, "0"))


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours >= _HOURS:
        raise OverflowError
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if zone[0] == "-" else offset


def _list(value: t.Any, kind: pa.DataType) -> list[t.Any]:
    if not isinstance(value, list):
        raise Unfit(expected=f"array of {kind.value_type}")
    return [_inside(str(i), item, kind.value_type) for i, item in enumerate(value)]


def _struct(value: t.Any, kind: pa.DataType) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        raise Unfit(expected="object")
    return {
        field.name: _json_text(value.get(field.name))
        if field.metadata == JSON_TEXT
        else _inside(field.name, value.get(field.name), field.type)
        for field in kind
    }


def _inside(step: str, value: t.Any, kind: pa.DataType) -> t.Any:
    try:
        return fit(value, kind)
    except Unfit as unfit:
        raise Unfit(unfit.expected, (step, *unfit.path)) from None


def _json_text(value: t.Any) -> str | None:
    return None if value is None else exact_json.encode(value).decode()


_CONVERSIONS: tuple[tuple[t.Callable[..., bool], t.Callable[..., t.Any]], ...] = (
    (pa.types.is_boolean, _boolean),
    (pa.types.is_integer, _integer),
    (pa.types.is_floating, _real),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_string, _text),
    (pa.types.is_binary, _binary),
    (pa.types.is_date, _date),
    (pa.types.is_time, _clock),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_list, _list),
    (pa.types.is_struct, _struct),
)
