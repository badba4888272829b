"""Make an earlier snapshot the table again, and its bookmark the bookmark.

So are the replays that it had taken and the full load that it was: of what the table
takes for its own, nothing may be gone with the rows.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from dativo_core.errors import ConfigurationError
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table.snapshots import ancestors_of
from pyiceberg.table.update.snapshot import ManageSnapshots

from target_parquet_iceberg.bookmarks import MANUAL_RUN
from target_parquet_iceberg.catalogs import check_there, open_catalog
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.staging import (
    APPENDED,
    REPLAYS,
    RUN_ID,
    STATE,
    VERSION,
    mark,
    replays_of,
)
from target_parquet_iceberg.transactions import LightTransaction

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

ROLLBACK_RUN = "rollback"


@dataclass(frozen=True, slots=True)
class Point:
    """A snapshot that the table can go back to."""

    snapshot_id: int
    number: int
    run_id: str
    committed_at: datetime
    rows: str
    is_current: bool


def points(table: Table) -> list[Point]:
    """List the snapshots that readers have seen, newest first."""
    seen: dict[int, Point] = {}
    for entry in table.metadata.snapshot_log:
        snapshot = table.snapshot_by_id(entry.snapshot_id)
        if snapshot is not None:
            seen[snapshot.snapshot_id] = _point(table, snapshot)
    # Not by time: a clock may have gone back.
    return sorted(seen.values(), key=lambda point: point.number, reverse=True)


def _point(table: Table, snapshot: Snapshot) -> Point:
    current = table.current_snapshot()
    return Point(
        snapshot_id=snapshot.snapshot_id,
        number=snapshot.sequence_number or 0,
        run_id=_summary(snapshot, RUN_ID),
        committed_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, timezone.utc),
        rows=_summary(snapshot, "total-records"),
        is_current=current is not None and current.snapshot_id == snapshot.snapshot_id,
    )


def _summary(snapshot: Snapshot, name: str) -> str:
    found = snapshot.summary
    return str(found.additional_properties.get(name, "")) if found else ""


def rollback(table: Table, run_id: str) -> Point:
    """Go back to the last snapshot of a run, bookmark included.

    A load that goes on meanwhile is fenced.

    Raises:
        ConfigurationError: if the table has no snapshot of that run.
    """
    chosen = next((point for point in points(table) if point.run_id == run_id), None)
    if chosen is None:
        known = ", ".join(dict.fromkeys(p.run_id for p in points(table) if p.run_id))
        what = f"Table {'.'.join(table.name())} has no snapshot of run '{run_id}'."
        raise ConfigurationError(what, hint=f"Its runs are: {known or 'none'}.")
    history = History(table, chosen)
    transaction = LightTransaction(table)
    with ManageSnapshots(transaction) as manage:
        manage.set_current_snapshot(snapshot_id=chosen.snapshot_id)
    # The ledger counts rows that are gone now.
    restored = {APPENDED: "", VERSION: history.version, REPLAYS: history.replays}
    for name, value in restored.items():
        if value:
            transaction.set_properties({name: value})
        elif name in table.properties:
            transaction.remove_properties(name)
    mark(transaction, ROLLBACK_RUN, history.state)
    return chosen


class History:
    """What a table's properties were at one of its snapshots.

    A summary tells the properties that its own commit has set.
    """

    def __init__(self, table: Table, point: Point) -> None:
        self._table = table
        found = table.snapshot_by_id(point.snapshot_id)
        self._line = list(ancestors_of(found, table.metadata))
        self._number = point.number

    @property
    def state(self) -> str:
        """The bookmark as JSON; empty if there was none."""
        for snapshot in self._line:
            state = _summary(snapshot, STATE)
            # A bookmark that was removed by hand is in no summary.
            if state or _summary(snapshot, RUN_ID) in {MANUAL_RUN, ROLLBACK_RUN}:
                return state
        return ""

    @property
    def version(self) -> str:
        """The full load that the rows belonged to; empty if they did to none."""
        present = self._table.properties.get(VERSION, "")
        is_later = present in self._later(VERSION)
        return self._latest(VERSION) or ("" if is_later else present)

    @property
    def replays(self) -> str:
        """The replays that had been taken, as JSON; empty if there were none."""
        own = json.loads(self._latest(REPLAYS) or "[]")
        later = {json.loads(text)[-1] for text in self._later(REPLAYS)}
        kept = [one for one in replays_of(self._table) if one not in later]
        names = [*(one for one in kept if one not in own), *own]
        return json.dumps(names) if names else ""

    def _latest(self, name: str) -> str:
        told = (_summary(snapshot, name) for snapshot in self._line)
        return next(filter(None, told), "")

    def _later(self, name: str) -> Iterator[str]:
        for snapshot in self._table.metadata.snapshots:
            value = _summary(snapshot, name)
            if value and (snapshot.sequence_number or 0) > self._number:
                yield value


def open_table(config: Mapping[str, t.Any], name: str) -> Table:
    """Open a table by the target's settings.

    Raises:
        ConfigurationError: if there is no such table.
    """
    settings = with_defaults(config)
    if settings["format"] != "iceberg":
        what = f"Warehouse {settings['warehouse']} holds plain Parquet files."
        hint = f"Only Iceberg tables can go back: run `dativo promote {name}` first."
        raise ConfigurationError(what, hint=hint)
    check_there(settings)
    with explained(settings["warehouse"]):
        catalog = open_catalog(settings)
        try:
            return catalog.load_table((settings["namespace"], name))
        except (NoSuchTableError, NoSuchNamespaceError):
            names = ", ".join(_names(catalog, settings["namespace"])) or "none"
            what = f"There is no table '{name}' in {settings['warehouse']}."
            raise ConfigurationError(what, hint=f"Its tables are: {names}.") from None


def _names(catalog: Catalog, namespace: str) -> list[str]:
    try:
        return sorted(table[-1] for table in catalog.list_tables(namespace))
    except NoSuchNamespaceError:
        return []
