"""What one entry of a Parquet folder's log says, and how it is spelled as JSON.

An entry is the whole table: the newest one needs no other to be read.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, field, replace

import pyarrow as pa
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg.evolution import plain

if t.TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
Json: t.TypeAlias = dict[str, t.Any]
Texts: t.TypeAlias = "Mapping[str, str | None]"


@dataclass(frozen=True, slots=True)
class LiveFile:
    """One data file of the table.

    Args:
        path: Below the table's folder.
        rows: How many.
        bytes: Its size.
        sequence: The entry that added it.
        partition: Values of the columns that are in the path, not in the file; as text.
        bounds: Smallest and largest value of each key column, where there are any.
    """

    path: str
    rows: int
    bytes: int
    sequence: int
    partition: Texts = field(default_factory=dict)
    bounds: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """The table after one commit.

    Args:
        stream: Whose rows these are.
        run_id: Who wrote the entry.
        sequence: Its number.
        columns: The table's columns; files may lack some, and have narrower types.
        partition_by: The columns that make up the folders.
        files: What readers should see.
        removed: What the entry before had, and this one has not.
        state: The bookmark.
        state_sequence: The entry that brought the bookmark; rows behind it come again.
        appended: The ledger of rows without keys.
        replays: The latest replays of dead letters that the table has taken.
        promoted_to: The Iceberg table that the folder belongs to now.
    """

    stream: str
    run_id: str
    sequence: int
    columns: pa.Schema
    partition_by: tuple[str, ...] = ()
    files: tuple[LiveFile, ...] = ()
    removed: tuple[str, ...] = ()
    state: Json | None = None
    state_sequence: int = 0
    appended: str = ""
    replays: tuple[str, ...] = ()
    promoted_to: str | None = None

    def then(self, run_id: str, **changes: t.Any) -> Entry:
        """Return the entry after this one: the same table, but for the changes."""
        changes = {"removed": (), **changes}
        return replace(self, run_id=run_id, sequence=self.sequence + 1, **changes)


def dump(entry: Entry) -> bytes:
    """Spell an entry."""
    plain_fields = {
        name: getattr(entry, name) for name in Entry.__slots__ if name != "columns"
    }
    plain_fields["files"] = [asdict(file) for file in entry.files]
    content = {"format": FORMAT, **plain_fields, "schema": _dump_columns(entry.columns)}
    return json.dumps(content, sort_keys=True).encode()


def parse(content: bytes, name: str) -> Entry:
    """Read an entry.

    Args:
        content: What `dump` gave.
        name: Where it was found, to be named in an error.

    Raises:
        ConfigurationError: if a newer version of the target wrote it.
    """
    found = json.loads(content)
    if found.pop("format") != FORMAT:
        msg = f"The log entry {name} has a format that this version cannot read."
        raise ConfigurationError(msg, hint="Install a newer version of the target.")
    files = tuple(LiveFile(**_tuples(file)) for file in found.pop("files"))
    columns = _parse_columns(found.pop("schema"))
    lists = ("partition_by", "removed", "replays")
    found |= {key: tuple(found.get(key, ())) for key in lists}
    return Entry(columns=columns, files=files, **found)


def _tuples(file: Json) -> Json:
    bounds = {name: tuple(limits) for name, limits in file["bounds"].items()}
    return {**file, "bounds": bounds}


def _dump_columns(columns: pa.Schema) -> Json:
    """Spell columns as an Iceberg schema, a notation that others know too."""
    from pyiceberg.catalog import Catalog  # noqa: PLC0415 it takes half a second
    from pyiceberg.schema import assign_fresh_schema_ids  # noqa: PLC0415

    converted = Catalog._convert_schema_if_needed(columns)  # noqa: SLF001
    schema: Json = json.loads(assign_fresh_schema_ids(converted).model_dump_json())
    return schema


def _parse_columns(found: Json) -> pa.Schema:
    from pyiceberg.io.pyarrow import schema_to_pyarrow  # noqa: PLC0415 as above
    from pyiceberg.schema import Schema  # noqa: PLC0415

    schema = Schema.model_validate(found)
    return plain(schema_to_pyarrow(schema, include_field_ids=False))


def as_text(values: pa.Array) -> list[str | None]:
    """Spell values so that `from_text` gives the same ones.

    Raises:
        pa.ArrowInvalid: for bytes that are no text.
    """
    if pa.types.is_time(values.type):  # Arrow reads no times
        values = values.cast(pa.int64())
    texts: list[str | None] = values.cast(pa.string()).to_pylist()
    return texts


def from_text(texts: list[str | None], kind: pa.DataType) -> pa.Array:
    """Return the values that `as_text` has spelled."""
    values = pa.array(texts, pa.string())
    return (values.cast(pa.int64()) if pa.types.is_time(kind) else values).cast(kind)
