"""Decide which rows of an append may have come before, in a table of any format."""

from __future__ import annotations

import typing as t

from target_parquet_iceberg.plan import Method

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from target_parquet_iceberg.replay import Seen
    from target_parquet_iceberg.table import Commit

Json: t.TypeAlias = dict[str, t.Any]
UNKNOWN_START = (
    "Stream '%s': the table does not know the bookmark that the tap began with. Rows "
    "without a key that look like stored ones are taken for those."
)


class Past(t.Protocol):
    """The rows of a table, as its format finds them."""

    def since(self, bookmark: Json) -> Seen:
        """Collect the rows that were there when the run began, but not at a bookmark.

        All that were there, where it is not known when the table had the bookmark.
        """

    def is_new(self, rows: pa.Table, seen: Seen, keys: Sequence[str] = ()) -> pa.Array:
        """Tell for each row whether it has not been seen; use up what has.

        Args:
            rows: The rows, in the order in which they came.
            seen: What may come again.
            keys: The columns that identify a row, if there are any.
        """


class Resent:
    """Follows one run, which may send again what the table has.

    Args:
        opened_with: The table's bookmark when the run began; empty if it had none.
    """

    def __init__(self, opened_with: Json) -> None:
        self._opened_with = opened_with
        self._replayed: Seen | None = None
        self._replaying: Seen | None = None
        self._next_look = 0

    def is_possible(self, commit: Commit) -> bool:
        """Tell whether the bookmark may have to wait for rows that come again."""
        if commit.keys or commit.started_from is None:
            return False
        return commit.bookmark != self._opened_with

    def may_replay(self, commit: Commit) -> bool:
        """Tell whether rows without a key may come that the table has."""
        is_open = commit.method is Method.APPEND and not commit.keys
        return is_open and self._opened_with != (commit.started_from or {})

    def goes_on(self, past: Past, commit: Commit, *, is_end: bool) -> bool:
        """Tell whether the tap is still sending rows again that the table has.

        Its bookmark must not become the table's before that is over: the next run
        would start from it and take the rest for new rows. Rows that left the source
        never come again, so the table's own bookmark is an end too, and so is a new
        row at the end of the input.
        """
        seen = self.rows(past, commit)
        if seen is None or not seen.left:
            return False
        if commit.rows is None:
            return True
        count = commit.rows.num_rows
        if not is_end and count < max(seen.left, self._next_look):
            return True  # too few to be all; each look costs as much as a commit
        self._next_look = 2 * count
        is_new = past.is_new(commit.rows, seen)
        return bool(seen.left) and not (is_end and is_new[-1].as_py())

    def rows(self, past: Past, commit: Commit) -> Seen | None:
        """Return the rows without keys that may come although the table has them.

        They are those that a run sends again which starts behind the table. None where
        nothing can come twice.
        """
        if commit.method is Method.OVERWRITE or commit.keys:
            return None
        started_from = commit.started_from or {}
        if self._opened_with == started_from:
            return None
        if self._replayed is None:
            self._replayed = past.since(started_from)
        self._replaying = self._replayed.copy()
        return self._replaying

    def landed(self) -> None:
        """Take note that the last commit is in the table."""
        self._replayed = self._replaying
