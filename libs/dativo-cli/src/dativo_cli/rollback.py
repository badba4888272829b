"""Undo a load."""

from __future__ import annotations

import click

from dativo_cli.options import target_options, target_settings


@click.command()
@click.argument("table")
@click.option("--to", "run_id", help="Run to go back to; without it, list the runs.")
@target_options
def rollback(
    table: str, run_id: str | None, config: str | None, warehouse: str | None
) -> None:
    """Go back to what TABLE was after an earlier run, bookmark included."""
    from target_parquet_iceberg import rollback as rollbacks  # noqa: PLC0415 heavy

    opened = rollbacks.open_table(target_settings(config, warehouse), table)
    if run_id is not None:
        point = rollbacks.rollback(opened, run_id)
        click.echo(f"{table} is what run {point.run_id} left: {point.rows} rows.")
        return
    for point in rollbacks.points(opened):
        mark = "*" if point.is_current else " "
        when = point.committed_at.isoformat(timespec="seconds")
        click.echo(f"{mark} {point.run_id:32} {when} {point.rows:>12} rows")
