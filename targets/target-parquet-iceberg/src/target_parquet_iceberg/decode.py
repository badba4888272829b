"""Decode blocks of raw records into Arrow columns; bad records fall out one by one.

Most records take the fast lane: msgspec checks types and required keys while it
parses, Arrow casts whole columns. What either refuses goes through `values.fit`, value
by value, so that one bad record costs one dead letter and never the block.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.checks import judge, plain, screen, undeclared
from target_parquet_iceberg.rows import ABSENT, RowParser
from target_parquet_iceberg.values import Unfit, fit
from target_parquet_iceberg.wires import WIRES, raw_text, wire

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from target_parquet_iceberg.schema import Column

_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_real = msgspec.json.Decoder(WIRES["real"].parsed).decode


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
    """Decoded rows, each with its place in the block, and what fell out.

    `undeclared` counts, by path, the values that no column is there for.
    """

    rows: pa.Table
    indices: pa.Array
    rejects: tuple[Reject, ...]
    undeclared: Mapping[str, int] = field(default_factory=dict)


class Decoder:
    """Decodes the records of one stream under one schema.

    Args:
        columns: Where the values go.
        keys: Which of them may not be null.
        is_closed: Whether a field without a column makes a record a reject.
        also_required: Fields without a column that must be there all the same.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        keys: Sequence[str],
        *,
        is_closed: bool = False,
        also_required: Iterable[str] = (),
    ) -> None:
        self.columns = tuple(_without_duty(c) if c.name in keys else c for c in columns)
        self.keys = tuple(keys)
        self.schema = pa.schema(
            [
                pa.field(c.name, c.type, metadata={"doc": c.doc} if c.doc else None)
                for c in self.columns
            ]
        )
        self._screens = [screen(column) for column in self.columns]
        self.gaps = [
            (number, column)
            for number, column in enumerate(self.columns)
            if column.kind in {"array", "object"} and column.rule.has_gaps
        ]
        self._is_closed = is_closed
        self._also_required = sorted(also_required)
        self._fields = {column.field for column in self.columns}
        self.rows = RowParser(self.columns, also_required, learns=not is_closed)
        self._undeclared: Counter[str] = Counter()

    def decode(self, records: Sequence[bytes]) -> Block:
        """Return the good records as rows, in order, and the others as rejects."""
        self._undeclared = Counter()
        parsed, refused = self._split(records)
        fast, fast_indices, misfits = self._vectorise(parsed)
        slow, slow_indices, rejects = self._one_by_one(records, refused)
        rows, indices = _interleave(fast, fast_indices, slow, slow_indices)
        rows, indices, keyless = self._without_null_keys(rows, indices)
        found = sorted([*misfits, *rejects, *keyless], key=lambda reject: reject.index)
        return Block(rows, indices, tuple(found), self._undeclared)

    def _split(self, records: Sequence[bytes]) -> tuple[dict[int, t.Any], list[int]]:
        parsed: dict[int, t.Any] = {}
        refused: list[int] = []
        parse = self.rows.parse
        for index, raw in enumerate(records):
            try:
                parsed[index] = parse(raw)
            except exact_json.UNDECODABLE:
                row = self.rows.learn(raw)
                if row is None:
                    refused.append(index)
                else:
                    parsed[index] = row
                    parse = self.rows.parse
        self._undeclared.update(self.rows.count(parsed.values()))
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
            to_arrow = WIRES[wire(column)].to_arrow
            try:
                arrays.append(to_arrow(values, column.type))
            except (pa.ArrowException, Unfit, OverflowError, ValueError, TypeError):
                fitted, unfit = _fit_all(values, column)
                arrays.append(pa.array(fitted, column.type))
                for place, reject in unfit.items():
                    bad.setdefault(place, reject)
            for place, reject in self._judge(number, values, arrays[-1]):
                bad.setdefault(place, reject)
        self._note_gaps(parsed.values())
        table = pa.Table.from_arrays(arrays, schema=self.schema)
        if not bad:
            return table, indices, []
        rejects = [_at(reject, indices[place].as_py()) for place, reject in bad.items()]
        keep = pa.array([place not in bad for place in range(len(indices))], pa.bool_())
        return table.filter(keep), indices.filter(keep), rejects

    def _judge(
        self, number: int, values: Sequence[t.Any], array: pa.Array
    ) -> Iterator[tuple[int, Reject]]:
        column, suspects = self.columns[number], self._screens[number]
        for place in suspects(values, array) if suspects else ():
            value = values[place]
            if value is ABSENT:
                continue
            try:
                judge(value, column)
            except Unfit as unfit:
                yield place, _reject(place, "schema", column, unfit, value)

    def _note_gaps(self, rows: Iterable[t.Any]) -> None:
        for number, column in self.gaps:
            for row in rows:
                self._note_inside(column, getattr(row, f"f{number}"))

    def _note_inside(self, column: Column, value: t.Any) -> None:
        for path in undeclared(value, column.rule):
            self._undeclared[column.field + path] += 1

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
            misplaced = self._misplaced(index, parts)
            if misplaced is not None:
                return misplaced
            for column in self.columns:
                name = column.field
                fitted = _cell(index, column, parts.get(name))
                if isinstance(fitted, Reject):
                    return fitted
                row[column.name] = fitted
        except exact_json.UNDECODABLE as error:
            return Reject(index, "parse", name, "valid JSON in UTF-8", str(error))
        self._note(parts)
        return row

    def _misplaced(self, index: int, parts: Mapping[str, t.Any]) -> Reject | None:
        for name in self._also_required:
            if name not in parts:
                return _missing(index, name)
        for name in sorted(parts.keys() - self._fields if self._is_closed else ()):
            expected, found = "a field of the SCHEMA", "an undeclared field"
            return Reject(index, "schema", name, expected, found)
        return None

    def _note(self, parts: Mapping[str, msgspec.Raw]) -> None:
        self._undeclared.update(parts.keys() - self._fields)
        for _, column in self.gaps:
            if column.field in parts:
                self._note_inside(column, exact_json.decode(parts[column.field]))

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


def _cell(index: int, column: Column, part: msgspec.Raw | None) -> t.Any:
    """Return the value of a column, or why the record cannot be stored."""
    if part is None:
        return _missing(index, column.field) if column.rule.is_required else None
    value = _value(part, column)
    stage = "cast"
    try:
        fitted = _fit(value, column)
        stage = "schema"
        judge(value, column)
    except Unfit as unfit:
        return _reject(index, stage, column, unfit, value)
    return fitted


def _value(part: msgspec.Raw, column: Column) -> t.Any:
    if column.kind == "json":
        return part
    if wire(column) == "real":
        # As the fast lane reads it: a double may have exponents beyond any Decimal's.
        with contextlib.suppress(msgspec.MsgspecError):
            return _real(part)
    return exact_json.decode(part)


def _fit(value: t.Any, column: Column) -> t.Any:
    if column.kind == "json":
        return raw_text(value)
    if isinstance(value, str) and wire(column) == "decimal number":
        raise Unfit(f"a number that {column.type} holds exactly")
    return fit(value, column.type)


def _without_duty(column: Column) -> Column:
    # Keys are looked after at stage `key`, whatever the SCHEMA says.
    rule = replace(column.rule, is_nullable=True, is_required=False)
    return replace(column, rule=rule)


def _missing(index: int, name: str) -> Reject:
    return Reject(index, "schema", name, "a value, it is required", "nothing")


def _fit_all(
    values: Sequence[t.Any], column: Column
) -> tuple[list[t.Any], dict[int, Reject]]:
    fitted: list[t.Any] = []
    unfit: dict[int, Reject] = {}
    for place, value in enumerate(values):
        try:
            fitted.append(None if value is ABSENT else _fit(value, column))
        except Unfit as verdict:
            fitted.append(None)
            unfit[place] = _reject(place, "cast", column, verdict, value)
    return fitted, unfit


def _reject(
    index: int, stage: str, column: Column, unfit: Unfit, value: t.Any
) -> Reject:
    path = ".".join((column.field, *unfit.path))
    found = unfit.found or _type(value, unfit.path)
    return Reject(index, stage, path, unfit.expected, found)


def _type(value: t.Any, path: Iterable[str]) -> str:
    value = plain(value)
    for step in path:
        value = value[int(step) if isinstance(value, list) else step]
    return "Decimal" if isinstance(value, Decimal) else type(value).__name__


def _at(reject: Reject, index: int) -> Reject:
    return Reject(index, reject.stage, reject.path, reject.expected, reject.found)
