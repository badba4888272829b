"""Make plain Parquet a table."""

from __future__ import annotations

import click

from dativo_cli.options import target_options, target_settings


@click.command()
@click.argument("table")
@target_options
def promote(table: str, config: str | None, warehouse: str | None) -> None:
    """Make the Parquet folder of TABLE an Iceberg table, without rewriting a file.

    A run that is loading the folder is fenced; the next one needs format: iceberg.
    """
    from target_parquet_iceberg import promotion  # noqa: PLC0415 heavy
    from target_parquet_iceberg.wiring import pause  # noqa: PLC0415

    entry = promotion.promote(target_settings(config, warehouse), table, pause)
    rows = sum(file.rows for file in entry.files)
    click.echo(
        f"{entry.promoted_to} is an Iceberg table of {rows} rows in "
        f"{len(entry.files)} files. Set format to iceberg."
    )
