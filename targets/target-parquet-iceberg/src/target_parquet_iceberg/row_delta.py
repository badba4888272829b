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
from pyiceberg.exceptions import ValidationException
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.schema import Schema
from pyiceberg.table.update import AddSnapshotUpdate
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.typedef import Record
from pyiceberg.types import IntegerType, ListType, NestedField, StructType

from target_parquet_iceberg.inventory import (
    ADDED,
    DELETED,
    EXISTING,
    ManifestReader,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyiceberg.io import FileIO
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.table.snapshots import Summary
    from pyiceberg.table.update import TableUpdate, UpdatesAndRequirements

ENTRIES_PER_MANIFEST = 10_000
# Merged at the commit that finds so many of a kind: each costs every reader a request.
MERGED_AT_ONCE = 8
Place: t.TypeAlias = "tuple[int, ManifestContent]"
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
    """An overwrite snapshot that may add position delete files too.

    It opens the manifests that list a file to remove, and those that it merges, and no
    others; PyIceberg opens all of them twice.
    """

    reader = ManifestReader()

    def __init__(self, *arguments: t.Any, **options: t.Any) -> None:
        super().__init__(*arguments, **options)
        self._delete_files: list[DataFile] = []

    def _commit(self) -> UpdatesAndRequirements:
        """Let time stand still for a clock that has gone back.

        Java's reader refuses a table whose log is out of order by more than a minute
        (`TableMetadata`, "[BUG] Expected sorted snapshot log entries").
        """
        updates, requirements = super()._commit()
        latest = self._transaction.table_metadata.last_updated_ms
        return tuple(_not_before(one, latest) for one in updates), requirements

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
        metadata = self._transaction.table_metadata
        parent = metadata.snapshot_by_id(self._parent_snapshot_id or 0)
        listed = self.reader.listed(self._io, parent)
        missing = {file.file_path for file in self._deleted_data_files}
        merged = worth_merging(listed)
        kept: list[ManifestFile] = []
        entries = self._new_entries()
        for manifest in listed:
            place = (manifest.partition_spec_id, manifest.content)
            is_merged = manifest.manifest_path in merged
            marked = self._marked_entries(manifest, missing, is_merged=is_merged)
            if is_merged or any(entry.status is DELETED for entry in marked):
                entries[place] += marked
            elif manifest.has_added_files() or manifest.has_existing_files():
                kept.append(manifest)
        if missing:
            msg = f"Missing required files to delete: {', '.join(sorted(missing))}"
            raise ValidationException(msg)
        return [*self._written(entries), *kept]

    @property
    def _removes_deletes(self) -> bool:
        files = self._deleted_data_files
        return any(file.content is not DataFileContent.DATA for file in files)

    def _new_entries(self) -> dict[Place, list[ManifestEntry]]:
        entries: dict[Place, list[ManifestEntry]] = defaultdict(list)
        for file in self._added_data_files:
            entries[file.spec_id, ManifestContent.DATA].append(self._new(file))
        for file in self._delete_files:
            entries[file.spec_id, ManifestContent.DELETES].append(self._new(file))
        return entries

    def _marked_entries(
        self, manifest: ManifestFile, missing: set[str], *, is_merged: bool
    ) -> list[ManifestEntry]:
        """Return the entries of a manifest that has to be opened; none of others."""
        is_searched = missing and (
            manifest.content is ManifestContent.DATA or self._removes_deletes
        )
        if not is_merged and not is_searched:
            return []
        marked = []
        for entry in self.reader.entries(self._io, manifest):
            path = entry.data_file.file_path
            marked.append(self._marked(entry, is_gone=path in missing))
            missing.discard(path)
        return marked

    def _marked(self, entry: ManifestEntry, *, is_gone: bool) -> ManifestEntry:
        return ManifestEntry.from_args(
            status=DELETED if is_gone else EXISTING,
            snapshot_id=self._snapshot_id if is_gone else entry.snapshot_id,
            sequence_number=entry.sequence_number,
            file_sequence_number=entry.file_sequence_number,
            data_file=entry.data_file,
        )

    def _new(self, file: DataFile) -> ManifestEntry:
        return ManifestEntry.from_args(
            status=ADDED,
            snapshot_id=self._snapshot_id,
            sequence_number=None,
            file_sequence_number=None,
            data_file=file,
        )

    def _written(
        self, entries: dict[Place, list[ManifestEntry]]
    ) -> Iterator[ManifestFile]:
        for (spec_id, content), listed in entries.items():
            for start in range(0, len(listed), ENTRIES_PER_MANIFEST):
                writer = self.new_manifest_writer(self.spec(spec_id))
                writer.is_deletes = content is ManifestContent.DELETES
                with writer:
                    for entry in listed[start : start + ENTRIES_PER_MANIFEST]:
                        writer.add_entry(entry)
                yield writer.to_manifest_file()

    def _summary(self, snapshot_properties: t.Any = None) -> Summary:
        data_files = self._added_data_files
        # The summary counts delete files too, if it is told about them; it would take
        # their partitions for ones of the newest spec.
        self._added_data_files = [*data_files, *map(_unplaced, self._delete_files)]
        try:
            return super()._summary(snapshot_properties or {})
        finally:
            self._added_data_files = data_files


def _not_before(update: TableUpdate, latest: int) -> TableUpdate:
    if not isinstance(update, AddSnapshotUpdate):
        return update
    moment = max(update.snapshot.timestamp_ms, latest)
    snapshot = update.snapshot.model_copy(update={"timestamp_ms": moment})
    return update.model_copy(update={"snapshot": snapshot})


def worth_merging(listed: Sequence[ManifestFile]) -> set[str]:
    """Return the manifests that a commit should merge, by path.

    One that outweighs all smaller ones together is left alone, so that an entry is
    written anew a logarithmic number of times.
    """
    by_place: dict[Place, list[ManifestFile]] = defaultdict(list)
    for manifest in listed:
        place = (manifest.partition_spec_id, manifest.content)
        by_place[place].append(manifest)
    found: set[str] = set()
    for members in by_place.values():
        members.sort(key=lambda manifest: manifest.manifest_length)
        total, count = 0, 0
        for number, manifest in enumerate(members, 1):
            if manifest.manifest_length <= total:
                count = number
            total += manifest.manifest_length
        if count >= MERGED_AT_ONCE:
            found |= {manifest.manifest_path for manifest in members[:count]}
    return found


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
        sink: t.Any = stream  # the protocol has no tell(), the streams do
        pq.write_table(rows, sink, compression="zstd")
        size = sink.tell()
    # Not cut short: bounds that are equal say that there is one data file.
    bound = {PATH_ID: file.file_path.encode()}
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=file.partition,
        record_count=rows.num_rows,
        file_size_in_bytes=size,
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
