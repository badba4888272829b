"""What a run must remember: pure arithmetic on the state of one stream.

MySQL does not tell which transaction wrote a row, and rows become visible in the order
of commits, not of their cursor values. So a run sends everything it sees from its
bookmark on, and moves the bookmark only to a value that no row can lie below which it
has not seen. Rows between the two come again with the next run.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from decimal import Decimal

from tap_mysql.queries import earlier, plain_moment

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_mysql.queries import Key

_CHECKPOINTS = 8
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """At `taken_at` (microseconds) the highest cursor value was `value`.

    Transactions begun later write higher values.
    """

    taken_at: int
    value: t.Any


@dataclass(frozen=True, slots=True)
class Activity:
    """Who else was at work, after a checkpoint was taken and before the snapshot.

    Attributes:
        oldest_open: Start of the oldest open transaction (microseconds).
        is_known: Whether the server shows all transactions to this user.
    """

    oldest_open: int | None
    is_known: bool

    @property
    def is_idle(self) -> bool:
        """Whether no transaction was open."""
        return self.is_known and self.oldest_open is None


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a stream has come."""

    value: t.Any = None
    checkpoints: tuple[Checkpoint, ...] = ()
    is_ours: bool = False

    @classmethod
    def from_state(cls, state: Mapping[str, t.Any], key: str) -> Bookmark:
        """Read a bookmark of this column; of another column it is worth nothing."""
        if state.get("replication_key") != key:
            return cls()
        return cls(
            state.get("replication_key_value"),
            tuple(Checkpoint(*c) for c in state.get("checkpoints", ())),
            "checkpoints" in state,
        )

    def to_state(self, key: str) -> dict[str, t.Any]:
        """Return the state of the stream, in the SDK's shape and ours."""
        return {
            "replication_key": key,
            "replication_key_value": self.value,
            "checkpoints": [[c.taken_at, c.value] for c in self.checkpoints],
        }


def plan(
    key: Key,
    previous: Bookmark,
    checkpoint: Checkpoint,
    activity: Activity,
    look_back_seconds: int,
) -> Bookmark:
    """Return the bookmark that a run will have reached at its end.

    Whatever the run does not see is of a transaction that was open after the
    checkpoint, or began later. If none was open, all values up to the checkpoint's are
    seen. Else the open ones began after some older checkpoint, and write above it. If
    they cannot be seen, none is taken to be older than the look-back.
    """
    kept = (*previous.checkpoints, checkpoint)[-_CHECKPOINTS:]
    since = activity.oldest_open
    if not activity.is_known:
        since = checkpoint.taken_at - look_back_seconds * _MICROS
    value = checkpoint.value
    if since is not None:
        value = _newest_before(previous.checkpoints, since)
        if value is None and key.is_time and checkpoint.value and not activity.is_known:
            value = earlier(checkpoint.value, look_back_seconds)
    return Bookmark(later(key, previous.value, value), kept, is_ours=True)


def _newest_before(checkpoints: Sequence[Checkpoint], moment: int) -> t.Any:
    earlier_ones = [found for found in checkpoints if found.taken_at < moment]
    newest = max(earlier_ones, key=lambda found: found.taken_at, default=None)
    return newest.value if newest else None


def later(key: Key, one: t.Any, other: t.Any) -> t.Any:
    """Return the later of two values; the second if they cannot be compared."""
    if one is None or other is None:
        return one if other is None else other
    if not key.can_compare:
        return other
    return max(one, other, key=lambda value: _rank(key, value))


def reached(key: Key, value: t.Any, goal: t.Any) -> t.Any:
    """Return how far the bookmark may move when all below `value` has been read."""
    if value is None or goal is None:
        return None
    return min(value, goal, key=lambda found: _rank(key, found))


def _rank(key: Key, value: t.Any) -> t.Any:
    if not key.is_time:
        return Decimal(str(value))
    # Whatever digits of a second are spelled out, zeros behind them count for nothing.
    day, _, clock = plain_moment(str(value)).partition(" ")
    return day, clock or "00:00:00"
