"""Forget old snapshots and abandoned loads, and delete the files only they needed."""

from __future__ import annotations

import logging
import typing as t
from dataclasses import dataclass
from itertools import pairwise

from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
)

from target_parquet_iceberg.inventory import all_paths, in_parallel, live_paths
from target_parquet_iceberg.rewrite import commit
from target_parquet_iceberg.snapshots import FENCE
from target_parquet_iceberg.staging import BRANCH_PREFIX

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

    from target_parquet_iceberg.policy import Policy

logger = logging.getLogger(__name__)

HOUR = 3_600
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a table no longer needs to remember."""

    snapshots: frozenset[int] = frozenset()
    branches: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


def leaving(metadata: TableMetadata, policy: Policy, now: float) -> Leaving:
    """Choose the snapshots and branches to forget; `now` in seconds since 1970.

    A snapshot's age counts from the moment that it ceased to be what readers see: a
    reader or a load may have begun with it until then. The fence keeps none: it goes
    with its snapshot, and a run that slept sees that.
    """
    branches = _abandoned(metadata, now - policy.load_days * DAY)
    keeps_nothing = branches | {FENCE}
    kept = {n: ref for n, ref in metadata.refs.items() if n not in keeps_nothing}
    by_id = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    chains = {name: _chain(by_id, ref.snapshot_id) for name, ref in kept.items()}
    replaced = _replaced(metadata, chains.values())
    cutoff = now - policy.keep_days * DAY
    stay: set[int] = set()
    for name, chain in chains.items():
        is_tag = kept[name].snapshot_ref_type is SnapshotRefType.TAG
        count = 1 if is_tag else max(1, policy.keep_snapshots)
        stay |= {s.snapshot_id for s in chain[:count]}
    crowded = len(by_id) > policy.max_snapshots
    limit = max(cutoff, now - HOUR) if crowded else cutoff
    oldest = sorted(by_id.values(), key=lambda s: s.timestamp_ms)
    spare = max(0, len(by_id) - policy.max_snapshots)
    surplus = {s.snapshot_id for s in oldest[:spare]}
    gone = {
        number
        for number, ended in replaced.items()
        if number not in stay
        and ended < 1000 * (limit if number in surplus else cutoff)
    }
    fence = metadata.refs.get(FENCE)
    tags = {FENCE} if fence is not None and fence.snapshot_id in gone else set()
    return Leaving(frozenset(gone), frozenset(branches), frozenset(tags))


def _abandoned(metadata: TableMetadata, before: float) -> set[str]:
    found = set()
    for name, ref in metadata.refs.items():
        head = metadata.snapshot_by_id(ref.snapshot_id)
        if not name.startswith(BRANCH_PREFIX) or head is None:
            continue
        if head.timestamp_ms < 1000 * before:
            found.add(name)
    return found


def _chain(by_id: dict[int, Snapshot], head: int) -> list[Snapshot]:
    """Return a snapshot and its ancestors, newest first."""
    chain: list[Snapshot] = []
    snapshot = by_id.get(head)
    while snapshot is not None:
        chain.append(snapshot)
        snapshot = by_id.get(snapshot.parent_snapshot_id or 0)
    return chain


def _replaced(
    metadata: TableMetadata, chains: Iterable[list[Snapshot]]
) -> dict[int, int]:
    """Return when each snapshot ceased to be the newest of anything."""
    ended = {s.snapshot_id: s.timestamp_ms for s in metadata.snapshots}
    log = metadata.snapshot_log
    pairs = [(entry.snapshot_id, later.timestamp_ms) for entry, later in pairwise(log)]
    for chain in chains:
        pairs += [
            (parent.snapshot_id, child.timestamp_ms)
            for child, parent in pairwise(chain)
        ]
    for number, moment in pairs:
        if number in ended:
            ended[number] = max(ended[number], moment)
    return ended


def forget(table: Table, chosen: Leaving) -> list[str]:
    """Commit the expiry, and return the files that nothing needs any more.

    The commit holds only if no branch or tag has moved since the choice was made.
    """
    before = table.metadata
    refs = [
        AssertRefSnapshotId(ref=name, **_id(ref.snapshot_id))
        for name, ref in before.refs.items()
    ]
    removals = [
        RemoveSnapshotRefUpdate(**_ref(name))
        for name in sorted(chosen.branches | chosen.tags)
    ]
    expiry = RemoveSnapshotsUpdate(**_ids(chosen.snapshots))
    commit(table, (*removals, expiry), tuple(refs))
    return unneeded(table.io, before, table.refresh().metadata)


def unneeded(io: FileIO, before: TableMetadata, after: TableMetadata) -> list[str]:
    """Return the files that only snapshots of `before` need, not those of `after`."""
    stay = {snapshot.snapshot_id for snapshot in after.snapshots}
    gone = [s for s in before.snapshots if s.snapshot_id not in stay]
    kept = _manifests(io, after.snapshots)
    lost = {p: m for p, m in _manifests(io, gone).items() if p not in kept}
    files = _union(in_parallel(lambda m: all_paths(io, m), lost.values()))
    if files:
        files -= _union(in_parallel(lambda m: live_paths(io, m), kept.values()))
    lists = {s.manifest_list for s in gone} - {s.manifest_list for s in after.snapshots}
    return [*sorted(files), *sorted(lost), *sorted(lists)]


def needed(io: FileIO, metadata: TableMetadata) -> set[str]:
    """Return every file that a snapshot of the table needs."""
    manifests = _manifests(io, metadata.snapshots)
    files = _union(in_parallel(lambda m: live_paths(io, m), manifests.values()))
    return files | manifests.keys() | {s.manifest_list for s in metadata.snapshots}


def _manifests(io: FileIO, snapshots: Iterable[Snapshot]) -> dict[str, ManifestFile]:
    listed = in_parallel(lambda snapshot: snapshot.manifests(io), snapshots)
    return {m.manifest_path: m for manifests in listed for m in manifests}


def _union(parts: Iterable[set[str]]) -> set[str]:
    return set().union(*parts)


# Pydantic fills these by alias, which type checkers do not see.
def _id(snapshot_id: int) -> dict[str, t.Any]:
    return {"snapshot-id": snapshot_id}


def _ids(snapshot_ids: Iterable[int]) -> dict[str, t.Any]:
    return {"snapshot-ids": sorted(snapshot_ids)}


def _ref(name: str) -> dict[str, t.Any]:
    return {"ref-name": name}
