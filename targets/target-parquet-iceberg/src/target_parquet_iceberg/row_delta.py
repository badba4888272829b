"""One snapshot that adds data files, removes some, and deletes rows by position.

PyIceberg 0.12 writes no delete files. What is missing is small: a manifest of content
`deletes`, and the delete file itself. The manifests written here also follow the
specification where 0.12.0 does not (`equality_ids` is a list of int:
https://github.com/apache/iceberg-python/issues/3840).
"""

from __future__ import annotations

import typing as t
from collections import defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.schema import Schema
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.typedef import Record
from pyiceberg.types import IntegerType, ListType, NestedField, StructType

if t.TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.table.snapshots import Summary

EQUALITY_IDS_ID = 135
DATA_FILE_ID = 2
# Field ids that the specification reserves for position delete files.
PATH_ID, POSITION_ID = 2147483546, 2147483545
POSITION_DELETES = pa.schema(
    [
        pa.field(
            "file_path",
            pa.string(),
            nullable=False,
            metadata={"PARQUET:field_id": str(PATH_ID)},
        ),
        pa.field(
            "pos",
            pa.int64(),
            nullable=False,
            metadata={"PARQUET:field_id": str(POSITION_ID)},
        ),
    ]
)


class SpecManifestWriter(ManifestWriterV2):
    """Writes data or delete manifests exactly as the specification says."""

    is_deletes = False

    def content(self) -> ManifestContent:
        """Tell what the manifest lists."""
        return ManifestContent.DELETES if self.is_deletes else ManifestContent.DATA

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes" if self.is_deletes else "data"}

    def _with_partition(self, format_version: t.Any) -> Schema:
        entry = super()._with_partition(format_version)
        return Schema(*(_corrected(field) for field in entry.fields))


def _corrected(field: NestedField) -> NestedField:
    if field.field_id == EQUALITY_IDS_ID:
        kind: t.Any = ListType(
            element_id=136, element_type=IntegerType(), element_required=True
        )
    elif field.field_id == DATA_FILE_ID and isinstance(field.field_type, StructType):
        kind = StructType(*(_corrected(part) for part in field.field_type.fields))
    else:
        return field
    return NestedField(
        field_id=field.field_id,
        name=field.name,
        field_type=kind,
        required=field.required,
        doc=field.doc,
    )


class RowDelta(_OverwriteFiles):
    """An overwrite snapshot that may add position delete files too."""

    def __init__(self, *arguments: t.Any, **options: t.Any) -> None:
        super().__init__(*arguments, **options)
        self._delete_files: list[DataFile] = []

    def append_delete_file(self, file: DataFile) -> None:
        """Add a delete file to the snapshot."""
        self._delete_files.append(file)

    def new_manifest_writer(self, spec: PartitionSpec) -> SpecManifestWriter:
        """Return a writer that follows the specification."""
        return SpecManifestWriter(
            spec,
            self.schema(),
            self.new_manifest_output(),
            self._snapshot_id,
            self._compression,
        )

    def _manifests(self) -> list[ManifestFile]:
        by_spec: dict[int, list[DataFile]] = defaultdict(list)
        for file in self._delete_files:
            by_spec[file.spec_id].append(file)
        deletes = [self._delete_manifest(*group) for group in by_spec.items()]
        return [*super()._manifests(), *deletes]

    def _delete_manifest(self, spec_id: int, files: list[DataFile]) -> ManifestFile:
        writer = self.new_manifest_writer(self.spec(spec_id))
        writer.is_deletes = True
        with writer:
            for file in files:
                writer.add_entry(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED,
                        snapshot_id=self._snapshot_id,
                        sequence_number=None,
                        file_sequence_number=None,
                        data_file=file,
                    )
                )
        return writer.to_manifest_file()

    def _summary(self, snapshot_properties: t.Any = None) -> Summary:
        data_files = self._added_data_files
        # The summary counts delete files too, if it is told about them; it would take
        # their partitions for ones of the newest spec.
        self._added_data_files = [*data_files, *map(_unplaced, self._delete_files)]
        try:
            return super()._summary(snapshot_properties or {})
        finally:
            self._added_data_files = data_files


def _unplaced(file: DataFile) -> DataFile:
    return DataFile.from_args(
        content=file.content,
        file_path=file.file_path,
        partition=Record(),
        record_count=file.record_count,
        file_size_in_bytes=file.file_size_in_bytes,
    )


def write_position_deletes(
    io: FileIO, path: str, file: DataFile, positions: pa.Array
) -> DataFile:
    """Write the delete file of one data file.

    One for several would be fewer, but Polars reads it by way of PyIceberg only.

    Args:
        io: The table's storage.
        path: Where to write.
        file: The data file that loses rows.
        positions: The numbers of these rows, ascending.
    """
    names = pa.repeat(file.file_path, len(positions))
    rows = pa.table([names, positions], schema=POSITION_DELETES)
    output = io.new_output(path)
    with output.create(overwrite=True) as stream:
        pq.write_table(rows, stream, compression="zstd")
    # Not cut short: bounds that are equal say that there is one data file.
    bound = {PATH_ID: file.file_path.encode()}
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=file.partition,
        record_count=rows.num_rows,
        file_size_in_bytes=len(output),
        column_sizes={},
        value_counts={},
        null_value_counts={},
        nan_value_counts={},
        lower_bounds=bound,
        upper_bounds=bound,
        key_metadata=None,
        split_offsets=[4],
        equality_ids=None,
        sort_order_id=None,
    )
    deletes.spec_id = file.spec_id
    return deletes
