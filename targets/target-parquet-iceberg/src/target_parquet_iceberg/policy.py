"""When a table needs care, and how much of it one visit may give."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TARGET_BYTES = 128 * 2**20
SMALL_MANIFEST_BYTES = 4 * 2**20
TARGET_PROPERTY = "write.target-file-size-bytes"


@dataclass(frozen=True, slots=True)
class Policy:
    """The thresholds and limits of maintenance.

    Args:
        seconds: Begin nothing more after this time.
        bytes: Rewrite no more data than this.
        keep_snapshots: Keep at least so many snapshots of each branch.
        keep_days: Keep what readers saw within this time.
        max_snapshots: Beyond so many, an hour is enough.
        orphan_hours: Files that nothing refers to are deleted after this time.
        load_days: An unfinished full load is given up after this time.
        small_files: Merge when a partition has as many small files.
        deleted_ratio: Rewrite a file when this part of its rows is deleted.
        delete_files: Rewrite a file when as many delete files cover it.
        manifests: Merge manifests when there are as many small ones.
        expired: Expire when as many snapshots may go, not one at a time.
        target_bytes: How large files should be, where the table does not say.
        is_thorough: Merge all small files, and look for orphans in any case.
    """

    seconds: float = 5.0
    bytes: int = 256 * 2**20
    keep_snapshots: int = 10
    keep_days: float = 1.0
    max_snapshots: int = 100
    orphan_hours: float = 72.0
    load_days: float = 7.0
    small_files: int = 8
    deleted_ratio: float = 0.2
    delete_files: int = 10
    manifests: int = 20
    expired: int = 10
    target_bytes: int = TARGET_BYTES
    is_thorough: bool = False

    def thorough(self, seconds: float) -> Policy:
        """Return the policy of a visit that somebody has asked for."""
        return replace(
            self,
            seconds=seconds,
            bytes=2**63,
            small_files=2,
            manifests=2,
            expired=1,
            is_thorough=True,
        )

    def sized_for(self, properties: Mapping[str, str]) -> Policy:
        """Return the policy with the file size that a table asks for."""
        return replace(
            self, target_bytes=int(properties.get(TARGET_PROPERTY, self.target_bytes))
        )

    @property
    def small_bytes(self) -> int:
        """Files below this size are better merged."""
        return self.target_bytes // 4


class Budget:
    """Time and bytes that are left; one budget for all tables of a run."""

    def __init__(self, policy: Policy, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + policy.seconds
        self.bytes = policy.bytes

    @property
    def is_spent(self) -> bool:
        """Tell whether to begin nothing more."""
        return self._clock() >= self._end
