"""Delete rows by their keys, without a look at the table: only on request.

An equality delete takes every row with its key from the files of earlier commits. It
costs the writer nothing and the readers a join, and several cannot read it at all.
"""

from __future__ import annotations

import typing as t

import pyarrow.parquet as pq
from dativo_core.errors import ConfigurationError
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import sanitize_column_names
from pyiceberg.typedef import Record

from target_parquet_iceberg.evolution import conform

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestEntry
    from pyiceberg.table.metadata import TableMetadata

CANNOT_READ = "DuckDB, PyIceberg, Polars, Daft and Snowflake"
ADVICE = "let Spark compact the table (rewrite_data_files)"


def is_equality(file: DataFile) -> bool:
    """Tell whether a file deletes by key."""
    return file.content is DataFileContent.EQUALITY_DELETES


def check_possible(metadata: TableMetadata) -> None:
    """Refuse a partitioned table: the row with a key may be in any partition.

    Raises:
        ConfigurationError: saying so.
    """
    if metadata.spec().fields:
        msg = f"Table {metadata.location} is partitioned: delete_files cannot be "
        hint = "Remove delete_files for this stream, or partition_by."
        raise ConfigurationError(f"{msg}equality.", hint=hint)


def check_absent(entries: Iterable[ManifestEntry], location: str) -> None:
    """Refuse a table whose rows can only be told by joining its deletes.

    Raises:
        ConfigurationError: saying how to go on.
    """
    if any(is_equality(entry.data_file) for entry in entries):
        msg = f"Table {location} has equality deletes, which this load cannot apply."
        hint = f"Set delete_files: equality for the stream, or {ADVICE}."
        raise ConfigurationError(msg, hint=hint)


def write_equality_deletes(
    io: FileIO, path: str, metadata: TableMetadata, keys: pa.Table
) -> DataFile:
    """Write the delete file of these keys.

    Args:
        io: The table's storage.
        path: Where to write.
        metadata: The table, which is not partitioned.
        keys: A row for each; its columns are the table's.
    """
    schema = metadata.schema().select(*keys.column_names)
    stored = sanitize_column_names(schema)
    names = [field.name for field in stored.fields]
    rows = keys.select([field.name for field in schema.fields]).rename_columns(names)
    rows = conform(rows, schema_to_pyarrow(stored, include_field_ids=True))
    footers: list[pq.FileMetaData] = []
    with io.new_output(path).create(overwrite=True) as stream:
        sink: t.Any = stream  # the protocol has no tell(), the streams do
        pq.write_table(rows, sink, compression="zstd", metadata_collector=footers)
        size = sink.tell()
    statistics = data_file_statistics_from_parquet_metadata(
        footers[0],
        compute_statistics_plan(stored, metadata.properties),
        parquet_path_to_id_mapping(stored),
    )
    deletes = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        file_size_in_bytes=size,
        sort_order_id=None,
        equality_ids=[field.field_id for field in schema.fields],
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    deletes.spec_id = metadata.default_spec_id
    return deletes
