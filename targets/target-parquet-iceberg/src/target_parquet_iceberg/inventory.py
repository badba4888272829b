"""What a table consists of right now; knows PyIceberg's manifests from inside."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pyiceberg.io.pyarrow import _read_deletes
from pyiceberg.manifest import (
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntryStatus,
)
from pyiceberg.table import FileScanTask, ManifestGroupPlanner
from pyiceberg.table.delete_file_index import DeleteFileIndex

from target_parquet_iceberg.equality import check_absent

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

READERS = 8
A = t.TypeVar("A")
B = t.TypeVar("B")


@dataclass(frozen=True, slots=True)
class Content:
    """The live entries of one snapshot, by the manifest that lists them."""

    snapshot: Snapshot | None
    manifests: tuple[tuple[ManifestFile, tuple[ManifestEntry, ...]], ...]

    @property
    def data(self) -> list[ManifestEntry]:
        """The data files."""
        return [entry for entry in self._entries() if not _deletes(entry)]

    @property
    def deletes(self) -> list[ManifestEntry]:
        """The delete files."""
        return [entry for entry in self._entries() if _deletes(entry)]

    @property
    def is_readable(self) -> bool:
        """Tell whether all deletes are of the kind that PyIceberg can apply."""
        return all(
            entry.data_file.content is DataFileContent.POSITION_DELETES
            and entry.data_file.file_format is FileFormat.PARQUET
            for entry in self.deletes
        )

    def tasks(self) -> dict[str, FileScanTask]:
        """Return, for every data file, how to read its live rows."""
        index = DeleteFileIndex()
        for entry in self.deletes:
            index.add_delete_file(entry, partition_key=entry.data_file.partition)
        return {
            entry.data_file.file_path: FileScanTask(
                entry.data_file,
                index.for_data_file(
                    _sequence(entry), entry.data_file, entry.data_file.partition
                ),
            )
            for entry in self.data
        }

    def _entries(self) -> Iterator[ManifestEntry]:
        for _, entries in self.manifests:
            yield from entries


class ManifestReader:
    """Reads manifests, which never change, once; the entries of huge ones every time.

    Args:
        most: How many entries to remember: one takes some kilobytes.
    """

    def __init__(self, most: int = 2_000) -> None:
        self._most = most
        self._known: dict[str, tuple[ManifestEntry, ...]] = {}

    def entries(self, io: FileIO, manifest: ManifestFile) -> tuple[ManifestEntry, ...]:
        """Return the entries that are not marked as deleted."""
        path = manifest.manifest_path
        found = self._known.get(path)
        if found is None:
            found = live_entries(io, manifest)
            if sum(map(len, self._known.values())) + len(found) <= self._most:
                self._known[path] = found
        return found

    def listed(self, io: FileIO, snapshot: Snapshot | None) -> list[ManifestFile]:
        """Return the manifests of a snapshot; forget all others."""
        listed = snapshot.manifests(io) if snapshot else []
        paths = {manifest.manifest_path for manifest in listed}
        self._known = {p: found for p, found in self._known.items() if p in paths}
        return listed

    def plan(
        self,
        metadata: TableMetadata,
        io: FileIO,
        snapshot: Snapshot | None,
        row_filter: BooleanExpression,
    ) -> Iterable[FileScanTask]:
        """Return the data files of a snapshot that may hold rows of interest.

        Raises:
            ConfigurationError: if its deletes cannot be applied.
        """
        manifests = self.listed(io, snapshot)
        for manifest in manifests:
            if manifest.content is ManifestContent.DELETES:
                check_absent(self.entries(io, manifest), metadata.location)
        listed: t.Any = [_Known(manifest, self) for manifest in manifests]
        return ManifestGroupPlanner(metadata, io, row_filter).plan_files(listed)

    def files(self, io: FileIO, snapshot: Snapshot | None) -> Iterator[DataFile]:
        """Yield all files of a snapshot, those that delete rows too."""
        for manifest in self.listed(io, snapshot):
            for entry in self.entries(io, manifest):
                yield entry.data_file


class _Known:
    """A manifest that PyIceberg's planner reads by way of a reader."""

    def __init__(self, manifest: ManifestFile, reader: ManifestReader) -> None:
        self._manifest = manifest
        self._reader = reader

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._manifest, name)

    def fetch_manifest_entry(
        self,
        io: FileIO,
        discard_deleted: bool,  # noqa: ARG002 the planner always wants that
    ) -> tuple[ManifestEntry, ...]:
        return self._reader.entries(io, self._manifest)


def content(table: Table) -> Content:
    """Read the manifests of what readers see now."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return Content(None, ())
    listed = snapshot.manifests(table.io)
    entries = in_parallel(lambda m: live_entries(table.io, m), listed)
    return Content(snapshot, tuple(zip(listed, entries, strict=True)))


def live_entries(io: FileIO, manifest: ManifestFile) -> tuple[ManifestEntry, ...]:
    """Read the entries of a manifest that are not marked as deleted."""
    return tuple(manifest.fetch_manifest_entry(io, discard_deleted=True))


def all_paths(io: FileIO, manifest: ManifestFile) -> set[str]:
    """Read the files that a manifest names, deleted ones too."""
    entries = manifest.fetch_manifest_entry(io, discard_deleted=False)
    return {entry.data_file.file_path for entry in entries}


def live_paths(io: FileIO, manifest: ManifestFile) -> set[str]:
    """Read the files that a snapshot with this manifest needs."""
    return {entry.data_file.file_path for entry in live_entries(io, manifest)}


def deleted_rows(io: FileIO, file: DataFile) -> dict[str, int]:
    """Count the rows that a delete file takes from each data file."""
    return {path: len(rows) for path, rows in _read_deletes(io, file).items()}


def sequences(entries: Iterable[ManifestEntry]) -> dict[str, int]:
    """Return the sequence number of every file."""
    return {entry.data_file.file_path: _sequence(entry) for entry in entries}


def in_parallel(function: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """Apply a function that waits for storage most of its time."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(function, items))


def _deletes(entry: ManifestEntry) -> bool:
    return entry.data_file.content is not DataFileContent.DATA


def _sequence(entry: ManifestEntry) -> int:
    return entry.sequence_number or 0


EXISTING, ADDED, DELETED = (
    ManifestEntryStatus.EXISTING,
    ManifestEntryStatus.ADDED,
    ManifestEntryStatus.DELETED,
)
