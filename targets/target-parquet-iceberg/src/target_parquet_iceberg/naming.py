"""Name tables and folders safely: lower snake case, no surprises in any engine."""

from __future__ import annotations

import hashlib
import re
import typing as t
import unicodedata

from dativo_core.errors import ConfigurationError

if t.TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Mapping

MAX_LENGTH = 127
LONGEST_FOLDER = 120
DEAD_LETTERS = "__dlq"
"""Ends the names of the tables that hold dead letters."""
_GIVEN = re.compile(rf"[\w-]{{1,{MAX_LENGTH}}}")
_OUTSIDE = re.compile(r"[^a-z0-9]+")


def table_name(stream: str) -> str:
    """Return the table name of a stream: `public-Orders` becomes `public_orders`.

    Raises:
        ConfigurationError: if nothing usable is left, or it is too long.
    """
    # Accents fall off, so that "Größe" becomes "grosse" and not "gr_e". Twice, since
    # either step makes work for the other: NFKD makes the letter H of U+210C.
    bare = unicodedata.normalize("NFKD", stream).casefold()
    bare = unicodedata.normalize("NFKD", bare)
    letters = "".join(c for c in bare if not unicodedata.combining(c))
    name = _OUTSIDE.sub("_", letters).strip("_")
    name = f"t_{name}" if name[:1].isdigit() else name
    hint = "Give it a name with the setting streams: {<stream>: {table: <name>}}."
    if not name:
        msg = f"Stream {stream[:80]!r} has no letter or digit to make a table name of."
        raise ConfigurationError(msg, hint=hint)
    if len(name) > MAX_LENGTH:
        msg = f"Stream '{stream[:80]}...' is too long for a table name."
        raise ConfigurationError(msg, hint=hint)
    return name


def check_given(table: str) -> str:
    """Return a table name of the settings, which becomes a folder too.

    Raises:
        ConfigurationError: if it could lead out of the warehouse, or is too long.
    """
    if not _GIVEN.fullmatch(table):
        msg = f"Setting streams: {table[:80]!r} is no name for a table."
        hint = f"Use at most {MAX_LENGTH} letters, digits, _ and -."
        raise ConfigurationError(msg, hint=hint)
    return table


def check_unique(tables: Mapping[str, str], stream: str, table: str) -> None:
    """Refuse a second stream whose name folds to the same table.

    Raises:
        ConfigurationError: naming both streams.
    """
    for other, taken in tables.items():
        if taken == table and other != stream:
            msg = f"Streams '{other}' and '{stream}' both become table '{table}'."
            hint = "Rename one with the setting streams: {<stream>: {table: <name>}}."
            raise ConfigurationError(msg, hint=hint)


def check_not_reserved(stream: str, table: str) -> None:
    """Refuse the name of a table of dead letters; `table_name` makes none.

    Raises:
        ConfigurationError: naming the stream.
    """
    if table.casefold().endswith(DEAD_LETTERS):
        msg = f"Stream '{stream}': names that end in {DEAD_LETTERS} are for tables of "
        msg += f"dead letters, so '{table}' cannot be used."
        hint = "Choose another name in streams, or set dead_letter.table to false."
        raise ConfigurationError(msg, hint=hint)


# Iceberg's metadata columns, and what rows carry inside the target.
RESERVED = frozenset(
    {
        "_change_ordinal",
        "_change_type",
        "_commit_snapshot_id",
        "_deleted",
        "_file",
        "_last_updated_sequence_number",
        "_partition",
        "_pos",
        "_row_id",
        "_spec_id",
        "__dativo_position",
        "__row",
    }
)


def check_columns(stream: str, names: Iterable[str]) -> None:
    """Refuse reserved names, and columns that differ only by case.

    Most engines cannot tell such columns apart.

    Raises:
        ConfigurationError: naming the column, or both.
    """
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in RESERVED:
            msg = f"Stream '{stream}': the name '{name}' is reserved."
            raise ConfigurationError(msg, hint="Rename it with stream_maps.")
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            msg = f"Stream '{stream}': columns '{other}' and '{name}' differ by case."
            raise ConfigurationError(msg, hint="Rename one with stream_maps.")


def check_paths(stream: str, paths: Iterable[tuple[str, ...]]) -> None:
    """Refuse an empty name, and two fields whose paths most engines take for one.

    Raises:
        ConfigurationError: naming the path, or both.
    """
    seen: dict[str, str] = {}
    for parts in paths:
        path = ".".join(parts)
        if not parts[-1]:
            what = f"Stream '{stream}': a field without a name, at '{path[:80]}'."
            raise ConfigurationError(what, hint="Rename it with stream_maps.")
        folded = path.casefold()
        if folded in seen:
            _refuse_twins(stream, seen[folded], path)
        seen[folded] = path


def check_new_paths(
    stream: str, present: Iterable[tuple[str, ...]], new: Iterable[tuple[str, ...]]
) -> None:
    """Refuse new fields whose paths most engines take for those of present ones.

    Raises:
        ConfigurationError: naming both.
    """
    known = {path.casefold(): path for path in map(".".join, present)}
    for path in map(".".join, new):
        if path.casefold() in known:
            _refuse_twins(stream, known[path.casefold()], path)


def _refuse_twins(stream: str, one: str, other: str) -> t.NoReturn:
    what = f"two fields are called '{one[:80]}'"
    if one != other:
        what = f"fields '{one[:80]}' and '{other[:80]}' differ by case"
    hint = "Rename one with stream_maps; with nested: json, parts of objects are none."
    raise ConfigurationError(f"Stream '{stream}': {what}.", hint=hint)


def data_file_name(folder: str, write_id: uuid.UUID, number: int) -> str:
    """Return the path of a data file below the table's data folder.

    Args:
        folder: The partition as `a=1/b=x`; readers do not look at it.
        write_id: Unique to the transaction, so that no file is ever written twice.
        number: Unique within it.
    """
    steps = [_short(step) for step in folder.split("/") if step]
    return "/".join([*steps, f"{number:05d}-{write_id}.parquet"])


def _short(step: str) -> str:
    """Cut what file systems refuse; the digest keeps two long values apart."""
    if len(step) <= LONGEST_FOLDER:
        return step
    digest = hashlib.sha256(step.encode()).hexdigest()[:16]
    # A cut through `%C3%A9` would leave no valid escape.
    return f"{step[:LONGEST_FOLDER].rpartition('%')[0] or step[:80]}~{digest}"
