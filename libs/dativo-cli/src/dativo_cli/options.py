"""Options that several commands share."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import click
from dativo_core.errors import ConfigurationError
from dativo_core.settings import accept

F = t.TypeVar("F", bound="t.Callable[..., t.Any]")


def target_options(command: F) -> F:
    """Add `--config` and `--warehouse`, which say where the tables are."""
    path = click.Path(exists=True, dir_okay=False)
    config = click.option("--config", type=path, help="The target's settings file.")
    warehouse = click.option("--warehouse", help="The warehouse, without such a file.")
    return config(warehouse(command))


def target_settings(config: str | None, warehouse: str | None) -> dict[str, t.Any]:
    """Return the settings that the options name; no log line shows their secrets.

    Raises:
        ConfigurationError: if the target would not take them.
    """
    from target_parquet_iceberg.target import (  # noqa: PLC0415 heavy
        TargetParquetIceberg,
    )

    settings = _content(config) if config else {}
    if not isinstance(settings, dict):
        msg = f"The settings file {config} holds no JSON object."
        raise ConfigurationError(msg, hint="It is the target's --config.")
    schema = TargetParquetIceberg.config_jsonschema
    TargetParquetIceberg.append_builtin_config(schema)
    accept(settings, schema, plugin="dativo", strict=True)
    return {**settings, "warehouse": warehouse} if warehouse else settings


def _content(config: str) -> t.Any:
    try:
        return json.loads(Path(config).read_bytes())  # UTF-16 from Windows, too
    except UnicodeDecodeError as error:
        what = f"The settings file {config} is no text: {error}."
        raise ConfigurationError(what, hint="It is the target's --config.") from error
