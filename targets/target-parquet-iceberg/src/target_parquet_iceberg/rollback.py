"""Make an earlier snapshot the table again, and its bookmark the bookmark."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from dativo_core.errors import ConfigurationError
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table.update.snapshot import ManageSnapshots

from target_parquet_iceberg.catalogs import check_there, open_catalog
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.staging import APPENDED, RUN_ID, STATE, mark
from target_parquet_iceberg.transactions import LightTransaction

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

ROLLBACK_RUN = "rollback"


@dataclass(frozen=True, slots=True)
class Point:
    """A snapshot that the table can go back to."""

    snapshot_id: int
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
    return sorted(seen.values(), key=lambda point: point.committed_at, reverse=True)


def _point(table: Table, snapshot: Snapshot) -> Point:
    current = table.current_snapshot()
    return Point(
        snapshot_id=snapshot.snapshot_id,
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
    snapshot = table.snapshot_by_id(chosen.snapshot_id)
    state = _summary(snapshot, STATE) if snapshot else ""
    transaction = LightTransaction(table)
    with ManageSnapshots(transaction) as manage:
        manage.set_current_snapshot(snapshot_id=chosen.snapshot_id)
    if APPENDED in table.properties:
        transaction.remove_properties(APPENDED)  # it counts rows that are gone now
    mark(transaction, ROLLBACK_RUN, state)
    return chosen


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
