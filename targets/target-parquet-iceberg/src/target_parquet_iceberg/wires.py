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
    from collections.abc import Callable

    from target_parquet_iceberg.schema import Column

_FIRST = pa.scalar(datetime.min)  # noqa: DTZ901 a wall clock, like the values
_LAST = pa.scalar(datetime.max)  # noqa: DTZ901


@dataclass(frozen=True, slots=True)
class Wire:
    """How values of a column arrive: the type to parse, the cast to Arrow."""

    parsed: t.Any
    to_arrow: Callable[[list[t.Any], pa.DataType], pa.Array]


def wire(column: Column) -> str:
    """Name the row of the wire table that fits a column."""
    if column.kind in {"json", "array", "object", "boolean"}:
        return column.kind
    if pa.types.is_decimal(column.type):
        return "decimal text" if column.kind == "string" else "decimal number"
    if pa.types.is_floating(column.type):
        return "real"
    return str(column.type).split("[")[0]


def _plain(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind)


def _cast(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string()).cast(kind)


def _decimal_texts(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    text = pa.array(values, pa.string())
    exponent = pc.or_(pc.match_substring(text, "e"), pc.match_substring(text, "E"))
    longest = pc.max(pc.binary_length(text)).as_py() or 0
    if longest > _LONGEST or pc.any(exponent).as_py():
        raise Unfit(str(kind))
    # Arrow scales without looking for overflow: "4" as decimal(38, 38) is 0.597...
    return text.cast(pa.decimal256(76, kind.scale)).cast(kind)


# Beyond this, or with an exponent, Arrow makes 0.00 of "1e-231".
_LONGEST = 38


def _decimals(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    if not {type(value) for value in values} <= _EXACT_NUMBERS:
        raise Unfit(str(kind))
    texts = [str(v) if type(v) in _DIGITS else None for v in values]
    return _decimal_texts(texts, kind)


_DIGITS = frozenset({int, Decimal})
# Among free values, msgspec's UNSET tells nothing from null.
_EXACT_NUMBERS = {*_DIGITS, type(None), msgspec.UnsetType}


def _moment(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    moments = _cast(values, kind)
    limits = pc.min_max(moments.cast(pa.timestamp("us")))
    # Arrow counts further than Python and most engines do.
    if limits["min"].is_valid and not (
        pc.greater_equal(limits["min"], _FIRST).as_py()
        and pc.less_equal(limits["max"], _LAST).as_py()
    ):
        raise Unfit(str(kind))
    return moments


def _clock(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    # Arrow casts no string to time64, but any ISO timestamp.
    day = pa.scalar("1970-01-01T")
    text = pc.binary_join_element_wise(day, pa.array(values, pa.string()), "")
    return text.cast(pa.timestamp("us")).cast(kind)


def _real(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    if any(type(value) is str for value in values):
        values = [NON_FINITE[v] if type(v) is str else v for v in values]
    wide = pa.array(values, pa.float64())
    narrow = wide.cast(kind)
    if kind != wide.type and not pc.is_inf(narrow).equals(pc.is_inf(wide)):
        raise Unfit(str(kind))
    return narrow


def _json(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    return pa.array([raw_text(value) for value in values], kind)


def _nested(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    return pa.array([fit(value, kind) for value in values], kind)


def _bounded(bits: int) -> t.Any:
    limit = 2 ** (bits - 1)
    return t.Annotated[int, msgspec.Meta(ge=-limit, le=limit - 1)]


WIRES = {
    "boolean": Wire(bool, _plain),
    "int32": Wire(_bounded(32), _plain),
    "int64": Wire(_bounded(64), _plain),
    "real": Wire(float | t.Literal["NaN", "Infinity", "-Infinity"], _real),
    "decimal text": Wire(str, _decimal_texts),
    "decimal number": Wire(t.Any, _decimals),
    "string": Wire(str, _plain),
    "binary": Wire(bytes, _plain),
    "date32": Wire(str, _moment),
    "timestamp": Wire(str, _moment),
    "time64": Wire(str, _clock),
    "json": Wire(msgspec.Raw, _json),
    "array": Wire(list, _nested),
    "object": Wire(dict, _nested),
}


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
