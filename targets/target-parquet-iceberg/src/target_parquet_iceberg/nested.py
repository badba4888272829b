"""Turn parsed values into Arrow arrays, nested ones leaf by leaf.

Objects are parsed as structs and lists as lists, each checked while it is parsed. All
values of one leaf then become one array: no Python value is built for a whole object,
and no rule is asked about one value where it can be asked about all.
"""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

import pyarrow as pa
from msgspec.structs import astuple

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.checks import judge, screen
from target_parquet_iceberg.rows import ABSENT, field_of, struct_type
from target_parquet_iceberg.rules import ANY
from target_parquet_iceberg.schema import JSON_TEXT, Column
from target_parquet_iceberg.wires import DECIMAL, WIRES, Wire, wire

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from target_parquet_iceberg.checks import Screen
    from target_parquet_iceberg.rules import Rule

Values: t.TypeAlias = "Sequence[t.Any]"


class Shape(t.Protocol):
    """What the values of one column, or of a part of it, look like."""

    @property
    def type(self) -> pa.DataType:
        """The type of the values in the end."""

    @property
    def parsed(self) -> t.Any:
        """The type to parse the values as, null left out."""

    def collect(self, values: Values) -> pa.Array:
        """Return all values as an array; `finish` may have to follow.

        Raises:
            Unfit: if a value breaks a rule.
        """

    def finish(self, array: pa.Array) -> pa.Array:
        """Return what was collected, or several such arrays joined, in its type."""


@dataclass(frozen=True)
class Leaf:
    """A value without parts, or one whose parts are not looked at."""

    column: Column
    wire: Wire
    suspects: Screen | None = None

    @property
    def type(self) -> pa.DataType:
        """The type of the column."""
        return self.column.type

    @property
    def parsed(self) -> t.Any:
        """The type to parse the values as."""
        return self.wire.parsed

    def collect(self, values: Values) -> pa.Array:
        """Return the values as they were parsed."""
        array = self.wire.raw(values, self.column.type)
        for place in self.suspects(values, array) if self.suspects else ():
            if values[place] is not ABSENT:
                judge(values[place], self.column)
        return array

    def finish(self, array: pa.Array) -> pa.Array:
        """Return the values in their type."""
        return self.wire.finish(array, self.column.type)


@dataclass(frozen=True)
class Part:
    """A shape inside another one, whose arrays are never joined unfinished."""

    shape: Shape

    @property
    def parsed(self) -> t.Any:
        """The type to parse the values as."""
        return self.shape.parsed

    @property
    def type(self) -> pa.DataType:
        """The type of the values."""
        return self.shape.type

    def collect(self, values: Values) -> pa.Array:
        """Return the values in their type."""
        if not self.is_judged and values.count(None) == len(values):
            return pa.nulls(len(values), self.type)
        return self.shape.finish(self.shape.collect(values))

    @cached_property
    def is_judged(self) -> bool:
        """Tell whether a null may be wrong, which only the shape knows."""
        return isinstance(self.shape, Leaf) and self.shape.suspects is not None


@dataclass(frozen=True)
class ListShape:
    """A list of values that are all alike."""

    type: pa.ListType
    item: Part
    rule: Rule

    @cached_property
    def parsed(self) -> t.Any:
        """A list of what the items are parsed as."""
        inner: t.Any = self.item.parsed
        if self.rule.is_nullable:
            inner = t.Optional[inner]  # noqa: UP045
        return t.cast("t.Any", list)[inner]

    def collect(self, values: Values) -> pa.Array:
        """Return the lists: where each one ends, and all items in a row."""
        lengths = (0 if value is None else len(value) for value in values)
        ends = pa.array([0, *itertools.accumulate(lengths)], pa.int32())
        items = list(itertools.chain.from_iterable(v for v in values if v))
        return pa.ListArray.from_arrays(
            ends, self.item.collect(items), type=self.type, mask=_is_none(values)
        )

    def finish(self, array: pa.Array) -> pa.Array:
        """Return the array: it has its type already."""
        return array


@dataclass(frozen=True)
class StructShape:
    """An object with fields that are all declared."""

    type: pa.StructType
    parts: tuple[Part, ...]
    parsed: t.Any

    @cached_property
    def _nothing(self) -> t.Any:
        return self.parsed(**dict.fromkeys(self.parsed.__struct_fields__))

    def collect(self, values: Values) -> pa.Array:
        """Return the objects, one array for each of their fields."""
        if not values:
            return pa.array([], self.type)
        nothing = self._nothing
        rows = [nothing if value is None else value for value in values]
        arrays = [
            part.collect(column)
            for part, column in zip(
                self.parts, zip(*map(astuple, rows), strict=True), strict=True
            )
        ]
        return pa.StructArray.from_arrays(
            arrays, fields=list(self.type), mask=_is_none(values)
        )

    def finish(self, array: pa.Array) -> pa.Array:
        """Return the array: it has its type already."""
        return array


def shape_of(column: Column) -> Shape:
    """Return the shape of a column's values."""
    if column.kind in {"array", "object"}:
        typed = _nested(column.type, column.rule)
        if typed is not None:
            return typed
    return Leaf(column, WIRES[wire(column)], screen(column))


def is_typed(shape: Shape) -> bool:
    """Tell whether nothing undeclared can be inside."""
    return not isinstance(shape, Leaf)


def _nested(kind: pa.DataType, rule: Rule) -> Shape | None:
    """Return the shape of nested values; None if only the exact way knows the rule."""
    if rule.kinds or rule.enum is not None or rule.text_format or rule.options:
        return None
    if pa.types.is_list(kind):
        inner = rule.items or ANY
        item = _part(kind.value_field, inner)
        return None if item is None else ListShape(kind, item, inner)
    return _struct(kind, rule)


def _struct(kind: pa.StructType, rule: Rule) -> Shape | None:
    rules = dict(rule.properties)
    if rule.required - {part.name for part in kind}:
        return None
    parts: list[Part] = []
    fields: list[tuple[t.Any, ...]] = []
    for number, inner in enumerate(kind):
        own = rules.get(inner.name, ANY)
        part = _part(inner, own)
        if part is None:
            return None
        duty = replace(own, is_required=inner.name in rule.required)
        fields.append(field_of(f"f{number}", part.parsed, duty))
        parts.append(part)
    names = {f"f{number}": inner.name for number, inner in enumerate(kind)}
    parsed = struct_type(fields, names)
    return None if parsed is None else StructShape(kind, tuple(parts), parsed)


def _part(inner: pa.Field, rule: Rule) -> Part | None:
    if inner.metadata == JSON_TEXT:
        column = Column(inner.name, pa.string(), "json", rule=rule)
        return Part(Leaf(column, _FREE, _free_screen(rule)))
    if pa.types.is_nested(inner.type):
        shape = _nested(inner.type, rule)
        return None if shape is None else Part(shape)
    column = Column(inner.name, inner.type, _kind(inner.type), rule=rule)
    own = DECIMAL if pa.types.is_decimal(inner.type) else WIRES[wire(column)]
    return Part(Leaf(column, own, screen(column)))


def _kind(kind: pa.DataType) -> str:
    return "boolean" if pa.types.is_boolean(kind) else "string"


def _free(values: Values, _kind: pa.DataType) -> pa.Array:
    texts = [None if v is None else exact_json.encode(v).decode() for v in values]
    return pa.array(texts, pa.string())


_FREE = Wire(t.Any, _free, lambda array, _: array)


def _free_screen(rule: Rule) -> Screen | None:
    if not rule.is_nullable:
        return lambda values, _: range(len(values))
    if rule.is_free:
        return None
    asks_kind_only = replace(rule, kinds=frozenset()).is_free
    kinds = rule.kinds if asks_kind_only else ()
    welcome = {type(None), *(one for kind in kinds for one in _TYPES.get(kind, ()))}
    return lambda values, _: (
        place for place, value in enumerate(values) if type(value) not in welcome
    )


# "integer" is not here: only the judge tells 1.0 from 1.5.
_TYPES = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, Decimal),
    "boolean": (bool,),
}


def _is_none(values: Values) -> pa.Array | None:
    found = [value is None for value in values]
    return pa.array(found, pa.bool_()) if any(found) else None
