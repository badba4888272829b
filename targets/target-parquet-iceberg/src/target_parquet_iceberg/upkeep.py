"""Maintenance as the settings order it: after a run, or by `dativo maintain`."""

from __future__ import annotations

import contextlib
import logging
import time
import typing as t

from dativo_core.errors import ConfigurationError
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

from target_parquet_iceberg.catalogs import check_there, open_catalog
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.maintenance import Maintenance, health_of, needs_care
from target_parquet_iceberg.policy import Budget, Policy
from target_parquet_iceberg.rollback import open_table
from target_parquet_iceberg.settings import with_defaults

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyiceberg.table import Table

    from target_parquet_iceberg.health import Health
    from target_parquet_iceberg.maintenance import Report

logger = logging.getLogger(__name__)
Settings: t.TypeAlias = "Mapping[str, t.Any]"


class Upkeep:
    """Looks after the tables of a run when the run is over, and never fails it."""

    def __init__(
        self,
        policy: Policy,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._now = now

    def look_after(self, tables: Sequence[Table]) -> None:
        """Maintain the tables that need it, as far as the budget goes."""
        budget = Budget(self._policy, self._clock)
        maintenance = Maintenance(self._policy, budget, self._now)
        for table in tables:
            name = ".".join(table.name())
            try:
                if not budget.is_spent and needs_care(table, self._policy, self._now()):
                    logger.info("Maintained %s", maintenance.visit(table))
            except Exception as error:  # noqa: BLE001 the rows are safe already
                logger.warning("Table %s was not maintained: %s", name, error)


def policy_of(settings: Settings) -> Policy:
    """Return the policy that setting `maintenance` describes."""
    chosen = settings["maintenance"]
    return Policy(
        seconds=chosen["budget_seconds"],
        bytes=chosen["budget_bytes"],
        keep_snapshots=chosen["keep_snapshots"],
        keep_days=chosen["keep_days"],
        max_snapshots=chosen["max_snapshots"],
        orphan_hours=chosen["orphan_hours"],
        load_days=chosen["load_days"],
    )


def upkeep_of(settings: Settings) -> Upkeep | None:
    """Return what looks after tables when a run is over, unless it is switched off."""
    if not settings["maintenance"]["enabled"]:
        return None
    return Upkeep(policy_of(settings))


def maintain(
    config: Settings, names: Sequence[str], seconds: float, *, is_dry: bool
) -> Iterator[Report]:
    """Maintain tables thoroughly, all of the namespace if none is named."""
    settings = _iceberg(config)
    policy = policy_of(settings).thorough(seconds)
    budget = Budget(policy, time.monotonic)
    maintenance = Maintenance(policy, budget, time.time, is_dry=is_dry)
    with explained(settings["warehouse"]):
        for table in _tables(config, names):
            yield maintenance.visit(table)


def examine(config: Settings, name: str) -> tuple[Health, Policy]:
    """Measure a table, and return what it is judged by."""
    settings = _iceberg(config)
    policy = policy_of(settings)
    with explained(settings["warehouse"]):
        table = open_table(config, name)
        health = health_of(table, policy, time.time())
        return health, policy.sized_for(table.properties)


def _iceberg(config: Settings) -> dict[str, t.Any]:
    settings = with_defaults(config)
    if settings["format"] != "iceberg":
        what = f"Warehouse {settings['warehouse']} holds plain Parquet files."
        raise ConfigurationError(what, hint="Only Iceberg tables need maintenance.")
    return settings


def _tables(config: Settings, names: Sequence[str]) -> Iterator[Table]:
    for name in names:
        yield open_table(config, name)
    if names:
        return
    settings = with_defaults(config)
    check_there(settings)
    catalog = open_catalog(settings)
    with contextlib.suppress(NoSuchNamespaceError):
        for identifier in sorted(catalog.list_tables(settings["namespace"])):
            with contextlib.suppress(NoSuchTableError):  # dropped since it was listed
                yield catalog.load_table(identifier)
