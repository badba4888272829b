"""Decide which files to write anew, and together with which: pure planning."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from target_parquet_iceberg.policy import SMALL_MANIFEST_BYTES

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask

    from target_parquet_iceberg.policy import Policy


@dataclass(frozen=True, slots=True)
class Group:
    """Data files of one partition that become one file."""

    tasks: tuple[FileScanTask, ...]

    @property
    def bytes(self) -> int:
        """How much has to be read."""
        return sum(task.file.file_size_in_bytes for task in self.tasks)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What the delete files say: rows of a data file, by delete file."""

    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def of(self, path: str) -> int:
        """Return how many rows of a data file are deleted."""
        return sum(by_file.get(path, 0) for by_file in self.rows.values())


def groups(
    tasks: Iterable[FileScanTask], deleted: Deleted, policy: Policy
) -> Iterator[Group]:
    """Yield the groups of files to write anew, the most rewarding first."""
    by_partition: dict[t.Any, list[FileScanTask]] = defaultdict(list)
    for task in tasks:
        by_partition[task.file.spec_id, task.file.partition].append(task)
    found: list[Group] = []
    for members in by_partition.values():
        worn = [task for task in members if _is_worn(task, deleted, policy)]
        paths = {task.file.file_path for task in worn}
        small = [
            task
            for task in members
            if task.file.file_size_in_bytes < policy.small_bytes
            and task.file.file_path not in paths
        ]
        merged = small if policy.is_thorough else _worth_merging(small)
        if len(merged) < policy.small_files:
            merged = []
        found += _packed([*worn, *merged], paths, policy.target_bytes)
    yield from sorted(found, key=lambda group: len(group.tasks), reverse=True)


def _is_worn(task: FileScanTask, deleted: Deleted, policy: Policy) -> bool:
    if not task.delete_files:
        return False
    rows = deleted.of(task.file.file_path)
    if rows >= policy.deleted_ratio * task.file.record_count:
        return True
    covering = [f for f in task.delete_files if _covers(f, task, deleted)]
    return len(covering) >= policy.delete_files


def _covers(file: DataFile, task: FileScanTask, deleted: Deleted) -> bool:
    return task.file.file_path in deleted.rows.get(file.file_path, {})


def _worth_merging(small: Sequence[FileScanTask]) -> list[FileScanTask]:
    """Leave out files that outweigh all smaller ones together.

    Otherwise one growing file would be written anew with every visit; so a row is
    rewritten a logarithmic number of times.
    """
    ordered = sorted(small, key=_bytes)
    total, count = 0, 0
    for number, task in enumerate(ordered, 1):
        if _bytes(task) <= total:
            count = number
        total += _bytes(task)
    return ordered[:count]


def _packed(
    tasks: Iterable[FileScanTask], worn: set[str], limit: int
) -> Iterator[Group]:
    """Fill groups up to a size; a file alone is written anew only for its deletes."""
    bins: list[list[FileScanTask]] = []
    room: list[int] = []
    for task in sorted(tasks, key=_bytes, reverse=True):
        place = next((i for i, left in enumerate(room) if left >= _bytes(task)), None)
        if place is None:
            bins.append([])
            room.append(limit)
            place = len(bins) - 1
        bins[place].append(task)
        room[place] -= _bytes(task)
    for members in bins:
        if len(members) > 1 or members[0].file.file_path in worn:
            yield Group(tuple(members))


def _bytes(task: FileScanTask) -> int:
    return task.file.file_size_in_bytes


def dangling(
    deleted: Deleted,
    delete_sequence: Mapping[str, int],
    data_sequence: Mapping[str, int],
) -> set[str]:
    """Return the delete files that no longer hide a row of a live data file.

    Args:
        deleted: The delete files that have been read; others are never named.
        delete_sequence: Sequence number of each delete file.
        data_sequence: Sequence number of each data file that stays.
    """
    gone = set()
    for name, rows in deleted.rows.items():
        sequence = delete_sequence[name]
        if not any(data_sequence.get(path, sequence + 1) <= sequence for path in rows):
            gone.add(name)
    return gone


def crowded(sizes: Mapping[t.Any, Sequence[int]], policy: Policy) -> bool:
    """Tell whether manifests of one kind, by their sizes, are many and small."""
    return any(
        sum(size < SMALL_MANIFEST_BYTES for size in of_kind) >= policy.manifests
        for of_kind in sizes.values()
    )
