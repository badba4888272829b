"""Read the data files of an Iceberg table piece by piece.

PyIceberg's scan reads many batches ahead, or a whole file: a quarter of a gigabyte on
disk, a whole one in memory. The projection is its own (no public API).
"""

from __future__ import annotations

import typing as t

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import (
    ArrowScan,
    _get_column_projection_values,
    _read_all_delete_files,
    _to_requested_schema,
    pyarrow_to_schema,
    schema_to_pyarrow,
)
from pyiceberg.schema import prune_columns

from target_parquet_iceberg.evolution import conform, plain
from target_parquet_iceberg.merge import numbers

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask
    from pyiceberg.table.metadata import TableMetadata

ROWS_AT_ONCE = 2**16


def pieces(
    io: FileIO, metadata: TableMetadata, file: DataFile, names: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """Read all rows of a file, deleted ones too: row number is position.

    Args:
        io: The table's storage.
        metadata: The table, whose columns the pieces have.
        file: One of its data files.
        names: The columns that are wanted; none for all.
    """
    schema = metadata.schema().select(*names) if names else metadata.schema()
    columns = plain(schema_to_pyarrow(schema, include_field_ids=False))
    wanted = ArrowScan(metadata, io, schema, AlwaysTrue())._projected_field_ids  # noqa: SLF001
    with io.new_input(file.file_path).open() as source:
        opened = pq.ParquetFile(source, pre_buffer=True)
        stored = pyarrow_to_schema(
            opened.schema_arrow,
            metadata.name_mapping(),
            downcast_ns_timestamp_to_us=True,
            format_version=metadata.format_version,
        )
        absent = _get_column_projection_values(
            file,
            schema,
            metadata.schema(),
            metadata.specs().get(file.spec_id),
            stored.field_ids,
        )
        chosen = prune_columns(stored, wanted, select_full_types=False)
        for batch in _batches(opened, [column.name for column in chosen.columns]):
            found = _to_requested_schema(
                schema,
                chosen,
                batch,
                downcast_ns_timestamp_to_us=True,
                projected_missing_fields=absent,
                allow_timestamp_tz_mismatch=True,
            )
            yield conform(pa.Table.from_batches([found]), columns)


def _batches(
    opened: pq.ParquetFile, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    # Asked for all at once, row groups are all fetched before the first is decoded.
    for group in range(opened.num_row_groups):
        yield from opened.iter_batches(
            ROWS_AT_ONCE, [group], list(columns), use_threads=False
        )


def dead_rows(io: FileIO, task: FileScanTask) -> pa.Array | None:
    """Return, for each row of a file, whether a delete covers it; None if none can."""
    if not task.delete_files:
        return None
    deleted = _read_all_delete_files(io, [task]).get(task.file.file_path, [])
    positions = [chunk for part in deleted for chunk in part.chunks]
    rows = numbers(task.file.record_count)
    return pc.is_in(rows, pa.chunked_array(positions, pa.int64()))


def live(
    io: FileIO, metadata: TableMetadata, task: FileScanTask, names: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """Read the rows of a file that no delete covers: these columns, or all."""
    dead = dead_rows(io, task)
    found = pieces(io, metadata, task.file, names)
    yield from found if dead is None else chosen(found, pc.invert(dead))


def chosen(tables: Iterable[pa.Table], mask: pa.Array) -> Iterator[pa.Table]:
    """Yield the rows that a mask over all of them says."""
    start = 0
    for table in tables:
        part = mask.slice(start, table.num_rows)
        start += table.num_rows
        if part.true_count:
            yield table if part.true_count == len(part) else table.filter(part)


def gathered(tables: Iterable[pa.Table], size: int, rows: int) -> Iterator[pa.Table]:
    """Put small tables together until they have so many bytes or rows."""
    held: list[pa.Table] = []
    held_bytes = held_rows = 0
    for table in tables:
        held.append(table)
        held_bytes += table.nbytes
        held_rows += table.num_rows
        if held_bytes >= size or held_rows >= rows:
            yield pa.concat_tables(held)
            held, held_bytes, held_rows = [], 0, 0
    if held:
        yield pa.concat_tables(held)
