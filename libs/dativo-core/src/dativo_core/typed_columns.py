"""Give a source's columns the types of the table, and tell what does not fit.

What fits no column of the table is left to a RECORD, whose way knows what to do with
it: `recorded` makes of each column what the RECORD would carry.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import typing as t
from datetime import date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

if t.TYPE_CHECKING:
    from collections.abc import Callable

Typed: t.TypeAlias = "tuple[pa.Array, pa.Array | None]"
"""A column, and which of its values fit; None where all of them do."""

# Years 1 to 9999, which every engine takes.
_DAYS = (date.min.toordinal() - 719163, date.max.toordinal() - 719163)
_DAY_MICROS = 86_400_000_000
_MICROS = (_DAYS[0] * _DAY_MICROS, (_DAYS[1] + 1) * _DAY_MICROS - 1)
_NON_FINITE = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": -float("inf"),
}


def typed(
    batch: pa.RecordBatch, schema: pa.Schema
) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
    """Return the rows in the columns of a schema, and, as they came, the misfits.

    A column may come as the type it has, or as text: lists as JSON.
    """
    arrays: list[pa.Array] = []
    fits: pa.Array | None = None
    for column, field in zip(batch.columns, schema, strict=True):
        array, fit = _column(column, field.type)
        arrays.append(array)
        if fit is not None:
            fits = _both(fits, fit)
    rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
    if fits is None:
        return rows, None
    return rows.filter(fits), batch.filter(pc.invert(fits))


def _column(array: pa.Array, wanted: pa.DataType) -> Typed:
    if pa.types.is_floating(wanted):
        return _reals(array, wanted), None
    if pa.types.is_decimal(wanted) and pa.types.is_string(array.type):
        return _decimals(array, wanted)
    if pa.types.is_list(wanted):
        return _lists(array, wanted)
    fits = None
    if pa.types.is_string(array.type) and not pa.types.is_string(wanted):
        array, fits = _parsed(array, wanted)
    limits = _LIMITS.get(str(wanted).partition("[")[0])
    if limits is None or array.type != wanted:
        return array.cast(wanted), fits
    array, within = _within(array, *limits)
    return array, fits if within is None else _both(fits, within)


def _both(one: pa.Array | None, other: pa.Array) -> pa.Array:
    return other if one is None else pc.and_(one, other)


def _parsed(text: pa.Array, wanted: pa.DataType) -> Typed:
    try:
        return text.cast(wanted), None
    except pa.ArrowInvalid:
        fits = pa.array([_can_parse(value, wanted) for value in text])
        known = pc.if_else(fits, text, pa.scalar(None, text.type))
        return known.cast(wanted), fits


def _can_parse(value: pa.Scalar, wanted: pa.DataType) -> bool:
    try:
        value.cast(wanted)
    except pa.ArrowInvalid:
        return False
    return True


def _reals(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    reals = array.cast(wanted)
    is_nan = pc.is_nan(reals)
    # There are many NaN; in text there is one.
    if pc.any(is_nan).as_py():
        return pc.if_else(is_nan, pa.scalar(float("nan"), wanted), reals)
    return reals


def _decimals(text: pa.Array, wanted: pa.DataType) -> Typed:
    try:
        return text.cast(wanted), None
    except pa.ArrowInvalid:
        fits = pc.fill_null(pc.match_substring_regex(text, r"^-?[0-9.]+$"), True)
        known = pc.if_else(fits, text, pa.scalar(None, text.type))
        return known.cast(wanted), fits


def _within(array: pa.Array, low: int, high: int) -> Typed:
    numbers = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())  # noqa: PLR2004
    found = pc.min_max(numbers)
    least, most = found["min"].as_py(), found["max"].as_py()
    if least is None or (low <= least and most <= high):
        return array, None
    fits = pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high))
    fits = pc.fill_null(fits, True)
    return pc.if_else(fits, array, pa.scalar(None, array.type)), fits


_LIMITS = {
    "date32": _DAYS,
    "timestamp": _MICROS,
    "time64": (0, _DAY_MICROS - 1),
}


def _lists(text: pa.Array, wanted: pa.DataType) -> Typed:
    for parse in (_parsed_lists, _read_lists):
        with contextlib.suppress(*_UNFIT):
            return parse(text, wanted), None
    single = [_single(value, wanted) for value in text.to_pylist()]
    fits = pa.array([one is not None for one in single], pa.bool_())
    none = pa.nulls(1, wanted)
    return pa.concat_arrays([one or none for one in single]), fits


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow's own parser takes what JSON has of that type, and only that."""
    if pa.types.is_list(kind):
        return _is_plain(kind.value_type)
    return str(kind) in _PLAIN


def _parsed_lists(text: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Let Arrow parse them, which knows no names of numbers, and none of bytes."""
    import pyarrow.json as pj  # noqa: PLC0415 only where there are lists

    if not len(text):
        return pa.array([], wanted)
    if not _is_plain(wanted):
        raise TypeError(str(wanted))
    known = pc.fill_null(text, "null")
    lines = pc.binary_join_element_wise('{"v":', known, "}\n", "")
    size = pc.sum(pc.binary_length(lines)).as_py()
    # Arrow lays texts end to end, which makes a document of them.
    document = pa.BufferReader(lines.buffers()[2].slice(0, size))
    table = pj.read_json(
        document,
        pj.ReadOptions(use_threads=False, block_size=size + 1),
        pj.ParseOptions(
            explicit_schema=pa.schema([("v", wanted)]),
            unexpected_field_behavior="error",
        ),
    )
    return table.column(0).combine_chunks()


def _read_lists(text: pa.Array, wanted: pa.DataType) -> pa.Array:
    return pa.array([_list(value, wanted) for value in text.to_pylist()], wanted)


_UNFIT = (pa.ArrowException, ArithmeticError, TypeError, ValueError)


def _single(text: str | None, wanted: pa.DataType) -> pa.Array | None:
    try:
        return pa.array([_list(text, wanted)], wanted)
    except _UNFIT:
        return None


def _list(text: str | None, wanted: pa.DataType) -> t.Any:
    return None if text is None else _part(json.loads(text), wanted)


def _part(value: t.Any, kind: pa.DataType) -> t.Any:
    if value is None:
        return None
    if pa.types.is_list(kind):
        if not isinstance(value, list):
            raise TypeError(str(kind))
        return [_part(item, kind.value_type) for item in value]
    read = _PARTS.get(str(kind).partition("[")[0].partition("(")[0])
    if read is None:
        raise TypeError(str(kind))
    return read(value)


def _exactly(kind: type) -> Callable[[t.Any], t.Any]:
    def read(value: t.Any) -> t.Any:
        if type(value) is not kind:
            raise TypeError(kind.__name__)
        return value

    return read


def _real(value: t.Any) -> float:
    return _NON_FINITE[value] if isinstance(value, str) else float(value)


def _decimal(value: str) -> Decimal:
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(value)
    return number


_PLAIN = frozenset({"bool", "int32", "int64", "float", "double", "string"})
_PARTS: dict[str, Callable[[t.Any], t.Any]] = {
    "bool": _exactly(bool),
    "int32": _exactly(int),
    "int64": _exactly(int),
    "float": _real,
    "double": _real,
    "decimal128": _decimal,
    "string": _exactly(str),
    "binary": lambda value: base64.b64decode(value, validate=True),
    "date32": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "time64": time.fromisoformat,
}


def recorded(column: pa.Array) -> pa.Array:
    """Return a column as the RECORD way asks for it: dates and bytes as text.

    Infinite moments lie beyond any year; they and years before 1 get the database's
    own spelling.
    """
    spell = _SPELLINGS.get(str(column.type).partition("[")[0])
    if spell is None:
        return column
    raw = column.to_pylist() if pa.types.is_binary(column.type) else _numbers(column)
    zone = getattr(column.type, "tz", None)
    texts = [None if value is None else spell(value, zone) for value in raw]
    return pa.array(texts, pa.string())


def _numbers(array: pa.Array) -> list[int | None]:
    width = pa.int32() if array.type.bit_width == 32 else pa.int64()  # noqa: PLR2004
    return t.cast("list[int | None]", array.view(width).to_pylist())


def _spell_day(days: int, _zone: str | None) -> str:
    if days in _ENDLESS_DAYS:
        return _ENDLESS_DAYS[days]
    text, era = _calendar(days)
    return text + era


def _spell_moment(micros: int, zone: str | None) -> str:
    if micros in _ENDLESS_MICROS:
        return json.dumps(_ENDLESS_MICROS[micros])
    days, rest = divmod(micros, _DAY_MICROS)
    text, era = _calendar(days)
    offset = "+00:00" if zone else ""
    return f'"{text}T{_spell_time(rest, None)}{offset}{era}"'


def _spell_time(micros: int, _zone: str | None) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{clock}.{fraction:06}".rstrip("0") if fraction else clock


@functools.lru_cache(maxsize=2**14)  # the days of a table are few, its rows many
def _calendar(days: int) -> tuple[str, str]:
    """Spell a day of any year; 400 years have the same days as the next 400."""
    cycles, rest = divmod(days - _DAYS[0], 146_097)
    day = date.fromordinal(rest + 1)
    year = day.year + 400 * cycles
    era = " BC" if year < 1 else ""
    return f"{1 - year if era else year:04}-{day.month:02}-{day.day:02}", era


# Infinity in Postgres is the largest number; the driver moves it to 1970 and around.
_ENDLESS_DAYS = {-(2**31) + 10_956: "infinity", -(2**31) + 10_957: "-infinity"}
_EPOCH = 946_684_800_000_000
_ENDLESS_MICROS = {-(2**63) + _EPOCH - 1: "infinity", -(2**63) + _EPOCH: "-infinity"}
_SPELLINGS: dict[str, Callable[[t.Any, str | None], str]] = {
    "binary": lambda value, _: base64.b64encode(value).decode(),
    "date32": _spell_day,
    "time64": _spell_time,
    "timestamp": _spell_moment,
}
