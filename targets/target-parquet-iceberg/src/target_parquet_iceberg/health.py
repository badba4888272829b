"""The figures of a table that tell whether it needs care: pure arithmetic."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone

from target_parquet_iceberg.equality import ADVICE, is_equality
from target_parquet_iceberg.expiry import leaving
from target_parquet_iceberg.policy import SMALL_MANIFEST_BYTES
from target_parquet_iceberg.staging import RUN_ID

if t.TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

    from target_parquet_iceberg.inventory import Content
    from target_parquet_iceberg.policy import Policy


@dataclass(frozen=True, slots=True)
class Health:
    """What a table is made of, as its metadata says.

    Args:
        rows: Live rows; deletes are counted as if each hit one row.
        bytes: Size of data and delete files.
        data_files: Number of data files.
        small_files: How many of them are below a quarter of the wanted size.
        mergeable_files: How many of these have others in their partition.
        delete_files: Number of delete files.
        equality_files: How many of them delete by key.
        deleted_rows: Rows that delete files hide.
        snapshots: Number of snapshots, of all branches.
        expired: How many of them may be forgotten.
        abandoned: Full loads that have not gone on for days.
        manifests: Manifests that a reader has to open.
        small_manifests: How many of them are small.
        metadata_bytes: Size of the metadata file and these manifests.
        committed_at: Time of the last commit that readers see.
        run_id: The run that committed last.
    """

    rows: int
    bytes: int
    data_files: int
    small_files: int
    mergeable_files: int
    delete_files: int
    equality_files: int
    deleted_rows: int
    snapshots: int
    expired: int
    abandoned: int
    manifests: int
    small_manifests: int
    metadata_bytes: int
    committed_at: datetime | None
    run_id: str

    @property
    def small_ratio(self) -> float:
        """The part of the data files that are small."""
        return self.small_files / self.data_files if self.data_files else 0.0

    @property
    def deleted_ratio(self) -> float:
        """The part of the stored rows that are deleted."""
        stored = self.rows + self.deleted_rows
        return self.deleted_rows / stored if stored else 0.0


def measure(
    metadata: TableMetadata,
    content: Content,
    policy: Policy,
    metadata_file_bytes: int,
    now: float,
) -> Health:
    """Put the figures of a table together."""
    data = [entry.data_file for entry in content.data]
    deletes = [entry.data_file for entry in content.deletes]
    stored = sum(file.record_count for file in data)
    hidden = min(stored, sum(file.record_count for file in deletes))
    manifests = [manifest for manifest, _ in content.manifests]
    gone = leaving(metadata, policy, now)
    small = Counter(
        (file.spec_id, file.partition)
        for file in data
        if file.file_size_in_bytes < policy.small_bytes
    )
    return Health(
        rows=stored - hidden,
        bytes=sum(file.file_size_in_bytes for file in (*data, *deletes)),
        data_files=len(data),
        small_files=sum(small.values()),
        mergeable_files=sum(n for n in small.values() if n >= policy.small_files),
        delete_files=len(deletes),
        equality_files=sum(is_equality(file) for file in deletes),
        deleted_rows=hidden,
        snapshots=len(metadata.snapshots),
        expired=len(gone.snapshots),
        abandoned=len(gone.branches),
        manifests=len(manifests),
        small_manifests=sum(
            m.manifest_length < SMALL_MANIFEST_BYTES for m in manifests
        ),
        metadata_bytes=metadata_file_bytes + sum(m.manifest_length for m in manifests),
        committed_at=_time(content),
        run_id=metadata.properties.get(RUN_ID, ""),
    )


def _time(content: Content) -> datetime | None:
    if content.snapshot is None:
        return None
    return datetime.fromtimestamp(content.snapshot.timestamp_ms / 1000, timezone.utc)


def complaints(health: Health, policy: Policy) -> list[str]:
    """Say what is wrong with a table; nothing for a healthy one."""
    found = []
    if health.mergeable_files:
        files = f"{health.mergeable_files} of {health.data_files} files"
        found.append(f"{files} are small and could be merged")
    if health.deleted_ratio >= policy.deleted_ratio:
        found.append(f"{health.deleted_ratio:.0%} of the rows are deleted")
    if health.delete_files >= policy.delete_files:
        found.append(f"{health.delete_files} delete files are read with the data")
    if health.equality_files:
        found.append(f"{health.equality_files} equality deletes: {ADVICE}")
    if health.small_manifests >= policy.manifests:
        found.append(f"{health.small_manifests} small manifests are read first")
    if health.expired >= policy.expired:
        found.append(f"{health.expired} of {health.snapshots} snapshots may expire")
    if health.abandoned:
        found.append(f"{health.abandoned} full loads were begun and abandoned")
    return found
