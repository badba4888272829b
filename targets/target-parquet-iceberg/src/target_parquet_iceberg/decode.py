"""Decode blocks of raw records into Arrow columns; bad records fall out one by one.

Most records take the fast lane: msgspec checks types and required keys while it
parses, Arrow casts whole columns. What either refuses goes through `values.fit`, value
by value, so that one bad record costs one dead letter and never the block.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.values import NON_FINITE, Unfit, fit

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_parquet_iceberg.schema import Column

_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NULL = msgspec.Raw(b"null")
_FIRST = pa.scalar(datetime.min)  # noqa: DTZ901 a wall clock, like the values
_LAST = pa.scalar(datetime.max)  # noqa: DTZ901


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be stored: its place in the block, and why."""

    index: int
    stage: str
    path: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded rows, each with its place in the block, and what fell out."""

    rows: pa.Table
    indices: pa.Array
    rejects: tuple[Reject, ...]


class Decoder:
    """Decodes the records of one stream under one schema."""

    def __init__(self, columns: Sequence[Column], keys: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.keys = tuple(keys)
        self.schema = pa.schema(
            [
                pa.field(c.name, c.type, metadata={"doc": c.doc} if c.doc else None)
                for c in self.columns
            ]
        )
        self._parse = _row_parser(self.columns)

    def decode(self, records: Sequence[bytes]) -> Block:
        """Return the good records as rows, in order, and the others as rejects."""
        parsed, refused = self._split(records)
        fast, fast_indices, misfits = self._vectorise(parsed)
        slow, slow_indices, rejects = self._one_by_one(records, refused)
        rows, indices = _interleave(fast, fast_indices, slow, slow_indices)
        rows, indices, keyless = self._without_null_keys(rows, indices)
        found = sorted([*misfits, *rejects, *keyless], key=lambda reject: reject.index)
        return Block(rows, indices, tuple(found))

    def _split(self, records: Sequence[bytes]) -> tuple[dict[int, t.Any], list[int]]:
        parsed: dict[int, t.Any] = {}
        refused: list[int] = []
        for index, raw in enumerate(records):
            try:
                parsed[index] = self._parse(raw)
            except exact_json.UNDECODABLE:
                refused.append(index)
        return parsed, refused

    def _vectorise(
        self, parsed: dict[int, t.Any]
    ) -> tuple[pa.Table, pa.Array, list[Reject]]:
        indices = pa.array(parsed, pa.int64())
        arrays: list[pa.Array] = []
        bad: dict[int, Reject] = {}
        for number, column in enumerate(self.columns):
            name = f"f{number}"
            values = [getattr(row, name) for row in parsed.values()]
            try:
                arrays.append(_WIRES[wire(column)].to_arrow(values, column.type))
            except (pa.ArrowException, Unfit, OverflowError, ValueError, TypeError):
                fitted, unfit = _fit_all(values, column)
                arrays.append(pa.array(fitted, column.type))
                for place, reject in unfit.items():
                    bad.setdefault(place, reject)
        table = pa.Table.from_arrays(arrays, schema=self.schema)
        if not bad:
            return table, indices, []
        rejects = [_at(reject, indices[place].as_py()) for place, reject in bad.items()]
        keep = pa.array([place not in bad for place in range(len(indices))], pa.bool_())
        return table.filter(keep), indices.filter(keep), rejects

    def _one_by_one(
        self, records: Sequence[bytes], refused: Iterable[int]
    ) -> tuple[pa.Table, pa.Array, list[Reject]]:
        rows: list[dict[str, t.Any]] = []
        indices: list[int] = []
        rejects: list[Reject] = []
        for index in refused:
            row = self._row(index, records[index])
            if isinstance(row, Reject):
                rejects.append(row)
            else:
                rows.append(row)
                indices.append(index)
        table = pa.Table.from_pylist(rows, schema=self.schema)
        return table, pa.array(indices, pa.int64()), rejects

    def _row(self, index: int, raw: bytes) -> dict[str, t.Any] | Reject:
        name = ""
        row: dict[str, t.Any] = {}
        try:
            parts = _parts(raw)
            for column in self.columns:
                name = column.field
                part = parts.get(name, _NULL)
                value = part if column.kind == "json" else exact_json.decode(part)
                try:
                    row[column.name] = _fit(value, column)
                except Unfit as unfit:
                    return _reject(index, column, unfit, value)
        except exact_json.UNDECODABLE as error:
            return Reject(index, "parse", name, "valid JSON in UTF-8", str(error))
        return row

    def _without_null_keys(
        self, rows: pa.Table, indices: pa.Array
    ) -> tuple[pa.Table, pa.Array, list[Reject]]:
        rejects: dict[int, Reject] = {}
        for key in self.keys:
            missing = pc.is_null(rows[key]).combine_chunks()
            for index in indices.filter(missing).to_pylist():
                reject = Reject(index, "key", key, "a value, it is a key", "null")
                rejects.setdefault(index, reject)
        if not rejects:
            return rows, indices, []
        keep = pc.invert(pc.is_in(indices, pa.array(rejects, pa.int64())))
        return rows.filter(keep), indices.filter(keep), list(rejects.values())


def _interleave(
    first: pa.Table, first_indices: pa.Array, second: pa.Table, second_indices: pa.Array
) -> tuple[pa.Table, pa.Array]:
    if not len(second_indices):
        return first, first_indices
    indices = pa.concat_arrays([first_indices, second_indices])
    order = pc.sort_indices(indices)
    return pa.concat_tables([first, second]).take(order), indices.take(order)


def _fit(value: t.Any, column: Column) -> t.Any:
    return _raw_text(value) if column.kind == "json" else fit(value, column.type)


def _raw_text(value: msgspec.Raw | None) -> str | None:
    try:
        text = None if value is None else bytes(value).decode()
    except UnicodeDecodeError:
        raise Unfit(expected="JSON in UTF-8") from None
    return None if text == "null" else text


def _fit_all(
    values: Sequence[t.Any], column: Column
) -> tuple[list[t.Any], dict[int, Reject]]:
    fitted: list[t.Any] = []
    unfit: dict[int, Reject] = {}
    for place, value in enumerate(values):
        try:
            fitted.append(_fit(value, column))
        except Unfit as verdict:
            fitted.append(None)
            unfit[place] = _reject(place, column, verdict, value)
    return fitted, unfit


def _reject(index: int, column: Column, unfit: Unfit, value: t.Any) -> Reject:
    for step in unfit.path:
        value = value[int(step) if isinstance(value, list) else step]
    path = ".".join((column.field, *unfit.path))
    return Reject(index, "cast", path, unfit.expected, type(value).__name__)


def _at(reject: Reject, index: int) -> Reject:
    return Reject(index, reject.stage, reject.path, reject.expected, reject.found)


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
    return _decimal_texts([None if v is None else str(v) for v in values], kind)


_EXACT_NUMBERS = {int, Decimal, type(None)}


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
    return pa.array([_raw_text(value) for value in values], kind)


def _nested(values: list[t.Any], kind: pa.DataType) -> pa.Array:
    return pa.array([fit(value, kind) for value in values], kind)


def _bounded(bits: int) -> t.Any:
    limit = 2 ** (bits - 1)
    return t.Annotated[int, msgspec.Meta(ge=-limit, le=limit - 1)]


_WIRES = {
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
    "array": Wire(t.Any, _nested),
    "object": Wire(t.Any, _nested),
}


def _row_parser(columns: Sequence[Column]) -> Callable[[bytes], t.Any]:
    fields = [
        (f"f{number}", _nullable(_WIRES[wire(column)].parsed), None)
        for number, column in enumerate(columns)
    ]
    names = {f"f{number}": column.field for number, column in enumerate(columns)}
    try:
        row = msgspec.defstruct("Row", fields, rename=names, gc=False)
    except ValueError:  # msgspec takes no quotes, backslashes or controls in names
        return _refuse
    # Numbers inside free parts keep their digits; typed fields are not affected.
    return msgspec.json.Decoder(row, float_hook=Decimal).decode


def _nullable(parsed: t.Any) -> t.Any:
    # Raw takes null by itself and cannot be part of a union.
    return parsed if parsed is msgspec.Raw else t.Optional[parsed]  # noqa: UP045


def _refuse(_raw: bytes) -> t.NoReturn:
    msg = "names that only the slow lane reads"
    raise ValueError(msg)
