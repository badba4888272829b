"""Taps of databases that are installed beside this command."""

from __future__ import annotations

import json
import typing as t
from importlib.metadata import entry_points
from pathlib import Path

from dativo_core.errors import ConfigurationError

if t.TYPE_CHECKING:
    from dativo_core.sql.tap import SqlTap


def open_tap(name: str, config: str | None, catalog: str | None = None) -> SqlTap:
    """Return a tap that has asked its source nothing yet.

    Args:
        name: The tap's command, such as `tap-postgres`.
        config: Its settings file; without one they are in the environment.
        catalog: Its catalog file.

    Raises:
        ConfigurationError: It is not installed, or does not take its settings.
    """
    found = entry_points(group="dativo.taps", name=name)
    if not found:
        msg = f"There is no {name} here that reads a database."
        hint = (
            f"Install dativo-{name} beside dativo-cli. A tap of an API is only asked "
            f"by its own --test: {name} --config ... --test."
        )
        raise ConfigurationError(msg, hint=hint)
    [entry] = found
    tap = entry.load()(
        config=_read(config) if config else {},
        catalog=_read(catalog) if catalog else None,
        parse_env_config=not config,
        setup_mapper=False,
    )
    return t.cast("SqlTap", tap)


def _read(path: str) -> dict[str, t.Any]:
    content = json.loads(Path(path).read_text())
    if not isinstance(content, dict):
        msg = f"The file {path} holds no JSON object."
        raise ConfigurationError(msg, hint="Check --config and --catalog.")
    return content
