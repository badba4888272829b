"""What a run must remember: pure arithmetic on the state of one stream.

Rows are told apart by the transaction that wrote them, never by the cursor column
alone. A run sends the rows of transactions in [horizon of the run before, horizon),
where the horizon is the oldest transaction still in progress: all below it are over,
so each row version is sent exactly once, however late its transaction commits. The
cursor column only bounds the scan, from a floor that no unsent row can lie below.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from tap_postgres.queries import Window

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Beyond half the circle of 32-bit numbers, old and new cannot be told apart.
MAX_AGE = 2**31 - 10_000_000
_CIRCLE = 2**32
_FIRST_NORMAL = 3
_CHECKPOINTS = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one repeatable-read transaction sees.

    Attributes:
        horizon: Oldest transaction in progress: every one below it is over.
        next: Number of the next transaction, from which ages count.
        cluster: Names this server's history; numbers of another mean nothing here.
    """

    horizon: int
    next: int
    cluster: str

    @classmethod
    def from_row(
        cls, xmin: int, xmax: int, age_of_first: int, cluster: str
    ) -> Snapshot:
        """Widen the 32-bit number that ages count from."""
        low = (_FIRST_NORMAL + age_of_first) % _CIRCLE
        return cls(xmin, xmax + (low - xmax) % _CIRCLE, cluster)

    def can_reach(self, horizon: int) -> bool:
        """Tell whether rows since then can be told from older ones."""
        return 0 <= self.next - horizon < MAX_AGE

    def since(self, horizon: int) -> Window:
        """Rows written since then, visible to this snapshot."""
        return Window(0, self.next - horizon)

    def window(self, start: int | None, end: int) -> Window:
        """Rows of transactions from `start` up to, not including, `end`."""
        oldest = None if start is None else self.next - start
        return Window(self.next - end + 1, oldest)


@dataclass(frozen=True, slots=True)
class Activity:
    """Who else was at work, read at `taken_at` (microseconds).

    Attributes:
        oldest_open: Start of the oldest open transaction that shows its start.
        is_complete: Whether all of them show it.
    """

    taken_at: int
    oldest_open: int | None
    is_complete: bool

    @property
    def is_idle(self) -> bool:
        """Whether no transaction was open."""
        return self.is_complete and self.oldest_open is None

    @property
    def since(self) -> int:
        """A moment before which no transaction began that is open, or will be."""
        opened = self.taken_at if self.oldest_open is None else self.oldest_open
        return min(opened, self.taken_at)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """At `taken_at` the highest cursor value was `value`.

    Transactions begun later write higher values. Those open at that time began at
    `open_since` or later; unknown if None.
    """

    taken_at: int
    value: t.Any
    open_since: int | None


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a stream has come."""

    value: t.Any = None
    horizon: int | None = None
    cluster: str = ""
    scan_from: t.Any = None
    checkpoints: tuple[Checkpoint, ...] = ()
    after: t.Any = None
    planned: Bookmark | None = None

    @classmethod
    def from_state(cls, state: Mapping[str, t.Any], key: str) -> Bookmark:
        """Read a bookmark of this column; of another column it is worth nothing."""
        partial = state.get("partial") or {}
        if partial.get("replication_key", key) != key:
            partial = {}
        planned = cls._flat(partial["planned"]) if partial.get("planned") else None
        known = state if state.get("replication_key") == key else {}
        return replace(cls._flat(known), after=partial.get("after"), planned=planned)

    @classmethod
    def _flat(cls, state: Mapping[str, t.Any]) -> Bookmark:
        return cls(
            value=state.get("replication_key_value"),
            horizon=state.get("horizon"),
            cluster=state.get("cluster", ""),
            scan_from=state.get("scan_from"),
            checkpoints=tuple(Checkpoint(*c) for c in state.get("checkpoints", ())),
        )

    def to_state(self, key: str) -> dict[str, t.Any]:
        """Return the state of the stream, in the SDK's shape and ours."""
        state = self.to_flat(key) if self.is_started else {}
        if self.planned:
            state["partial"] = {
                "replication_key": key,
                "after": self.after,
                "planned": self.planned.to_flat(key),
            }
        return state

    @property
    def is_started(self) -> bool:
        """Whether a run has completed."""
        return self.horizon is not None or self.value is not None

    @property
    def start(self) -> t.Any:
        """The value to scan from; another tap leaves only its last value."""
        is_ours = self.horizon is not None or self.scan_from is not None
        return self.scan_from if is_ours else self.value

    def to_flat(self, key: str) -> dict[str, t.Any]:
        """Return the state without what an interrupted run left."""
        state: dict[str, t.Any] = {
            "replication_key": key,
            "replication_key_value": self.value,
        }
        if self.horizon is not None:
            state |= {
                "horizon": self.horizon,
                "cluster": self.cluster,
                "scan_from": self.scan_from,
                "checkpoints": [
                    [c.taken_at, c.value, c.open_since] for c in self.checkpoints
                ],
            }
        return state

    def interrupted(self, after: t.Any, planned: Bookmark) -> Bookmark:
        """Remember that the plan is done up to a cursor value."""
        return replace(self, after=after, planned=planned)


def usable(bookmark: Bookmark, snapshot: Snapshot) -> Bookmark:
    """Drop what this server's present numbers can no longer speak about."""
    if bookmark.planned and not _is_valid(bookmark.planned, snapshot):
        bookmark = replace(bookmark, after=None, planned=None)
    if bookmark.horizon is None or _is_valid(bookmark, snapshot):
        return bookmark
    is_bounded = bookmark.scan_from is not None
    return Bookmark(
        value=bookmark.value if is_bounded else None,
        scan_from=bookmark.scan_from,
        after=bookmark.after,
        planned=bookmark.planned,
    )


def _is_valid(bookmark: Bookmark, snapshot: Snapshot) -> bool:
    return (
        bookmark.horizon is not None
        and bookmark.cluster == snapshot.cluster
        and snapshot.can_reach(bookmark.horizon)
    )


def plan(
    previous: Bookmark,
    snapshot: Snapshot,
    checkpoint: Checkpoint,
    before: Activity,
    after: Activity,
) -> Bookmark:
    """Return the bookmark that a run will have reached at its end.

    Args:
        previous: The bookmark of the run before.
        snapshot: What this run reads; taken last.
        checkpoint: The highest value, seen between `before` and `after`.
        before: Open transactions, read first.
        after: Open transactions, read just before the snapshot.
    """
    kept = [*previous.checkpoints, checkpoint]
    return Bookmark(
        value=previous.value,
        horizon=snapshot.horizon,
        cluster=snapshot.cluster,
        scan_from=floor(previous, checkpoint, before, after),
        checkpoints=tuple(kept[-_CHECKPOINTS:]),
    )


def floor(
    previous: Bookmark, checkpoint: Checkpoint, before: Activity, after: Activity
) -> t.Any:
    """Return a value that no row unsent by this run lies below; None if unknown.

    Unsent are rows of transactions that are open, and of committed ones that have a
    higher number than an open one. If nothing was open after the checkpoint, whoever
    is unsent began later. Else the open ones began later than some checkpoint J, and
    the committed ones were either begun after J too, or open at J: those began
    after the checkpoint before the oldest transaction that was open at J. The floor
    of the run before stays valid in any case, since it held for what was unsent then.
    """
    if after.is_idle and checkpoint.value is not None:
        return checkpoint.value
    if before.is_complete and after.is_complete:
        since = min(before.since, after.since)
        first = _newest_before(previous.checkpoints, since)
        if first and first.open_since is not None:
            second = _newest_before(previous.checkpoints, first.open_since)
            if second and second.value is not None:
                return second.value
    return previous.scan_from


def _newest_before(checkpoints: Sequence[Checkpoint], moment: int) -> Checkpoint | None:
    earlier = [found for found in checkpoints if found.taken_at < moment]
    return max(earlier, key=lambda found: found.taken_at, default=None)


@dataclass(frozen=True, slots=True)
class Load:
    """An unfinished full load, page by page.

    Attributes:
        layout: Fingerprint of the files behind the table: rewriting them moves rows.
        horizon: That of the first run: rows on pages done before may be newer.
    """

    version: int
    next_page: int
    horizon: int
    cluster: str
    layout: str

    @classmethod
    def from_state(cls, state: Mapping[str, t.Any]) -> Load | None:
        """Read the marker, if the stream has one."""
        marker = state.get("full_table")
        return cls(**marker) if marker else None

    def to_state(self) -> dict[str, t.Any]:
        """Return the marker."""
        return {
            "version": self.version,
            "next_page": self.next_page,
            "horizon": self.horizon,
            "cluster": self.cluster,
            "layout": self.layout,
        }

    def can_resume(self, snapshot: Snapshot, layout: str) -> bool:
        """Tell whether pages and transactions still mean what they meant."""
        return (
            self.cluster == snapshot.cluster
            and self.layout == layout
            and snapshot.can_reach(self.horizon)
        )
