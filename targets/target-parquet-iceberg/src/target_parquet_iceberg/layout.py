"""Read the settings partition_by, sort_by and properties: text in, plain values out."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

import pyarrow as pa
from dativo_core.errors import ConfigurationError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_parquet_iceberg.schema import Column

_CALL = re.compile(
    r"(?P<name>[a-z]+)\s*\(\s*(?:(?P<number>\d{1,10})\s*,\s*)?(?P<column>.+?)\s*\)"
)
_SORT = re.compile(r"(?P<minus>-?)(?P<column>.+?)(?:\s+nulls\s+(?P<nulls>first|last))?")
_NUMBERED = frozenset({"bucket", "truncate"})
_CALENDAR = ("year", "month", "day", "hour")
_LARGEST_NUMBER = 2**31 - 1
PARTITION_HINT = (
    "Accepted are a column, bucket(16, column), truncate(8, column), year(column), "
    "month(column), day(column) and hour(column)."
)
SORT_HINT = "Accepted are a column, '-column' for descending, with ' nulls last'."
PROPERTY_HINT = "These properties belong to the target: remove them from properties."
_OWN_PROPERTIES = ("dativo.", "commit.retry.", "format-version")


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition field.

    Args:
        column: Its source.
        transform: As Iceberg writes it: `identity`, `bucket[16]`, `day`.
    """

    column: str
    transform: str = "identity"


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column of the sort order; nulls are placed as Iceberg does by default."""

    column: str
    is_descending: bool = False
    has_nulls_first: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table's files are laid out; None leaves to the table what it has.

    Args:
        partitions: The partition fields.
        sort: The sort order.
        properties: Table properties to set.
        deletes_by_key: Whether upserts write equality deletes.
    """

    partitions: tuple[Partition, ...] | None = None
    sort: tuple[SortKey, ...] | None = None
    properties: tuple[tuple[str, str], ...] = ()
    deletes_by_key: bool = False


def layout(
    stream: str,
    chosen: Mapping[str, t.Any],
    columns: Sequence[Column],
) -> Layout:
    """Read the layout out of a stream's settings.

    Raises:
        ConfigurationError: naming the text that cannot be read, and what can.
    """
    types = {column.name: column.type for column in columns}
    partitions, sort = chosen.get("partition_by"), chosen.get("sort_by")
    return Layout(
        None if partitions is None else _partitions(stream, partitions, types),
        None if sort is None else _sort(stream, sort, types),
        _properties(stream, chosen.get("properties") or {}),
        deletes_by_key=chosen.get("delete_files") == "equality",
    )


def _partitions(
    stream: str, texts: Iterable[str], types: Mapping[str, pa.DataType]
) -> tuple[Partition, ...]:
    found: list[Partition] = []
    for text in texts:
        partition = _partition(stream, text, types)
        if not _fits(partition.transform, types[partition.column]):
            kind = types[partition.column]
            _refuse(stream, "partition_by", text, f"{kind} is no type for it")
        if any(_overlap(partition, other) for other in found):
            _refuse(stream, "partition_by", text, "the column is there already")
        found.append(partition)
    return tuple(found)


def _partition(stream: str, text: str, types: Mapping[str, pa.DataType]) -> Partition:
    if text in types:
        return Partition(text)
    call = _CALL.fullmatch(text.strip())
    if call is None:
        _refuse(stream, "partition_by", text, "it is no field and no transform")
    name, number, column = call.group("name", "number", "column")
    if name not in {*_NUMBERED, *_CALENDAR}:
        _refuse(stream, "partition_by", text, f"there is no transform {name!r}")
    if (number is not None) != (name in _NUMBERED):
        wanted = "a number first" if name in _NUMBERED else "a column only"
        _refuse(stream, "partition_by", text, f"{name} takes {wanted}")
    if number is not None and not 0 < int(number) <= _LARGEST_NUMBER:
        _refuse(stream, "partition_by", text, f"{number} is out of range")
    if column not in types:
        _refuse(stream, "partition_by", text, f"no field has the name {column!r}")
    return Partition(column, name if number is None else f"{name}[{int(number)}]")


def _overlap(one: Partition, other: Partition) -> bool:
    if one.column != other.column:
        return False
    both_calendar = one.transform in _CALENDAR and other.transform in _CALENDAR
    return one.transform == other.transform or both_calendar


def _fits(transform: str, kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _KINDS[transform.partition("[")[0]])


_SLICED = (
    pa.types.is_integer,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_binary,
)
_HASHED = (*_SLICED, pa.types.is_date, pa.types.is_time, pa.types.is_timestamp)
_DATED = (pa.types.is_date, pa.types.is_timestamp)
# Floats have several zeros and NaNs: no partition values.
_KINDS: dict[str, tuple[t.Callable[[pa.DataType], bool], ...]] = {
    "identity": (*_HASHED, pa.types.is_boolean),
    "bucket": _HASHED,
    "truncate": _SLICED,
    "year": _DATED,
    "month": _DATED,
    "day": _DATED,
    "hour": (pa.types.is_timestamp,),
}


def _sort(
    stream: str, texts: Iterable[str], types: Mapping[str, pa.DataType]
) -> tuple[SortKey, ...]:
    found: dict[str, SortKey] = {}
    for text in texts:
        key = SortKey(text) if text in types else _sort_key(text)
        if key is None or key.column not in types:
            _refuse(stream, "sort_by", text, "no field has this name", SORT_HINT)
        if pa.types.is_nested(types[key.column]):
            _refuse(stream, "sort_by", text, "it is nested", SORT_HINT)
        if key.column in found:
            _refuse(stream, "sort_by", text, "it is there already", SORT_HINT)
        found[key.column] = key
    return tuple(found.values())


def _sort_key(text: str) -> SortKey | None:
    match = _SORT.fullmatch(text.strip())
    if match is None:
        return None
    is_descending = bool(match["minus"])
    nulls = match["nulls"] or ("last" if is_descending else "first")
    return SortKey(match["column"], is_descending, nulls == "first")


def _properties(
    stream: str, chosen: Mapping[str, t.Any]
) -> tuple[tuple[str, str], ...]:
    for name in chosen:
        if name.startswith(_OWN_PROPERTIES):
            _refuse(stream, "properties", name, "it is not to be set", PROPERTY_HINT)
    return tuple((name, _text(value)) for name, value in chosen.items())


def _text(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refuse(
    stream: str, setting: str, text: str, why: str, hint: str = PARTITION_HINT
) -> t.NoReturn:
    msg = f"Stream '{stream}': {setting} has {text!r}: {why}."
    raise ConfigurationError(msg, hint=hint)
