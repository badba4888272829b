"""Keep a table in shape within a budget: compact, merge manifests, expire, clean up.

Every step is a compare-and-swap: a load that commits meanwhile wins, and the step is
planned again from what the table is then. No step touches a row or the fence.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import typing as t
from collections import defaultdict
from dataclasses import asdict, dataclass

from pyiceberg.exceptions import CommitFailedException, ValidationException

from target_parquet_iceberg.compaction import Deleted, crowded, dangling, groups
from target_parquet_iceberg.expiry import forget, leaving
from target_parquet_iceberg.health import Health, complaints, measure
from target_parquet_iceberg.inventory import (
    content,
    deleted_rows,
    in_parallel,
    sequences,
)
from target_parquet_iceberg.orphans import orphans
from target_parquet_iceberg.policy import SMALL_MANIFEST_BYTES
from target_parquet_iceberg.rewrite import Replacement, discard, replace, rewrite

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyiceberg.io import FileIO
    from pyiceberg.table import Table

    from target_parquet_iceberg.inventory import Content
    from target_parquet_iceberg.policy import Budget, Policy

logger = logging.getLogger(__name__)

ATTEMPTS = 3
FORMAT = 2
BATCH = 256
# https://iceberg.apache.org/docs/latest/configuration/#table-behavior-properties
GC_ENABLED = "gc.enabled"


@dataclass(slots=True)
class Report:
    """What a visit has done to a table, or would do.

    Args:
        table: Its name.
        merged: Data files that were written anew.
        written: Data files that hold their rows now.
        dropped: Delete files that were no longer needed.
        manifests: Manifests that were written anew.
        snapshots: Snapshots that were forgotten.
        branches: Abandoned loads that were given up.
        deleted: Files that were deleted with the snapshots.
        orphans: Files that were deleted because nothing referred to them.
    """

    table: str
    merged: int = 0
    written: int = 0
    dropped: int = 0
    manifests: int = 0
    snapshots: int = 0
    branches: int = 0
    deleted: int = 0
    orphans: int = 0

    def __str__(self) -> str:
        figures = asdict(self)
        name = figures.pop("table")
        told = ", ".join(f"{key} {value}" for key, value in figures.items() if value)
        return f"{name}: {told or 'nothing to do'}"


class Maintenance:
    """Looks after tables with one policy and one budget.

    Args:
        policy: Thresholds and limits.
        budget: What may be spent, on all tables together.
        now: Tells the time of day, in seconds since 1970.
        is_dry: Change nothing.
    """

    def __init__(
        self,
        policy: Policy,
        budget: Budget,
        now: Callable[[], float],
        *,
        is_dry: bool = False,
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._now = now
        self._is_dry = is_dry

    def visit(self, table: Table) -> Report:
        """Do for a table what it needs and the budget allows."""
        report = Report(".".join(table.name()))
        policy = self._policy.sized_for(table.properties)
        steps = (self._compact, self._expire, self._clean)
        for step in steps if _is_ours(table) else steps[:1]:
            if not self._budget.is_spent:
                step(table, policy, report)
        return report

    def _compact(self, table: Table, policy: Policy, report: Report) -> None:
        if table.metadata.format_version != FORMAT:
            return
        for _ in range(ATTEMPTS):
            present = content(table)
            if not present.is_readable or self._budget.is_spent:
                return
            replacement = self._replacement(table, present, policy)
            if replacement.is_empty:
                return
            if self._is_dry or replace(table, replacement):
                report.merged = len(replacement.removed)
                report.written = len(replacement.added)
                report.dropped = len(replacement.dropped)
                report.manifests = len(replacement.merged)
                return

    def _replacement(
        self, table: Table, present: Content, policy: Policy
    ) -> Replacement:
        deleted = Deleted(dict(self._read_deletes(table.io, present)))
        replacement = Replacement(present)
        try:
            self._write(table, deleted, policy, replacement)
        except BaseException:
            discard(table.io, replacement.added)
            raise
        staying = [
            entry
            for entry in present.data
            if entry.data_file.file_path not in replacement.removed
        ]
        gone = dangling(deleted, sequences(present.deletes), sequences(staying))
        for entry in present.deletes:
            if entry.data_file.file_path in gone:
                replacement.dropped[entry.data_file.file_path] = entry.data_file
        replacement.merged |= _small_manifests(present, policy)
        return replacement

    def _write(
        self, table: Table, deleted: Deleted, policy: Policy, replacement: Replacement
    ) -> None:
        tasks = replacement.content.tasks().values()
        for group in groups(tasks, deleted, policy):
            if self._budget.is_spent:
                return
            if group.bytes > self._budget.bytes:
                continue
            self._budget.bytes -= group.bytes
            if not self._is_dry:
                rewrite(table.io, table.metadata, group, replacement.added)
            for task in group.tasks:
                replacement.removed[task.file.file_path] = task.file

    def _read_deletes(
        self, io: FileIO, present: Content
    ) -> Iterator[tuple[str, dict[str, int]]]:
        files = [entry.data_file for entry in present.deletes]
        for batch in _batches(files):
            if self._budget.is_spent:
                return
            counts = in_parallel(lambda file: deleted_rows(io, file), batch)
            for file, rows in zip(batch, counts, strict=True):
                yield file.file_path, rows

    def _expire(self, table: Table, policy: Policy, report: Report) -> None:
        for _ in range(ATTEMPTS):
            chosen = leaving(table.metadata, policy, self._now())
            if not chosen.branches and len(chosen.snapshots) < policy.expired:
                return
            if self._is_dry:
                files: list[str] = []
            else:
                try:
                    files = forget(table, chosen)
                except (CommitFailedException, ValidationException, ValueError):
                    table.refresh()  # a branch has moved, or another visit was faster
                    continue
            report.snapshots = len(chosen.snapshots)
            report.branches = len(chosen.branches)
            report.deleted = self._delete(table.io, files)
            return

    def _clean(self, table: Table, policy: Policy, report: Report) -> None:
        if not (policy.is_thorough or report.snapshots):
            return
        found = orphans(table, policy.orphan_hours, self._now())
        report.orphans = len(found) if self._is_dry else self._delete(table.io, found)

    def _delete(self, io: FileIO, paths: Sequence[str]) -> int:
        """Delete files; what the budget leaves over is an orphan some day."""
        count = 0
        for batch in _batches(paths):
            if self._budget.is_spent:
                break
            count += sum(in_parallel(lambda path: _is_deleted(io, path), batch))
        return count


def _is_deleted(io: FileIO, path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        io.delete(path)
        return True
    return False


def _is_ours(table: Table) -> bool:
    # Nessie sets it to false: its branches and tags may need files that main has not.
    return str(table.properties.get(GC_ENABLED, "true")).lower() != "false"


def _small_manifests(present: Content, policy: Policy) -> set[str]:
    """Return the manifests to merge, if there are many small ones of a kind."""
    sizes: dict[t.Any, list[int]] = defaultdict(list)
    small = set()
    for manifest, _ in present.manifests:
        place = (manifest.partition_spec_id, manifest.content)
        sizes[place].append(manifest.manifest_length)
        if manifest.manifest_length < SMALL_MANIFEST_BYTES:
            small.add(manifest.manifest_path)
    return small if crowded(sizes, policy) else set()


A = t.TypeVar("A")


def _batches(items: Sequence[A]) -> Iterator[Sequence[A]]:
    for start in itertools.count(0, BATCH):
        if start >= len(items):
            return
        yield items[start : start + BATCH]


def health_of(table: Table, policy: Policy, now: float) -> Health:
    """Measure a table."""
    size = len(table.io.new_input(table.metadata_location))
    fitting = policy.sized_for(table.properties)
    return measure(table.metadata, content(table), fitting, size, now)


def needs_care(table: Table, policy: Policy, now: float) -> bool:
    """Tell whether a visit is worth its time; cheap for a table that is fine."""
    return bool(complaints(health_of(table, policy, now), policy))
