"""Read the bookmarks that the target committed together with the rows."""

from __future__ import annotations

import json
import typing as t

import click
from dativo_core.errors import ConfigurationError

from dativo_cli.options import target_options, target_settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@click.group()
def state() -> None:
    """Bookmarks, as the tables themselves hold them."""


@state.command()
@target_options
@click.option("--stream", help="Show this stream only.")
def show(config: str | None, warehouse: str | None, stream: str | None) -> None:
    """Print a Singer state put together from the tables of a warehouse."""
    bookmarks = dict(_bookmarks(target_settings(config, warehouse)))
    if stream is not None and stream not in bookmarks:
        known = ", ".join(sorted(bookmarks)) or "none"
        msg = f"No table holds a bookmark of stream '{stream}'."
        raise ConfigurationError(msg, hint=f"Streams with a bookmark: {known}.")
    if stream is not None:
        bookmarks = {stream: bookmarks[stream]}
    click.echo(json.dumps({"bookmarks": bookmarks}, indent=2, sort_keys=True))


def _bookmarks(settings: dict[str, t.Any]) -> Iterator[tuple[str, t.Any]]:
    from target_parquet_iceberg.bookmarks import stored  # noqa: PLC0415 heavy

    yield from stored(settings)
