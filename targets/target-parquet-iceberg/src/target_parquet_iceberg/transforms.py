"""Iceberg's partition transforms on whole Arrow columns.

PyIceberg's own need the package pyiceberg-core; these need Arrow only, and give what
PyIceberg's transforms of single values give.
"""

from __future__ import annotations

import re
import typing as t
from decimal import Context

import mmh3
import pyarrow as pa
import pyarrow.compute as pc

if t.TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.types import StructType

_NUMBERED = re.compile(r"(bucket|truncate)\[(\d+)\]")
_MICROS_PER_DAY = 86_400_000_000
_MICROS_PER_HOUR = 3_600_000_000
_EPOCH_YEAR = 1970
_MONTHS = 12
_POSITIVE = 0x7FFFFFFF
_WIDE = Context(prec=76)


def physical_column(
    rows: pa.Table, schema: Schema, field_id: int, transform: str
) -> pa.ChunkedArray:
    """Return a column, transformed, as numbers where Iceberg stores numbers."""
    path = _path(schema.as_struct(), field_id)
    column = rows[path[0]]
    for name in path[1:]:
        chunks = [_child(chunk, name) for chunk in column.chunks]
        column = pa.chunked_array(chunks)
    chunks = [physical(transformed(chunk, transform)) for chunk in column.chunks]
    return pa.chunked_array(chunks)


def _child(parent: pa.StructArray, name: str) -> pa.Array:
    return parent.flatten()[parent.type.get_field_index(name)]


def _path(struct: StructType, field_id: int) -> tuple[str, ...]:
    for part in struct.fields:
        if part.field_id == field_id:
            return (part.name,)
        if part.field_type.is_struct:
            below = _path(t.cast("StructType", part.field_type), field_id)
            if below:
                return (part.name, *below)
    return ()


def transformed(values: pa.Array, transform: str) -> pa.Array:
    """Return the partition value of every row; nulls stay null.

    Args:
        values: The source column.
        transform: As Iceberg writes it: `identity`, `bucket[16]`, `day`.

    Raises:
        NotImplementedError: for a transform that this version does not know.
    """
    numbered = _NUMBERED.fullmatch(transform)
    if numbered:
        rule = _bucket if numbered[1] == "bucket" else _truncate
        return rule(values, int(numbered[2]))
    simple = _SIMPLE.get(transform)
    if simple is None:
        msg = f"partition transform {transform}"
        raise NotImplementedError(msg)
    return simple(values)


def physical(values: pa.Array) -> pa.Array:
    """Return dates as days, and times and timestamps as microseconds."""
    if pa.types.is_date(values.type):
        return values.cast(pa.int32())
    if pa.types.is_timestamp(values.type) or pa.types.is_time(values.type):
        return values.cast(pa.int64())
    return values


def _wall_clock(values: pa.Array) -> pa.Array:
    # With a zone, Arrow would look for a time zone database.
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64()).cast(pa.timestamp("us"))
    return values


def _year(values: pa.Array) -> pa.Array:
    years = pc.subtract(pc.year(_wall_clock(values)), _EPOCH_YEAR)
    return years.cast(pa.int32())


def _month(values: pa.Array) -> pa.Array:
    months = pc.subtract(pc.month(_wall_clock(values)), 1)
    all_months = pc.add(pc.multiply(_year(values), _MONTHS), months)
    return all_months.cast(pa.int32())


def _day(values: pa.Array) -> pa.Array:
    if pa.types.is_date(values.type):
        return values.cast(pa.int32())
    return _floor_divide(values.cast(pa.int64()), _MICROS_PER_DAY).cast(pa.int32())


def _hour(values: pa.Array) -> pa.Array:
    return _floor_divide(values.cast(pa.int64()), _MICROS_PER_HOUR).cast(pa.int32())


_SIMPLE: dict[str, t.Callable[[pa.Array], pa.Array]] = {
    "identity": lambda values: values,
    "year": _year,
    "month": _month,
    "day": _day,
    "hour": _hour,
    "void": lambda values: pa.nulls(len(values), values.type),
}


def _floor_divide(values: pa.Array, divisor: int) -> pa.Array:
    quotient = pc.divide(values, divisor)  # towards zero
    is_above = pc.greater(pc.multiply(quotient, divisor), values)
    return pc.subtract(quotient, is_above.cast(values.type))


def _truncate(values: pa.Array, width: int) -> pa.Array:
    kind = values.type
    if pa.types.is_string(kind):
        return pc.utf8_slice_codeunits(values, 0, width)
    if pa.types.is_binary(kind):
        return pc.binary_slice(values, 0, width)
    if pa.types.is_decimal(kind):
        return _by_value(values, lambda value: _floor_decimal(value, width), kind)
    divisor = pa.scalar(width, kind)
    return pc.multiply(_floor_divide(values, divisor), divisor)


def _floor_decimal(value: t.Any, width: int) -> t.Any:
    unscaled = value.scaleb(-value.as_tuple().exponent, _WIDE)
    whole = int(unscaled) // width * width
    return _WIDE.scaleb(_WIDE.create_decimal(whole), value.as_tuple().exponent)


def _bucket(values: pa.Array, count: int) -> pa.Array:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        hashes = _by_value(values, mmh3.hash, pa.int32())
    elif pa.types.is_decimal(kind):
        hashes = _by_value(values, _hash_decimal, pa.int32())
    else:
        hashes = _hash_longs(physical(values).cast(pa.int64()))
    return _modulo(pc.bit_wise_and(hashes, pa.scalar(_POSITIVE, pa.int32())), count)


def _modulo(values: pa.Array, divisor: int) -> pa.Array:
    number = pa.scalar(divisor, values.type)
    return pc.subtract(values, pc.multiply(pc.divide(values, number), number))


def _by_value(
    values: pa.Array, function: t.Callable[[t.Any], t.Any], kind: pa.DataType
) -> pa.Array:
    """Apply a function once to each distinct value."""
    encoded = values.dictionary_encode()
    results = [function(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(results, kind).take(encoded.indices)


def _hash_decimal(value: t.Any) -> int:
    unscaled = int(value.scaleb(-value.as_tuple().exponent, _WIDE))
    # As many bytes as two's complement needs, the sign bit included.
    bits = (unscaled + (unscaled < 0)).bit_length()
    return mmh3.hash(unscaled.to_bytes(bits // 8 + 1, "big", signed=True))


def _u32(number: int) -> pa.Scalar:
    return pa.scalar(number, pa.uint32())


def _hash_longs(values: pa.Array) -> pa.Array:
    """Return the 32-bit Murmur3 hash of 8-byte little-endian integers."""
    raw = values.view(pa.uint64())
    low = pc.bit_wise_and(raw, pa.scalar(0xFFFFFFFF, pa.uint64())).cast(pa.uint32())
    high = pc.shift_right(raw, pa.scalar(32, pa.uint64())).cast(pa.uint32())
    hashed: pa.Array = pc.multiply(low, _u32(0))
    for word in (low, high):
        mixed = _rotate(pc.multiply(word, _u32(0xCC9E2D51)), 15)
        mixed = pc.multiply(mixed, _u32(0x1B873593))
        hashed = _rotate(pc.bit_wise_xor(hashed, mixed), 13)
        hashed = pc.add(pc.multiply(hashed, _u32(5)), _u32(0xE6546B64))
    hashed = pc.bit_wise_xor(hashed, _u32(8))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashed = pc.multiply(_fold(hashed, shift), _u32(factor))
    return _fold(hashed, 16).view(pa.int32())


def _fold(values: pa.Array, shift: int) -> pa.Array:
    return pc.bit_wise_xor(values, pc.shift_right(values, _u32(shift)))


def _rotate(values: pa.Array, bits: int) -> pa.Array:
    left = pc.shift_left(values, _u32(bits))
    return pc.bit_wise_or(left, pc.shift_right(values, _u32(32 - bits)))
