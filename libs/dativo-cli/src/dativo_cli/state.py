"""Read the bookmarks that the target committed together with the rows."""

from __future__ import annotations

import json
import shutil
import subprocess
import typing as t

import click
from dativo_core.errors import ConfigurationError

from dativo_cli.options import target_options, target_settings


@click.group()
def state() -> None:
    """Bookmarks, as the tables themselves hold them."""


@state.command()
@target_options
@click.option("--stream", help="Show this stream only.")
def show(config: str | None, warehouse: str | None, stream: str | None) -> None:
    """Print a Singer state put together from the tables of a warehouse."""
    from target_parquet_iceberg.bookmarks import open_bookmarks  # noqa: PLC0415 heavy

    bookmarks = open_bookmarks(target_settings(config, warehouse)).all()
    if stream is not None and stream not in bookmarks:
        known = ", ".join(sorted(bookmarks)) or "none"
        msg = f"No table holds a bookmark of stream '{stream}'."
        raise ConfigurationError(msg, hint=f"Streams with a bookmark: {known}.")
    if stream is not None:
        bookmarks = {stream: bookmarks[stream]}
    click.echo(json.dumps({"bookmarks": bookmarks}, indent=2, sort_keys=True))


@state.command(name="set")
@click.argument("stream")
@click.argument("bookmark")
@target_options
def set_bookmark(
    stream: str, bookmark: str, config: str | None, warehouse: str | None
) -> None:
    """Make the JSON object BOOKMARK the bookmark of STREAM; `null` removes it."""
    from target_parquet_iceberg.bookmarks import open_bookmarks  # noqa: PLC0415 heavy

    settings = target_settings(config, warehouse)
    open_bookmarks(settings).store(stream, _bookmark(bookmark))


def _bookmark(text: str) -> dict[str, t.Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    if found is None or isinstance(found, dict):
        return found
    msg = "BOOKMARK is neither a JSON object nor null."
    raise ConfigurationError(msg, hint="Compare it with `dativo state show`.")


@state.command()
@click.argument("state_id")
@target_options
def recover(state_id: str, config: str | None, warehouse: str | None) -> None:
    """Give Meltano back the state of pipeline STATE_ID, read from the tables.

    Run it in the Meltano project; `meltano` must be on PATH.
    """
    from target_parquet_iceberg.bookmarks import open_bookmarks  # noqa: PLC0415 heavy

    bookmarks = open_bookmarks(target_settings(config, warehouse)).all()
    found = json.dumps({"singer_state": {"bookmarks": bookmarks}})
    command = ["meltano", "state", "set", "--force", state_id, found]
    if shutil.which("meltano") is None:
        msg = "The command meltano is not on PATH."
        raise ConfigurationError(msg, hint="Activate Meltano's environment first.")
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        msg = f"Meltano did not take the state of {state_id}."
        raise ConfigurationError(msg, hint="Run this in the Meltano project.")
    click.echo(f"{state_id}: {len(bookmarks)} bookmarks recovered from the tables.")
