"""The data files of a Parquet folder: write, read, bring up to the log, clear away.

On a local disk files get hidden names and are renamed when the entry that lists them is
durable: who reads a glob sees only rows of the table, each once, or those of the load
that a swap has just replaced. A crash in between is made good by the next run that
opens the table.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import quote

import pyarrow as pa

from target_parquet_iceberg.evolution import conform
from target_parquet_iceberg.merge import bounds
from target_parquet_iceberg.parquet_entry import LiveFile, as_text, from_text
from target_parquet_iceberg.parquet_log import FOLDER
from target_parquet_iceberg.parquet_store import TEMPORARY

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from target_parquet_iceberg.parquet_entry import Entry
    from target_parquet_iceberg.parquet_store import Store

_ROW = "__row"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
# Nothing but files that carry the name of a run is ever deleted.
_OURS = re.compile(r"_?\d{8}T\d{6}-[0-9a-f]{8}-\d{5,}-\d{5,}\.parquet(\.tmp)?")


class Files:
    """The data files of one table.

    Args:
        store: The table's folder.
        run_id: Part of the names of new files.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def write(
        self,
        rows: pa.Table,
        *,
        sequence: int,
        partition_by: tuple[str, ...],
        keys: tuple[str, ...],
    ) -> list[LiveFile]:
        """Write rows as files that no reader sees before they are in the log."""
        if not rows.num_rows:
            return []
        return [
            self._write(f"{self._run_id}-{sequence:05d}-{number:05d}", sequence, part)
            for number, part in enumerate(split(rows, partition_by, keys))
        ]

    def _write(self, name: str, sequence: int, part: Part) -> LiveFile:
        path = f"{part.folder}{name}.parquet"
        written = hidden(path) if self._store.hides else path
        return LiveFile(
            path=path,
            rows=part.rows.num_rows,
            bytes=self._store.write(written, part.rows),
            sequence=sequence,
            partition=part.values,
            bounds=part.bounds,
        )

    def read(self, file: LiveFile, columns: pa.Schema) -> pa.Table:
        """Read a file in the columns of the table."""
        with self._store.open(file.path) as opened:
            rows = opened.read()
        for name, text in file.partition.items():
            [value] = from_text([text], columns.field(name).type)
            rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
        return conform(rows, columns)

    def roll_forward(self, entry: Entry) -> None:
        """Do what the run that wrote an entry may have left undone.

        What is gone goes before what is new comes: for a moment too few, never both.
        Any number of runs may do it at once.
        """
        for path in entry.removed:
            self.delete(path)
        if self._store.hides:
            waiting = set(self._store.names(""))
            for file in entry.files:
                if hidden(file.path) in waiting:
                    self._store.move(hidden(file.path), file.path)

    def publish(self, entry: Entry) -> None:
        """Bring the files up to an entry that this run has just written."""
        for path in entry.removed:
            self.delete(path)
        if self._store.hides:
            for file in entry.files:
                if file.sequence == entry.sequence:
                    self._store.move(hidden(file.path), file.path)

    def strays(self, entry: Entry) -> list[str]:
        """List what runs have left behind that the log does not know.

        They may belong to a run that is alive, until another one has committed.
        """
        known = {name for f in entry.files for name in (f.path, hidden(f.path))}
        names = self._store.names("")
        return [name for name in names if name not in known and _is_ours(name)]

    def delete(self, path: str) -> None:
        """Delete a file under both of its names.

        In this order: another run may be renaming it.
        """
        if self._store.hides:
            self._store.delete(hidden(path))
        self._store.delete(path)

    def clear(self, names: Iterable[str]) -> None:
        """Delete strays."""
        for name in names:
            self._store.delete(name)

    def has_others(self) -> bool:
        """Tell whether there are Parquet files although there is no log."""
        return any(name.endswith(".parquet") for name in self._store.names(""))


def hidden(path: str) -> str:
    """Return the name of a file while nobody should read it."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}_{name}{TEMPORARY}"


def _is_ours(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    is_torn_entry = folder == FOLDER and name.endswith(TEMPORARY)
    return is_torn_entry or _OURS.fullmatch(name) is not None


class Part(t.NamedTuple):
    """The rows of one partition, without the columns that are in the folder's name."""

    folder: str
    rows: pa.Table
    values: dict[str, str | None]
    bounds: dict[str, tuple[str, str]]


def split(
    rows: pa.Table, columns: tuple[str, ...], keys: Sequence[str] = ()
) -> Iterator[Part]:
    """Yield the rows of every partition."""
    if not columns:
        yield Part("", rows, {}, limits(rows, keys))
        return
    # By row numbers: comparing values would lose NaN and take -0.0 for 0.0.
    numbers = pa.array(range(rows.num_rows), pa.int64())
    numbered = rows.select(columns).append_column(_ROW, numbers)
    groups = numbered.group_by(list(columns), use_threads=False)
    for values in groups.aggregate([(_ROW, "list")]).to_pylist():
        part = rows.take(values.pop(f"{_ROW}_list"))
        texts = {
            name: as_text(part[name].combine_chunks().slice(0, 1))[0]
            for name in columns
        }
        bare = part.drop_columns(list(columns))
        yield Part(f"{folder_of(values)}/", bare, texts, limits(part, keys))


def folder_of(values: Mapping[str, t.Any]) -> str:
    """Return `a=1/b=x%2Fy` for partition values."""
    return "/".join(
        f"{quote(name, safe='')}="
        + (NULL_PARTITION if value is None else quote(str(value), safe=" "))
        for name, value in values.items()
    )


def limits(rows: pa.Table, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the smallest and largest key values, of columns that have an order."""
    found: dict[str, tuple[str, str]] = {}
    for name, (low, high) in bounds(rows.select(list(keys))).items():
        kind = rows[name].type
        if low is not None and not pa.types.is_binary(kind):
            low_text, high_text = as_text(pa.array([low, high], kind))
            found[name] = (t.cast("str", low_text), t.cast("str", high_text))
    return found


def may_hold(file: LiveFile, rows: pa.Table, keys: Sequence[str]) -> bool:
    """Tell whether a file may have rows with keys in the range of these."""
    for name, (low, high) in bounds(rows.select(list(keys))).items():
        texts = file.bounds.get(name)
        if texts is None or low is None or rows[name].null_count:
            continue
        smallest, largest = from_text(list(texts), rows[name].type).to_pylist()
        if largest < low or high < smallest:
            return False
    return True
