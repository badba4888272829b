"""Options that several commands share."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import click
from dativo_core import logs
from dativo_core.redaction import secret_values

F = t.TypeVar("F", bound="t.Callable[..., t.Any]")


def target_options(command: F) -> F:
    """Add `--config` and `--warehouse`, which say where the tables are."""
    path = click.Path(exists=True, dir_okay=False)
    config = click.option("--config", type=path, help="The target's settings file.")
    warehouse = click.option("--warehouse", help="The warehouse, without such a file.")
    return config(warehouse(command))


def target_settings(config: str | None, warehouse: str | None) -> dict[str, t.Any]:
    """Return the settings that the options name; no log line shows their secrets."""
    from target_parquet_iceberg.settings import SCHEMA  # noqa: PLC0415 heavy

    settings: dict[str, t.Any] = json.loads(Path(config).read_text()) if config else {}
    logs.SECRETS.add(secret_values(settings, SCHEMA))
    return {**settings, "warehouse": warehouse} if warehouse else settings
