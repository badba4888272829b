"""Look after tables."""

from __future__ import annotations

import click

from dativo_cli.options import target_options, target_settings


@click.command()
@click.argument("tables", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    help="Begin nothing more after this time.",
)
@target_options
def maintain(
    tables: tuple[str, ...],
    dry_run: bool,
    seconds: float,
    config: str | None,
    warehouse: str | None,
) -> None:
    """Compact TABLES, expire old snapshots and delete files that nobody needs.

    Without TABLES, all of the warehouse's namespace. Loads may go on meanwhile.
    """
    from target_parquet_iceberg import upkeep  # noqa: PLC0415 heavy

    settings = target_settings(config, warehouse)
    for report in upkeep.maintain(settings, tables, seconds, is_dry=dry_run):
        click.echo(f"would: {report}" if dry_run else str(report))
