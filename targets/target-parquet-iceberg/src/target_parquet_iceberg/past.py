"""The rows of an Iceberg table that a tap may send again."""

from __future__ import annotations

import json
import logging
import typing as t

from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    GreaterThanOrEqual,
    LessThanOrEqual,
)
from pyiceberg.table import FileScanTask, IncrementalAppendScan
from pyiceberg.table.snapshots import ancestors_between_ids

from target_parquet_iceberg.evolution import conform
from target_parquet_iceberg.replay import Seen, all_new, comparable, fingerprints
from target_parquet_iceberg.resent import UNKNOWN_START

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from pyiceberg.table.snapshots import Snapshot

    from target_parquet_iceberg.ledger import Ledger
    from target_parquet_iceberg.snapshots import SnapshotWriter

logger = logging.getLogger(__name__)


class Past:
    """The rows of a table, as a transaction sees them.

    Args:
        stream: Whose rows these are.
        writer: The transaction.
        opened_at: The snapshot that the run began with.
        opened_with: The ledger that the run began with.
        marks: Names of the properties that tell a commit of ours, and its bookmark.
    """

    def __init__(
        self,
        stream: str,
        writer: SnapshotWriter,
        opened_at: int | None,
        opened_with: Ledger,
        marks: tuple[str, str],
    ) -> None:
        self._stream = stream
        self._writer = writer
        self._opened_at = opened_at
        self._ledger = opened_with
        self._ours, self._state = marks

    def since(self, bookmark: dict[str, t.Any]) -> Seen:
        """Collect the rows that came between a bookmark and the beginning of this run.

        Other engines write without our mark, and an overwrite of theirs would bring
        every row once more. Where snapshots have expired it is all rows, of which as
        many may come again as the ledger counts.
        """
        since = self._snapshot_with(bookmark)
        if self._opened_at is None or since == self._opened_at:
            return Seen(once=False)
        history = self._history(since, self._opened_at)
        if not history:
            return self._all(bookmark)
        seen = Seen(once=False)
        for snapshot in history:
            if (
                snapshot.summary
                and self._ours in snapshot.summary.additional_properties
            ):
                self._seen(seen, self._appended(snapshot))
        return seen

    def is_new(self, rows: pa.Table, seen: Seen, keys: Sequence[str] = ()) -> pa.Array:
        """Tell for each row whether it has not been seen; use up what has."""
        if seen.lacks(rows, keys):
            return all_new(rows.num_rows)
        whole = conform(rows, self._writer.arrow_schema())
        return seen.is_new(fingerprints(whole, comparable(whole.column_names)))

    def _all(self, bookmark: dict[str, t.Any]) -> Seen:
        most = self._ledger.since(bookmark) if bookmark else None
        if bookmark and most is None:
            logger.warning(UNKNOWN_START, self._stream)
        tasks = self._writer.tasks(AlwaysTrue())
        return self._seen(Seen(once=False, most=most), tasks)

    def _snapshot_with(self, bookmark: dict[str, t.Any]) -> int | None:
        wanted = json.dumps(bookmark, sort_keys=True)
        found: int | None = None
        for snapshot in self._writer.metadata.snapshots:
            summary = snapshot.summary
            if summary and summary.additional_properties.get(self._state) == wanted:
                found = snapshot.snapshot_id
        return found

    def _history(self, since: int | None, until: int) -> list[Snapshot]:
        """Return the snapshots after one up to another; none if some are forgotten."""
        metadata = self._writer.metadata
        if since is None or metadata.snapshot_by_id(until) is None:
            return []
        found = list(ancestors_between_ids(since, until, metadata))
        is_whole = bool(found) and found[-1].parent_snapshot_id == since
        return found if is_whole else []

    def _appended(self, snapshot: Snapshot) -> Iterable[FileScanTask]:
        return IncrementalAppendScan(
            self._writer.metadata,
            self._writer.io,
            from_snapshot_id=snapshot.snapshot_id,
            from_snapshot_inclusive=True,
            to_snapshot_id=snapshot.snapshot_id,
        ).plan_files()

    def _seen(self, seen: Seen, tasks: Iterable[FileScanTask]) -> Seen:
        schema = self._writer.arrow_schema()
        columns = comparable(schema.names)
        for task in tasks:
            for rows in self._writer.live(task):
                seen.add(fingerprints(conform(rows, schema), columns))
        return seen


def within(limits: Mapping[str, tuple[t.Any, t.Any]]) -> BooleanExpression:
    """Return the filter of rows whose columns lie between these limits."""
    expression: BooleanExpression = AlwaysTrue()
    for name, (low, high) in limits.items():
        try:
            part = And(_at_least(name, low), _at_most(name, high))
        except (TypeError, ValueError):  # a kind of value without literals
            continue
        expression = And(expression, part)
    return expression


# Their constructors are typed for keyword arguments only, and take none.
_at_least: t.Any = GreaterThanOrEqual
_at_most: t.Any = LessThanOrEqual
