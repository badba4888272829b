"""Decide how a stream is loaded: which table, which keys, which method."""

from __future__ import annotations

import enum
import fnmatch
import typing as t
from dataclasses import dataclass, replace

import pyarrow as pa
from dativo_core.dead_letters import END_MARK, REPLAY_MARK
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg import rules
from target_parquet_iceberg.conflicts import Policy
from target_parquet_iceberg.layout import Layout, layout
from target_parquet_iceberg.metadata import COLUMNS, DELETED_AT
from target_parquet_iceberg.naming import (
    check_columns,
    check_given,
    check_not_reserved,
    check_paths,
    table_name,
)
from target_parquet_iceberg.schema import Column, columns, paths

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from target_parquet_iceberg.messages import Schema

Json: t.TypeAlias = "Mapping[str, t.Any]"
# Iceberg's metadata and Parquet's end at about twice as many.
MOST_LEVELS = 32


class Method(str, enum.Enum):
    """What a load does to the rows that are already there."""

    UPSERT = "upsert"
    APPEND = "append-only"
    OVERWRITE = "overwrite"


class Deletes(str, enum.Enum):
    """What a time of deletion in a record means for the row."""

    NONE = "none"
    """It is a column like any other."""
    HARD = "hard"
    """The row goes; the column is one of the stream, or of its metadata."""
    HARD_BY_MARK = "hard by mark"
    """The row goes, and the table has no such column."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where and how the rows of one stream are stored.

    `method` is None where the settings leave it open: then a versioned full load means
    overwrite, keys mean upsert, and anything else means append-only. A closed stream
    has no fields but its columns; `also_required` must be there without a column.
    A replay of dead letters, which has a name, never replaces a table.
    """

    stream: str
    table: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    method: Method | None
    partition_by: tuple[str, ...] = ()
    layout: Layout = Layout()  # noqa: RUF009 it is frozen
    on_type_conflict: Policy = Policy.WIDEN
    is_closed: bool = False
    also_required: frozenset[str] = frozenset()
    deletes: Deletes = Deletes.NONE
    replay: str | None = None
    replay_ends: bool = False

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns that the table has."""
        if self.deletes is not Deletes.HARD_BY_MARK:
            return self.columns
        return tuple(c for c in self.columns if c.name != DELETED_AT.name)

    def resolve(self, *, versioned: bool) -> Method:
        """Return the method, now that the records told whether they carry versions."""
        without_keys = Method.OVERWRITE if versioned else Method.APPEND
        if self.replay is not None and self.method is not Method.APPEND:
            return Method.UPSERT if self.keys else Method.APPEND
        if self.method is Method.UPSERT:
            return Method.UPSERT if self.keys else without_keys
        if self.method is not None:
            return self.method
        return Method.UPSERT if self.keys and not versioned else without_keys


def plan(message: Schema, settings: Json) -> Plan:
    """Combine a SCHEMA message with the settings that match its stream.

    Raises:
        ConfigurationError: if the schema has no usable columns, or a key is missing.
    """
    chosen = overrides(message.stream, settings)
    validate = settings.get("validate_records", True)
    if validate:
        _check_sound(message)
    as_json = chosen.get("nested", settings.get("nested")) == "json"
    found = _declared(message, validate=validate, as_json=as_json)
    names = [column.name for column in found]
    keys = tuple(chosen.get("key_properties", message.key_properties))
    _check_known(message.stream, names, keys, "key_properties")
    _check_plain(message.stream, found, set(keys))
    method = chosen.get("load_method", settings.get("load_method"))
    deletes = _deletes(chosen, settings, names, keys)
    folders: tuple[str, ...] = ()
    laid_out = Layout()
    if settings.get("format") == "parquet":
        folders = tuple(chosen.get("partition_by", ()))
        _check_known(message.stream, names, folders, "partition_by")
        _check_plain(message.stream, found, set(folders))
    else:
        added = COLUMNS if settings.get("add_record_metadata") else ()
        defaults = {"delete_files": settings.get("delete_files")}
        laid_out = layout(message.stream, {**defaults, **chosen}, (*found, *added))
    has_tombstones = DELETED_AT.name in names or deletes is not Deletes.NONE
    also_required = rules.required(message.schema).difference(names)
    return Plan(
        stream=message.stream,
        table=_table(message.stream, settings),
        columns=_with_deleted_at(found, keys, settings, deletes=deletes),
        keys=keys,
        method=Method(method) if method else None,
        partition_by=folders,
        layout=laid_out,
        on_type_conflict=Policy(
            chosen.get("on_type_conflict")
            or settings.get("on_type_conflict")
            or Policy.WIDEN
        ),
        is_closed=validate and rules.is_closed(message.schema),
        also_required=also_required if validate and not has_tombstones else frozenset(),
        deletes=deletes,
        replay=message.schema.get(REPLAY_MARK),
        replay_ends=bool(message.schema.get(END_MARK)),
    )


def table_of(stream: str, settings: Json) -> str:
    """Return the name of a stream's table, without a look at its SCHEMA."""
    return overrides(stream, settings).get("table") or table_name(stream)


def _table(stream: str, settings: Json) -> str:
    table = check_given(table_of(stream, settings))
    if settings.get("format") != "parquet" and has_letter_tables(settings):
        check_not_reserved(stream, table)
    return table


def has_letter_tables(settings: Json) -> bool:
    """Tell whether dead letters become tables, too."""
    return bool((settings.get("dead_letter") or {}).get("table", True))


def _declared(message: Schema, *, validate: bool, as_json: bool) -> tuple[Column, ...]:
    found = tuple(columns(message.schema, validate=validate, as_json=as_json))
    if not found:
        msg = f"Stream '{message.stream}': the schema has no properties."
        raise ConfigurationError(msg, hint="Select at least one field in the tap.")
    check_columns(message.stream, [column.name for column in found])
    every = [path for column in found for path in paths((column.name,), column.type)]
    check_paths(message.stream, every)
    _check_depth(message.stream, every)
    return found


def _check_depth(stream: str, every: list[tuple[str, ...]]) -> None:
    deepest = max(every, key=len)
    if len(deepest) > MOST_LEVELS:
        what = f"Stream '{stream}': {deepest[0][:80]!r} has more than {MOST_LEVELS} "
        what += "levels of objects and arrays, which no engine reads."
        raise ConfigurationError(what, hint="Set nested: json for it in streams.")


def _deletes(
    chosen: Json, settings: Json, names: list[str], keys: tuple[str, ...]
) -> Deletes:
    method = chosen.get("load_method", settings.get("load_method"))
    is_on = chosen.get("hard_delete", settings.get("hard_delete"))
    if not (is_on and keys) or method == Method.APPEND:
        return Deletes.NONE
    is_column = DELETED_AT.name in names or settings.get("add_record_metadata")
    return Deletes.HARD if is_column else Deletes.HARD_BY_MARK


def _with_deleted_at(
    found: tuple[Column, ...],
    keys: tuple[str, ...],
    settings: Json,
    *,
    deletes: Deletes,
) -> tuple[Column, ...]:
    """Return the columns with the time of deletion, which no schema need declare."""
    is_declared = any(column.name == DELETED_AT.name for column in found)
    if is_declared or deletes is not Deletes.NONE:
        # The record of a deletion has the keys, and often nothing else.
        found = tuple(c if c.name in keys else _optional(c) for c in found)
    is_added = settings.get("add_record_metadata") or deletes is not Deletes.NONE
    return found if is_declared or not is_added else (*found, DELETED_AT)


def _optional(column: Column) -> Column:
    return replace(
        column, rule=replace(column.rule, is_required=False, is_nullable=True)
    )


def overrides(stream: str, settings: Json) -> dict[str, t.Any]:
    """Merge the entries of setting `streams` whose glob matches, later ones last."""
    merged: dict[str, t.Any] = {}
    for glob, values in settings.get("streams", {}).items():
        if fnmatch.fnmatchcase(stream, glob):
            merged |= {k: v for k, v in values.items() if v is not None}
    return merged


def _check_sound(message: Schema) -> None:
    fault = rules.fault(message.schema)
    if fault is not None:
        path, found = fault
        msg = f"Stream '{message.stream[:80]}': the SCHEMA of {path[:80]!r} is {found}."
        hint = "Correct it in the tap, or set validate_records: false."
        raise ConfigurationError(msg, hint=hint)


def _check_known(
    stream: str, names: list[str], wanted: tuple[str, ...], setting: str
) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        msg = f"Stream '{stream}': {setting} names {missing[0]!r}, which no field has."
        raise ConfigurationError(msg, hint=f"The fields are: {', '.join(names)}.")


def _check_plain(stream: str, found: tuple[Column, ...], names: set[str]) -> None:
    for column in found:
        if column.name in names and pa.types.is_nested(column.type):
            msg = f"Stream '{stream}': {column.name!r} is nested, so it can be no key."
            raise ConfigurationError(msg, hint="Set key_properties in streams.")
