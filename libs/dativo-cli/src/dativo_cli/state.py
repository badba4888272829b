"""Read the bookmarks that the target committed together with the rows."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import click
from dativo_core.errors import ConfigurationError

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@click.group()
def state() -> None:
    """Bookmarks, as the tables themselves hold them."""


@state.command()
@click.option("--config", type=click.Path(exists=True), help="The target's settings.")
@click.option("--warehouse", help="The warehouse, if there is no settings file.")
@click.option("--stream", help="Show this stream only.")
def show(config: str | None, warehouse: str | None, stream: str | None) -> None:
    """Print a Singer state put together from the tables of a warehouse."""
    settings = json.loads(Path(config).read_text()) if config else {}
    if warehouse:
        settings["warehouse"] = warehouse
    bookmarks = dict(_bookmarks(settings))
    if stream is not None and stream not in bookmarks:
        known = ", ".join(sorted(bookmarks)) or "none"
        msg = f"No table holds a bookmark of stream '{stream}'."
        raise ConfigurationError(msg, hint=f"Streams with a bookmark: {known}.")
    if stream is not None:
        bookmarks = {stream: bookmarks[stream]}
    click.echo(json.dumps({"bookmarks": bookmarks}, indent=2, sort_keys=True))


def _bookmarks(settings: dict[str, t.Any]) -> Iterator[tuple[str, t.Any]]:
    from target_parquet_iceberg.bookmarks import stored  # noqa: PLC0415 heavy
    from target_parquet_iceberg.catalogs import is_remote, local  # noqa: PLC0415

    warehouse = settings.get("warehouse", "warehouse")
    # To open a local warehouse would be to make it.
    if not is_remote(warehouse) and not local(warehouse).is_dir():
        msg = f"There is no warehouse at {local(warehouse)}."
        raise ConfigurationError(msg, hint="Name it with --warehouse or --config.")
    yield from stored(settings)
