"""What msgspec parses the values of a column as, and how they become Arrow."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from target_parquet_iceberg.values import NON_FINITE, Unfit, fit

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_parquet_iceberg.schema import Column

_FIRST = pa.scalar(datetime.min)  # noqa: DTZ901 a wall clock, like the values
_LAST = pa.scalar(datetime.max)  # noqa: DTZ901


@dataclass(frozen=True, slots=True)
class Wire:
    """How values of a column arrive.

    Args:
        parsed: The type to parse.
        raw: Makes parsed values an Arrow array, of the column's type or of text.
        finish: Makes the column's type of that array, and of several ones joined.
    """

    parsed: t.Any
    raw: Callable[[Sequence[t.Any], pa.DataType], pa.Array]
    finish: Callable[[pa.Array, pa.DataType], pa.Array]

    def to_arrow(self, values: Sequence[t.Any], kind: pa.DataType) -> pa.Array:
        """Return the values as an array of the column's type."""
        return self.finish(self.raw(values, kind), kind)


def wire(column: Column) -> str:
    """Name the row of the wire table that fits a column."""
    if column.kind in {"json", "array", "object", "boolean"}:
        return column.kind
    if pa.types.is_decimal(column.type):
        return "decimal text" if column.kind == "string" else "decimal number"
    if pa.types.is_floating(column.type):
        return "real"
    return str(column.type).split("[")[0]


def _values(values: Sequence[t.Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind)


def _texts(values: Sequence[t.Any], _kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string())


def _as_is(values: pa.Array, _kind: pa.DataType) -> pa.Array:
    return values


def _decimals(text: pa.Array, kind: pa.DataType) -> pa.Array:
    longest = pc.max(pc.binary_length(text)).as_py() or 0
    if longest > _LONGEST or _has_exponent(text):
        raise Unfit(str(kind))
    # Arrow scales without looking for overflow: "4" as decimal(38, 38) is 0.597...
    is_safe = longest + kind.scale <= _LONGEST
    wide = pa.decimal128(38, kind.scale) if is_safe else pa.decimal256(76, kind.scale)
    return text.cast(wide).cast(kind)


# Beyond this, or with an exponent, Arrow makes 0.00 of "1e-231".
_LONGEST = 38


def _has_exponent(text: pa.Array) -> bool:
    content = bytes(text.buffers()[2] or b"")
    return b"e" in content or b"E" in content


def _number_texts(values: Sequence[t.Any], kind: pa.DataType) -> pa.Array:
    if not {type(value) for value in values} <= _EXACT_NUMBERS:
        raise Unfit(str(kind))
    texts = [str(v) if type(v) in _DIGITS else None for v in values]
    return pa.array(texts, pa.string())


_DIGITS = frozenset({int, Decimal})
# Among free values, msgspec's UNSET tells nothing from null.
_EXACT_NUMBERS = {*_DIGITS, type(None), msgspec.UnsetType}


def _moments(text: pa.Array, kind: pa.DataType) -> pa.Array:
    moments = text.cast(kind)
    limits = pc.min_max(moments.cast(pa.timestamp("us")))
    # Arrow counts further than Python and most engines do.
    if limits["min"].is_valid and not (
        pc.greater_equal(limits["min"], _FIRST).as_py()
        and pc.less_equal(limits["max"], _LAST).as_py()
    ):
        raise Unfit(str(kind))
    return moments


def _clocks(text: pa.Array, kind: pa.DataType) -> pa.Array:
    # Arrow casts no string to time64, but any ISO timestamp.
    day = pa.scalar("1970-01-01T")
    moments = pc.binary_join_element_wise(day, text, "")
    return moments.cast(pa.timestamp("us")).cast(kind)


def _reals(values: Sequence[t.Any], _kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, pa.float64())
    except (pa.ArrowException, TypeError):
        named = [NON_FINITE[v] if type(v) is str else v for v in values]
        return pa.array(named, pa.float64())


def _narrow(wide: pa.Array, kind: pa.DataType) -> pa.Array:
    narrow = wide.cast(kind)
    if kind != wide.type and not pc.is_inf(narrow).equals(pc.is_inf(wide)):
        raise Unfit(str(kind))
    return narrow


def _json(values: Sequence[t.Any], kind: pa.DataType) -> pa.Array:
    return pa.array([raw_text(value) for value in values], kind)


def _nested(values: Sequence[t.Any], kind: pa.DataType) -> pa.Array:
    return pa.array([fit(value, kind) for value in values], kind)


def _bounded(bits: int) -> t.Any:
    limit = 2 ** (bits - 1)
    return t.Annotated[int, msgspec.Meta(ge=-limit, le=limit - 1)]


WIRES = {
    "boolean": Wire(bool, _values, _as_is),
    "int32": Wire(_bounded(32), _values, _as_is),
    "int64": Wire(_bounded(64), _values, _as_is),
    "real": Wire(float | t.Literal["NaN", "Infinity", "-Infinity"], _reals, _narrow),
    "decimal text": Wire(str, _texts, _decimals),
    "decimal number": Wire(t.Any, _number_texts, _decimals),
    "string": Wire(str, _values, _as_is),
    "binary": Wire(bytes, _values, _as_is),
    "date32": Wire(str, _texts, _moments),
    "timestamp": Wire(str, _texts, _moments),
    "time64": Wire(str, _texts, _clocks),
    "json": Wire(msgspec.Raw, _json, _as_is),
    "array": Wire(list, _nested, _as_is),
    "object": Wire(dict, _nested, _as_is),
}


def _decimal_texts(values: Sequence[t.Any], kind: pa.DataType) -> pa.Array:
    if {type(value) for value in values} <= {str, type(None)}:
        return _texts(values, kind)
    return _number_texts(values, kind)


# Inside an object it is not known whether decimals come as texts or as numbers.
DECIMAL = Wire(t.Any, _decimal_texts, _decimals)


def raw_text(value: msgspec.Raw | None) -> str | None:
    """Return the text of a piece of JSON; None for null.

    Raises:
        Unfit: if it is no UTF-8.
    """
    try:
        text = None if value is None else bytes(value).decode()
    except UnicodeDecodeError:
        raise Unfit("JSON in UTF-8", found="other bytes") from None
    return None if text == "null" else text
