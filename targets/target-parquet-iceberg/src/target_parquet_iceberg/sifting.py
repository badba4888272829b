"""Leave out the rows of a commit that the table must not get.

They may be in memory or in data files, of which those that hold such a row are written
anew; only keys are looked at as a whole, and rows whose key tells nothing one by one.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from target_parquet_iceberg.evolution import conform
from target_parquet_iceberg.merge import (
    are_alone,
    bounds,
    hits,
    last_rows,
    numbers,
)
from target_parquet_iceberg.past import within
from target_parquet_iceberg.reading import chosen, dead_rows, pieces
from target_parquet_iceberg.replay import comparable, fingerprints

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask

    from target_parquet_iceberg.snapshots import SnapshotWriter
    from target_parquet_iceberg.table import Commit, Written

DIGEST = pa.binary(16)
_ROW = "__row"


@dataclass(frozen=True, slots=True)
class Incoming:
    """The rows of a commit with keys, in order of arrival.

    Args:
        files: The data files that hold the first ones.
        rows: The others, in the columns of the table.
        keys: The keys of all.
    """

    files: tuple[DataFile, ...]
    rows: pa.Table
    keys: pa.Table

    def some(self, writer: SnapshotWriter, mask: pa.Array) -> Iterator[pa.Table]:
        """Read the rows that a mask over all of them says."""
        start = 0
        for file in self.files:
            part = mask.slice(start, file.record_count)
            start += file.record_count
            if part.true_count:
                yield from chosen(pieces(writer.io, writer.metadata, file), part)
        yield self.rows.filter(mask.slice(start))

    def without(self, writer: SnapshotWriter, mask: pa.Array) -> Incoming:
        """Leave out the rows that a mask says."""
        if not mask.true_count:
            return self
        kept, start = pc.invert(mask), 0
        files: list[DataFile] = []
        for file in self.files:
            part = kept.slice(start, file.record_count)
            start += file.record_count
            is_whole = part.true_count == len(part)
            files += [file] if is_whole else writer.rewrite(file, part)
        rows = self.rows.filter(kept.slice(start))
        return replace(self, files=tuple(files), rows=rows)


def incoming(writer: SnapshotWriter, commit: Commit) -> Incoming:
    """Return the rows of a commit."""
    columns = writer.arrow_schema()
    names = list(commit.keys)
    rows = columns.empty_table() if commit.rows is None else commit.rows
    rows = conform(rows, columns)
    keys = [rows.select(names)]
    files: tuple[DataFile, ...] = ()
    if commit.written is not None:
        files = commit.written.files
        keys = [*_keys(writer, commit.written, names), *keys]
    kinds = keys[-1].schema
    whole = pa.concat_tables([conform(part, kinds) for part in keys])
    return Incoming(files, rows, whole)


def _keys(
    writer: SnapshotWriter, written: Written, names: Sequence[str]
) -> Iterator[pa.Table]:
    if written.keys is not None and written.keys.column_names == list(names):
        yield written.keys
        return
    for file in written.files:
        yield from pieces(writer.io, writer.metadata, file, names)


def superseded(keys: pa.Table) -> pa.Array:
    """Tell for each row whether a later one has its key."""
    last = last_rows(keys)
    if last is None:
        return pa.repeat(pa.scalar(value=False), keys.num_rows)
    return pc.invert(pc.is_in(numbers(keys.num_rows), last))


def repeated(writer: SnapshotWriter, rows: Incoming) -> pa.Array:
    """Tell for each row whether the table, or an earlier one, is the same.

    A source sends the rows at the bookmark again with every run. All columns count but
    those that differ between two copies of one row.
    """
    are_exact = not any(map(_is_vague, rows.keys.schema.types))
    suspects = pc.invert(are_alone(rows.keys)) if are_exact else _all(rows.keys)
    known: list[pa.Array] = [pa.array([], DIGEST)]
    for task in writer.tasks(within(bounds(rows.keys))):
        found = _found(writer, task, rows.keys) if are_exact else _live(writer, task)
        if not found.true_count:
            continue
        if are_exact:
            hit = writer.keys(task, rows.keys.column_names).filter(found)
            suspects = pc.or_(suspects, hits(rows.keys, hit))
        columns = pieces(writer.io, writer.metadata, task.file)
        known += _digests(chosen(columns, found))
    if not suspects.true_count:
        return suspects
    mine = pa.concat_arrays([known[0], *_digests(rows.some(writer, suspects))])
    is_old = pc.or_(pc.is_in(mine, pa.concat_arrays(known)), _came_before(mine))
    places = pc.indices_nonzero(suspects).filter(is_old)
    return pc.is_in(numbers(rows.keys.num_rows), places.cast(pa.int64()))


def _is_vague(kind: pa.DataType) -> bool:
    # Arrow and a row's text may not agree when two floats are equal.
    return bool(pa.types.is_floating(kind) or pa.types.is_nested(kind))


def _all(keys: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(value=True), keys.num_rows)


def _came_before(values: pa.Array) -> pa.Array:
    """Tell for each value whether an earlier one is the same."""
    table = pa.table({"value": values, _ROW: numbers(len(values))})
    first = table.group_by("value").aggregate([(_ROW, "min")])[f"{_ROW}_min"]
    return pc.invert(pc.is_in(numbers(len(values)), first.combine_chunks()))


def _live(writer: SnapshotWriter, task: FileScanTask) -> pa.Array:
    dead = dead_rows(writer.io, task)
    if dead is None:
        return pa.repeat(pa.scalar(value=True), task.file.record_count)
    return pc.invert(dead)


def _found(writer: SnapshotWriter, task: FileScanTask, keys: pa.Table) -> pa.Array:
    """Tell for each row of a file whether it is live and has one of the keys."""
    found = hits(writer.keys(task, keys.column_names), keys)
    return pc.and_(found, _live(writer, task))


def _digests(tables: Iterable[pa.Table]) -> list[pa.Array]:
    """Render whole rows as digests: they may be many, and long."""
    found = []
    for table in tables:
        prints = fingerprints(table, comparable(table.column_names)).to_pylist()
        values = [hashlib.blake2b(p, digest_size=16).digest() for p in prints]
        found.append(pa.array(values, DIGEST))
    return found
