"""Put a Parquet file into a table without writing it anew: a link, or a copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from pathlib import Path

from pyiceberg.io.pyarrow import (
    PyArrowFileIO,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table.locations import load_location_provider
from pyiceberg.typedef import Record

if t.TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.table.metadata import TableMetadata

    from target_parquet_iceberg.manifest import BatchFile
    from target_parquet_iceberg.table import HeldFile

_CHUNK_BYTES = 8 * 2**20


def place(held: HeldFile, metadata: TableMetadata, io: FileIO, name: str) -> DataFile:
    """Make a file one of the table's own; what it was before stays as it is.

    Until the commit that lists it has landed, the table's name for it can be deleted.
    """
    provider = load_location_provider(metadata.location, metadata.properties)
    location = provider.new_data_location(name)
    try:
        _copy(held.file, location, io)
    except BaseException:
        with contextlib.suppress(OSError):
            io.delete(location)
        raise
    schema = metadata.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        held.footer,
        compute_statistics_plan(schema, metadata.properties),
        parquet_path_to_id_mapping(schema),
    )
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        file_size_in_bytes=held.file.bytes,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = metadata.default_spec_id
    return file


def _copy(source: BatchFile, location: str, io: FileIO) -> None:
    scheme, netloc, path = PyArrowFileIO.parse_location(location)
    is_local = source.system.type_name == "local"
    if scheme == "file" and is_local:
        _link(source.path, path)
    elif source.system.type_name == scheme.rstrip("a") == "s3" and netloc:
        source.system.copy_file(source.path, path)
    else:
        with (
            source.system.open_input_stream(source.path, compression=None) as stream,
            io.new_output(location).create(overwrite=True) as sink,
        ):
            shutil.copyfileobj(stream, t.cast("t.Any", sink), _CHUNK_BYTES)


def _link(source: str, target: str) -> None:
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)
