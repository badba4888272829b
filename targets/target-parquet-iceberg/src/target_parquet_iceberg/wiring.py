"""Build the parts of a load from the settings; the only place that knows them all."""

from __future__ import annotations

import contextlib
import importlib
import random
import time
import typing as t
import uuid
from datetime import datetime, timezone

from dativo_core.dead_letters import DeadLetterOffice
from dativo_core.dead_letters import Limits as DeadLetterLimits
from dativo_core.signals import deferred

from target_parquet_iceberg import contracts
from target_parquet_iceberg.batches import Batches
from target_parquet_iceberg.failures import (
    ExplainedFolder,
    ExplainedWarehouse,
    explained,
)
from target_parquet_iceberg.limits import Limits
from target_parquet_iceberg.load import Load
from target_parquet_iceberg.manifest import Roots, staging
from target_parquet_iceberg.metadata import Metadata
from target_parquet_iceberg.object_storage import s3_filesystem, storage_properties
from target_parquet_iceberg.plan import has_letter_tables, overrides
from target_parquet_iceberg.privacy import Privacy
from target_parquet_iceberg.room import Room
from target_parquet_iceberg.storage import dead_letter_folder
from target_parquet_iceberg.sweeping import sweeper

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dativo_core.dead_letters import Folder, Mirror
    from dativo_core.errors import DataLimitError

    from target_parquet_iceberg.table import Warehouse

Settings: t.TypeAlias = "Mapping[str, t.Any]"
LONGEST_PAUSE_SECONDS = 5.0


def build_load(
    settings: Settings,
    *,
    emit: Callable[[dict[str, t.Any]], None],
    errors: Mapping[str, type[DataLimitError]],
) -> Load:
    """Return the load of one run, its warehouse open."""
    started = _now()
    run_id = f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    name = settings["warehouse"]
    with explained(name):
        warehouse = ExplainedWarehouse(open_warehouse(settings, run_id), name)
    return Load(
        warehouse=warehouse,
        dead_letters=_dead_letters(settings, run_id, errors, warehouse.letters),
        emit=emit,
        clock=time.monotonic,
        settings=settings,
        limits=Limits(
            settings["commit_max_rows"],
            settings["commit_max_bytes"],
            settings["commit_interval_seconds"],
            settings["buffer_max_bytes"],
        ),
        batches=_batches(settings),
        privacy=Privacy(contracts.read(settings.get("contracts"))),
        metadata=Metadata(started, _now) if settings["add_record_metadata"] else None,
        uncut=deferred,
    )


def import_format(settings: Settings) -> None:
    """Import what opening the warehouse would; what is missing is told then."""
    modules = ["iceberg", "upkeep", "sql_catalog"]
    if settings["format"] == "parquet":
        modules = ["parquet", "parquet_store"]
    with contextlib.suppress(ImportError):
        for name in modules:
            importlib.import_module(f"{__package__}.{name}")


def open_warehouse(settings: Settings, run_id: str) -> Warehouse:
    """Return the warehouse that the settings describe."""
    if settings["format"] == "parquet":
        from target_parquet_iceberg.parquet import ParquetWarehouse  # noqa: PLC0415
        from target_parquet_iceberg.parquet_store import open_stores  # noqa: PLC0415

        stores = open_stores(settings)
        return ParquetWarehouse(stores, settings["namespace"], run_id, pause)
    from target_parquet_iceberg import probe  # noqa: PLC0415

    probe.check()
    from target_parquet_iceberg.catalogs import open_catalog  # noqa: PLC0415
    from target_parquet_iceberg.iceberg import IcebergWarehouse  # noqa: PLC0415
    from target_parquet_iceberg.upkeep import upkeep_of  # noqa: PLC0415

    return IcebergWarehouse(
        open_catalog(settings),
        settings["namespace"],
        run_id,
        pause,
        upkeep=upkeep_of(settings),
        room=Room(settings["buffer_max_bytes"]),
    )


def _batches(settings: Settings) -> Batches:
    options = settings["storage_options"]
    folder = staging(settings["warehouse"])
    roots = Roots(
        settings.get("batch_roots") or (),
        folder,
        lambda: s3_filesystem(storage_properties(options)),
    )
    has_metadata = bool(settings["add_record_metadata"])
    rules = settings["maintenance"]
    clean = sweeper(folder, options, rules["orphan_hours"], time.time)
    return Batches(
        roots,
        settings["max_line_bytes"],
        has_metadata=has_metadata,
        clean=clean if rules["enabled"] else None,
    )


def _dead_letters(
    settings: Settings,
    run_id: str,
    errors: Mapping[str, type[DataLimitError]],
    tables: Mirror | None,
) -> DeadLetterOffice:
    return DeadLetterOffice(
        open_letters(settings),
        run_id,
        _limits(settings["dead_letter"]),
        errors,
        mirror=tables if has_letter_tables(settings) else None,
        limits_of=lambda stream: _own_limits(stream, settings),
        now=_now,
    )


def open_letters(settings: Settings) -> Folder:
    """Return the folder of the dead letters."""
    chosen = settings["dead_letter"].get("path")
    path = chosen or f"{settings['warehouse'].rstrip('/')}/_dead_letters"
    with explained(path):
        return ExplainedFolder(
            dead_letter_folder(path, settings["storage_options"]), path
        )


def _limits(chosen: Settings) -> DeadLetterLimits:
    return DeadLetterLimits(
        chosen["max_ratio"], chosen["min_sample"], chosen["max_records"]
    )


def _own_limits(stream: str, settings: Settings) -> DeadLetterLimits | None:
    chosen = overrides(stream, settings).get("dead_letter")
    return _limits({**settings["dead_letter"], **chosen}) if chosen else None


def _now() -> datetime:
    return datetime.now(timezone.utc)


def pause(attempt: int) -> None:
    """Wait before another attempt, longer after each."""
    # Full jitter: concurrent writers must not meet again.
    time.sleep(random.uniform(0, min(0.05 * 2**attempt, LONGEST_PAUSE_SECONDS)))  # noqa: S311
