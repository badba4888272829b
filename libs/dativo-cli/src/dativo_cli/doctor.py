"""Say how a table is, and what to do about it."""

from __future__ import annotations

import shlex
import typing as t

import click

from dativo_cli.options import target_options, target_settings

if t.TYPE_CHECKING:
    from target_parquet_iceberg.health import Health

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


@click.command()
@click.argument("table")
@target_options
def doctor(table: str, config: str | None, warehouse: str | None) -> None:
    """Examine TABLE: its figures, what is wrong, and the command that helps."""
    from target_parquet_iceberg import health as figures  # noqa: PLC0415 heavy
    from target_parquet_iceberg import upkeep  # noqa: PLC0415

    settings = target_settings(config, warehouse)
    health, policy = upkeep.examine(settings, table)
    for name, value in _lines(health):
        click.echo(f"{name:16} {value}")
    found = figures.complaints(health, policy)
    if not found:
        click.echo("The table is in good shape.")
        return
    for complaint in found:
        click.echo(f"! {complaint}")
    place = (
        ("--config", config) if config else ("--warehouse", warehouse or "warehouse")
    )
    click.echo(f"Run: {shlex.join(('dativo', 'maintain', table, *place))}")


def _lines(health: Health) -> list[tuple[str, str]]:
    committed = health.committed_at
    when = committed.isoformat(timespec="seconds") if committed else "never"
    return [
        ("rows", f"{health.rows:,}"),
        ("size", _size(health.bytes)),
        ("data files", f"{health.data_files} ({health.small_ratio:.0%} small)"),
        ("delete files", f"{health.delete_files}"),
        ("deleted rows", f"{health.deleted_rows:,} ({health.deleted_ratio:.0%})"),
        ("snapshots", f"{health.snapshots} ({health.expired} may expire)"),
        ("manifests", f"{health.manifests}"),
        ("metadata", _size(health.metadata_bytes)),
        ("last commit", f"{when} by run {health.run_id or 'unknown'}"),
    ]


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < _STEP:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} {_UNITS[-1]}"
