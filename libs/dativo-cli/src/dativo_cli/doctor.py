"""Say how a table or a source is, and what to do about it."""

from __future__ import annotations

import shlex
import typing as t

import click

from dativo_cli.options import target_settings
from dativo_cli.sources import open_tap

if t.TYPE_CHECKING:
    from target_parquet_iceberg.health import Health

_FILE = click.Path(exists=True, dir_okay=False)
_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


@click.command()
@click.argument("subject", metavar="TABLE|TAP")
@click.option("--config", type=_FILE, help="The settings of the target, or of TAP.")
@click.option("--catalog", type=_FILE, help="With TAP: examine what it selects.")
@click.option("--warehouse", help="With TABLE: the warehouse, without such a file.")
def doctor(
    subject: str, config: str | None, catalog: str | None, warehouse: str | None
) -> None:
    """Examine TABLE, or the database that TAP reads.

    Prints its figures, what is wrong, and the command or the SQL that helps. TAP is
    tap-postgres or tap-mysql; without --config its settings are TAP_..._... in the
    environment, and without --catalog all its tables are examined.

    Ends with 0, also if something is wrong. A source that cannot be asked ends it as
    it ends the tap: 75 try later, 77 credentials, 78 configuration.
    """
    is_tap = subject.startswith("tap-")
    if (warehouse if is_tap else catalog) is not None:
        option = "--warehouse" if is_tap else "--catalog"
        msg = f"{option} says nothing about {subject}."
        raise click.UsageError(msg)
    if is_tap:
        _examine_source(subject, config, catalog)
    else:
        _examine_table(subject, config, warehouse)


def _examine_source(name: str, config: str | None, catalog: str | None) -> None:
    checkup = open_tap(name, config, catalog).examine()
    for fact, value in checkup.facts:
        click.echo(f"{fact:16} {value}")
    if not checkup.complaints:
        click.echo("The source is in good shape.")
    for complaint in checkup.complaints:
        click.echo(f"! {complaint.what}")
        for statement in complaint.statements:
            click.echo(f"  {statement}")


def _examine_table(table: str, config: str | None, warehouse: str | None) -> None:
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
