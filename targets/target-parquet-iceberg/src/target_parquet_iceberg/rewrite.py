"""Replace files, not rows, in one REPLACE snapshot; knows PyIceberg from inside.

PyIceberg 0.12 refuses the operation `replace` in `update_snapshot_summaries`, although
it reads it; the totals are computed under another name and the name is set afterwards.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import typing as t
from dataclasses import dataclass, field

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table.snapshots import (
    Operation,
    Summary,
    UpdateMetrics,
    update_snapshot_summaries,
)
from pyiceberg.table.update import AssertTableUUID

from target_parquet_iceberg.data_files import DataFileWriter
from target_parquet_iceberg.inventory import DELETED
from target_parquet_iceberg.reading import gathered, live
from target_parquet_iceberg.row_delta import RowDelta

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.io import FileIO
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableRequirement, TableUpdate

    from target_parquet_iceberg.compaction import Group
    from target_parquet_iceberg.inventory import Content

logger = logging.getLogger(__name__)

MAINTENANCE = "dativo.maintenance"
CHUNK_BYTES = 32 * 2**20
CHUNK_ROWS = 2**20


@dataclass(slots=True)
class Replacement:
    """What one snapshot replaces: never a row, only the files that hold the rows.

    Args:
        content: The snapshot that it was planned for.
        added: Files written anew.
        removed: Data files that these replace.
        dropped: Delete files that hide nothing any more.
        merged: Manifests to write anew together with others, by path.
    """

    content: Content
    added: list[DataFile] = field(default_factory=list)
    removed: dict[str, DataFile] = field(default_factory=dict)
    dropped: dict[str, DataFile] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to replace."""
        return not (self.added or self.removed or self.dropped or self.merged)

    def touches(self, path: str) -> bool:
        """Tell whether a file goes."""
        return path in self.removed or path in self.dropped


class ReplaceFiles(RowDelta):
    """The snapshot of a replacement."""

    replacement: Replacement

    def _manifests(self) -> list[ManifestFile]:
        kept: list[ManifestFile] = []
        entries = self._new_entries()
        for file in self.replacement.added:
            entries[file.spec_id, ManifestContent.DATA].append(self._new(file))
        for manifest, listed in self.replacement.content.manifests:
            place = (manifest.partition_spec_id, manifest.content)
            marked = [
                self._marked(
                    entry, is_gone=self.replacement.touches(entry.data_file.file_path)
                )
                for entry in listed
            ]
            is_merged = manifest.manifest_path in self.replacement.merged
            if is_merged or any(entry.status is DELETED for entry in marked):
                entries[place] += marked
            elif listed:
                kept.append(manifest)
        return [*self._written(entries), *kept]

    def _summary(self, snapshot_properties: t.Any = None) -> Summary:
        metrics = UpdateMetrics()
        for file in self.replacement.added:
            metrics.add_file(file)
        for files in (self.replacement.removed, self.replacement.dropped):
            for file in files.values():
                metrics.remove_file(file)
        before = self.replacement.content.snapshot
        summary = update_snapshot_summaries(
            Summary(
                Operation.OVERWRITE, **metrics.to_dict(), **(snapshot_properties or {})
            ),
            before.summary if before else None,
        )
        return Summary(Operation.REPLACE, **summary.additional_properties)


def replace(table: Table, replacement: Replacement) -> bool:
    """Commit a replacement, if the table is still what it was planned for.

    The snapshot tells the same run, sequence and bookmark as the one that it replaces:
    the rows are theirs, and a rollback or a resumed load may look for them.

    Returns:
        Whether it has been committed. If not, the files written are deleted, unless the
        catalog left it open whether they are part of the table.
    """
    head = replacement.content.snapshot
    told = head.summary.additional_properties if head and head.summary else {}
    carried = {name: value for name, value in told.items() if _is_ours(name)}
    transaction = table.transaction()
    producer = ReplaceFiles(
        operation=Operation.OVERWRITE,
        transaction=transaction,
        io=table.io,
        snapshot_properties={**carried, MAINTENANCE: "rewrite"},
    )
    producer.replacement = replacement
    try:
        with producer:
            pass  # writes the manifests
    except BaseException:
        producer._clean_all_uncommitted()  # noqa: SLF001
        discard(table.io, replacement.added)
        raise
    try:
        commit(table, transaction._updates, transaction._requirements)  # noqa: SLF001
    except (CommitFailedException, ValidationException) as error:
        # A proxy that repeats a request gets a refusal for what it has committed.
        table.refresh()
        if table.snapshot_by_id(producer.snapshot_id) is not None:
            return True
        logger.info("Table %s: rewrite refused (%s)", ".".join(table.name()), error)
        producer._clean_all_uncommitted()  # noqa: SLF001
        discard(table.io, replacement.added)
        return False
    return True


def _is_ours(name: str) -> bool:
    return name.startswith("dativo.") and name != MAINTENANCE


def commit(
    table: Table,
    updates: tuple[TableUpdate, ...],
    requirements: tuple[TableRequirement, ...],
) -> None:
    """Ask the catalog once: PyIceberg's own retry would go on from another state."""
    same_table = AssertTableUUID(uuid=table.metadata.table_uuid)
    table._do_commit(  # noqa: SLF001
        updates=updates, requirements=(*requirements, same_table)
    )


def discard(io: FileIO, files: Sequence[DataFile]) -> None:
    """Delete files that no table can refer to."""
    for file in files:
        with contextlib.suppress(OSError):
            io.delete(file.file_path)


def rewrite(
    io: FileIO, metadata: TableMetadata, group: Group, written: list[DataFile]
) -> None:
    """Write the live rows of a group beside its first file, laid out as new ones are.

    One piece is held in memory at a time. `written` grows with each file; there is none
    if all rows are deleted.
    """
    writer = DataFileWriter(metadata, io, written=written)
    rows = sum(task.file.record_count for task in group.tasks)
    tables = itertools.chain.from_iterable(live(io, metadata, t) for t in group.tasks)
    pieces = gathered(tables, CHUNK_BYTES, CHUNK_ROWS)
    for _ in writer.rewrite(pieces, group.tasks[0].file, min(rows, CHUNK_ROWS)):
        pass
