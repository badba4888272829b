"""Read the rows of a batch file, as columns or as records.

Columns are judged like records: by the same rules, with the same dead letters. A file
whose types are not the table's, or whose rules need more than a look at columns, goes
record by record through the decoder of lines.
"""

from __future__ import annotations

import base64
import gzip
import io
import math
import typing as t
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.checks import check, screen
from target_parquet_iceberg.decode import Reject
from target_parquet_iceberg.evolution import plain
from target_parquet_iceberg.lines import split
from target_parquet_iceberg.manifest import RefusedError
from target_parquet_iceberg.schema import JSON_TEXT
from target_parquet_iceberg.values import Unfit

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from target_parquet_iceberg.manifest import BatchFile
    from target_parquet_iceberg.messages import Malformed
    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.schema import Column

ROWS_AT_ONCE = 32_768
# A gzip of JSON lines is a tenth of them, or a hundredth; a bomb is a thousandth.
MAX_RATIO = 100
MAX_RATIO_SLACK = 16 * 2**20
MAX_BYTES = 64 * 2**30
MAX_PARQUET_RATIO = 1000
MAX_PARQUET_SLACK = 256 * 2**20
_DAYS = (date.min.toordinal() - 719163, date.max.toordinal() - 719163)
_DAY_MICROS = 86_400_000_000
_LIMITS = {
    "date32": (_DAYS, "date from 0001-01-01 to 9999-12-31"),
    "timestamp": (
        (_DAYS[0] * _DAY_MICROS, (_DAYS[1] + 1) * _DAY_MICROS - 1),
        "date-time from year 0001 to 9999, in microseconds",
    ),
    "time64": ((0, _DAY_MICROS - 1), "time of day from 00:00:00 to 23:59:59.999999"),
}
_CORRUPT = (
    *(pa.ArrowException, OSError, EOFError),
    *(ValueError, OverflowError, zlib.error),
    KeyError,  # a map with a key twice
)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Refuse a file that cannot be read to its end."""
    try:
        yield
    except _CORRUPT as error:
        raise RefusedError(what, f"a damaged one ({type(error).__name__})") from error


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a file in the table's columns, their places, and what fell out.

    `source` holds all rows as they came, for the dead letters.
    """

    rows: pa.Table
    indices: pa.Array
    rejects: tuple[Reject, ...]
    source: pa.Table


def open_parquet(file: BatchFile) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        RefusedError: if it is none.
    """
    with readable("a Parquet file"):
        opened = pq.ParquetFile(file.system.open_input_file(file.path))
    whole = sum(
        opened.metadata.row_group(number).total_byte_size
        for number in range(opened.num_row_groups)
    )
    if whole > MAX_PARQUET_RATIO * file.bytes + MAX_PARQUET_SLACK:
        raise RefusedError("pages in proportion to the file", f"{whole} bytes of them")
    names = opened.schema_arrow.names
    if len(set(names)) < len(names):
        raise RefusedError("columns with names of their own", "a name that comes twice")
    return opened


def is_typed(schema: pa.Schema, plan: Plan) -> bool:
    """Tell whether the columns of a file can be taken as they are, and be judged."""
    kinds = {field.name: field.type for field in plain(schema)}
    columns = {column.name: column for column in plan.columns}
    return (
        not plan.also_required
        and kinds.keys() <= columns.keys()
        and all(_takes(columns[name], kind) for name, kind in kinds.items())
    )


def _takes(column: Column, kind: pa.DataType) -> bool:
    is_simple = column.kind in _JUDGED and _is_plain(column.type)
    return (
        bare(kind) == bare(column.type)
        and not _has_json(column)
        and not column.source
        and (screen(column) is None or is_simple)
    )


def _has_json(column: Column) -> bool:
    """Tell whether a text in a file is a JSON string, not the JSON text of a value."""
    return column.kind == "json" or _marks_json(column.type)


def _marks_json(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _marks_json(kind.value_type)
    parts = kind if pa.types.is_struct(kind) else ()
    return any(p.metadata == JSON_TEXT or _marks_json(p.type) for p in parts)


_JUDGED = {"string", "integer", "array"}


def _is_plain(kind: pa.DataType) -> bool:
    """Tell whether Python sees the values of a type as it sees them in JSON."""
    if pa.types.is_list(kind):
        return _is_plain(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind))


def bare(kind: pa.DataType) -> pa.DataType:
    """Return a type without field ids and other marks on its parts."""
    if pa.types.is_list(kind):
        return pa.list_(pa.field("element", bare(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, bare(part.type)) for part in kind])
    return kind


def blocks(opened: pq.ParquetFile, plan: Plan) -> Iterator[Block]:
    """Yield the rows of a file whose columns have the table's types."""
    schema = pa.schema(
        [
            pa.field(c.name, c.type, metadata={"doc": c.doc} if c.doc else None)
            for c in plan.columns
        ]
    )
    with readable("a Parquet file"):
        for batch in opened.iter_batches(ROWS_AT_ONCE):
            batch.validate(full=True)
            source = pa.Table.from_batches([batch])
            yield _block(source, schema, plan)


def _block(source: pa.Table, schema: pa.Schema, plan: Plan) -> Block:
    arrays = [
        source[field.name].cast(field.type)
        if field.name in source.column_names
        else pa.nulls(source.num_rows, field.type)
        for field in schema
    ]
    rows = pa.Table.from_arrays(arrays, schema=schema)
    indices = pa.array(range(rows.num_rows), pa.int64())
    bad: dict[int, Reject] = {}
    for column in plan.columns:
        array = rows[column.name].combine_chunks()
        for reject in _judged(column, array, is_key=column.name in plan.keys):
            bad.setdefault(reject.index, reject)
    if not bad:
        return Block(rows, indices, (), source)
    keep = pc.invert(pc.is_in(indices, pa.array(bad, pa.int64())))
    rejects = tuple(sorted(bad.values(), key=lambda reject: reject.index))
    return Block(rows.filter(keep), indices.filter(keep), rejects, source)


def _judged(column: Column, array: pa.Array, *, is_key: bool) -> Iterator[Reject]:
    """Yield what the decoder of lines would refuse too."""
    name, rule = column.field, column.rule
    if array.null_count and is_key:
        for index in pc.indices_nonzero(array.is_null()).to_pylist():
            yield Reject(index, "key", name, "a value, it is a key", "null")
    elif array.null_count and rule.is_required and not rule.is_nullable:
        for index in pc.indices_nonzero(array.is_null()).to_pylist():
            yield Reject(index, "schema", name, "no null", "null")
    limits = _LIMITS.get(str(array.type).partition("[")[0])
    if limits is not None:
        for index in _outside(array, *limits[0]):
            yield Reject(index, "cast", name, limits[1], "another value")
    elif not is_within(array):
        expected = f"{name} without years beyond 1 to 9999"
        raise RefusedError(expected, "such a date inside a list")
    for index, unfit in misfits(column, array):
        found = unfit.found or type(array[index].as_py()).__name__
        path = ".".join((name, *unfit.path))
        yield Reject(index, "schema", path, unfit.expected, found)


def misfits(column: Column, array: pa.Array) -> Iterator[tuple[int, Unfit]]:
    """Yield the values that a column's rule does not allow."""
    suspects = screen(column)
    if suspects is None:
        return
    values = array.to_pylist() if pa.types.is_nested(array.type) else array
    for index in suspects(values, array):
        try:
            check(array[index].as_py(), column.rule)
        except Unfit as unfit:
            yield index, unfit


def is_within(array: pa.Array) -> bool:
    """Tell whether all that is inside a column can be told by every engine."""
    if pa.types.is_list(array.type):
        return is_within(array.flatten())
    if pa.types.is_struct(array.type):
        return all(is_within(part) for part in array.flatten())
    limits = _LIMITS.get(str(array.type).partition("[")[0])
    return limits is None or not _outside(array, *limits[0])


def is_limited(kind: pa.DataType) -> bool:
    """Tell whether a type holds more than a column may."""
    if pa.types.is_list(kind):
        return is_limited(kind.value_type)
    if pa.types.is_struct(kind):
        return any(is_limited(part.type) for part in kind)
    return str(kind).partition("[")[0] in _LIMITS


def are_limits_good(kind: pa.DataType, found: pq.Statistics) -> bool:
    """Tell whether the statistics prove that a column holds what it may."""
    limits = _LIMITS.get(str(kind).partition("[")[0])
    if limits is None:
        return True
    raws = (found.min_raw, found.max_raw) if found.has_min_max else (None, None)
    low, high = limits[0]
    return all(isinstance(raw, int) and low <= raw <= high for raw in raws)


def _outside(array: pa.Array, low: int, high: int) -> list[int]:
    numbers = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())  # noqa: PLR2004
    is_outside = pc.or_(pc.less(numbers, low), pc.greater(numbers, high))
    places = pc.indices_nonzero(pc.fill_null(is_outside, False))
    return t.cast("list[int]", places.to_pylist())


def records(opened: pq.ParquetFile) -> Iterator[bytes]:
    """Yield the rows of a Parquet file as JSON objects."""
    with readable("a Parquet file"):
        for batch in opened.iter_batches(1024):
            batch.validate(full=True)
            yield from encoded(pa.Table.from_batches([batch]))


def encoded(rows: pa.Table) -> list[bytes]:
    """Return rows as JSON objects, with the values that RECORD lines would carry."""
    columns = [_values(column) for column in rows.columns]
    names = rows.column_names
    return [
        exact_json.encode(dict(zip(names, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]


def _values(column: pa.ChunkedArray) -> list[t.Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz:
        # Arrow spells local time, and leaves the seconds out of old offsets.
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
        # Python knows no year 10000; Arrow spells it.
        return [_spelled(text) for text in column.cast(pa.string()).to_pylist()]
    return [_plain(value) for value in column.to_pylist(maps_as_pydicts="strict")]


def _spelled(text: str | None) -> str | None:
    # Arrow writes all digits of the unit; JSON writers leave out zeros.
    if text is None or "." not in text:
        return text
    head, _, tail = text.partition(".")
    digits, zone = (tail[:-1], "Z") if tail.endswith("Z") else (tail, "")
    digits = digits.rstrip("0")
    return f"{head}.{digits}{zone}" if digits else f"{head}{zone}"


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, float) and not math.isfinite(value):
        names = {math.inf: "Infinity", -math.inf: "-Infinity"}
        return names.get(value, "NaN")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def lines(file: BatchFile, max_line_bytes: int) -> Iterator[bytes | Malformed]:
    """Yield the lines of a JSONL file, however small it claims to be.

    Raises:
        RefusedError: if it grows out of all proportion, or is damaged.
    """
    # Arrow would unpack by itself what is named .gz, and nobody would count the bytes.
    open_stream = file.system.open_input_stream
    with readable("JSON lines"), open_stream(file.path, compression=None) as stream:
        is_packed = file.compression == "gzip"
        raw: t.Any = io.BufferedReader(stream)
        source = gzip.GzipFile(fileobj=raw) if is_packed else raw
        limit = MAX_BYTES
        if is_packed:
            limit = min(limit, MAX_RATIO * file.bytes + MAX_RATIO_SLACK)
        yield from split(_Bounded(source, limit).readline, max_line_bytes)


class _Bounded:
    """A file that is refused beyond a number of bytes."""

    def __init__(self, source: t.Any, limit: int) -> None:
        self._source = source
        self._left = limit
        self._limit = limit

    def readline(self, size: int) -> bytes:
        line: bytes = self._source.readline(size)
        self._left -= len(line)
        if self._left < 0:
            expected = (
                f"at most {self._limit} bytes of JSON lines in a file of its size"
            )
            raise RefusedError(expected, "more of them")
        return line
