"""Compare a source's table with its copy, and name the rows that differ."""

from __future__ import annotations

import json
import os
import typing as t
from itertools import islice
from pathlib import Path

import click
from dativo_core.errors import ConfigurationError

from dativo_cli.options import target_settings
from dativo_cli.sources import open_tap

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from dativo_core.reconciling import Findings
    from dativo_core.sql.stream import SqlStream

TARGETS = ["target-dativo", "target-parquet-iceberg"]
_FILE = click.Path(exists=True, dir_okay=False)


@click.command()
@click.argument("tap")
@click.argument("target", type=click.Choice(TARGETS))
@click.option("--stream", required=True, help="The stream to compare.")
@click.option("--tap-config", type=_FILE, help="The tap's settings; else TAP_..._...")
@click.option("--target-config", type=_FILE, help="The target's settings file.")
@click.option("--warehouse", help="The warehouse, without such a file.")
@click.option("--keys-only", is_flag=True, help="Compare no values but the keys.")
@click.option("--report", type=click.Path(dir_okay=False), help="Where to write it.")
@click.pass_context
def reconcile(
    context: click.Context,
    tap: str,
    target: str,  # noqa: ARG001 it names the pipeline, as Meltano does
    stream: str,
    tap_config: str | None,
    target_config: str | None,
    warehouse: str | None,
    keys_only: bool,
    report: str | None,
) -> None:
    """Compare STREAM of TAP with its table, row by row.

    Ends with 0 if both hold the same rows, with 1 if not. The report, a file of JSON,
    names the keys that are missing, extra or different. Rows that changed after the
    last load differ.
    """
    from dativo_core import reconciling  # noqa: PLC0415 heavy, as all of these
    from target_parquet_iceberg import comparison  # noqa: PLC0415

    source = _stream(tap, tap_config, stream)
    table = comparison.open_stream(target_settings(target_config, warehouse), stream)
    in_both = set(source.digestible) & set(comparison.digestible(table))
    keys = tuple(source.primary_keys)
    _check_keys(stream, keys, in_both)
    wanted = keys if keys_only and keys else source.digestible
    columns = [name for name in wanted if name in in_both]
    if not columns:
        msg = f"Stream '{stream}' has no column that can be compared."
        raise ConfigurationError(msg, hint="Floats and arrays cannot, nor new columns.")
    named = keys or tuple(columns)
    with source.side(columns, named) as side:
        ordered = [*named, *(name for name in columns if name not in named)]
        other = comparison.TableSide(table, ordered, len(named))
        found = reconciling.reconcile(side, other)
    skipped = sorted(set(source.schema["properties"]) - set(columns))
    path = Path(report or f"{table.name()[-1]}.reconcile.json")
    content = {
        "stream": stream,
        "table": ".".join(table.name()),
        "key": [*keys],
        "compared": columns,
        "not_compared": skipped,
        **_told(found, keys),
    }
    _write(path, content)
    for line in _lines(content, path):
        click.echo(line)
    context.exit(0 if found.is_equal else 1)


def _stream(tap: str, config: str | None, stream: str) -> SqlStream:
    plugin = open_tap(tap, config)
    known = plugin.streams.get(stream)
    if known is None:
        msg = f"{tap} has no stream '{stream}'."
        hint = f"It has: {', '.join(sorted(plugin.streams))}."
        raise ConfigurationError(msg, hint=hint)
    return t.cast("SqlStream", known)


def _check_keys(stream: str, keys: Iterable[str], in_both: set[str]) -> None:
    missing = [key for key in keys if key not in in_both]
    if missing:
        msg = f"Stream '{stream}': key {missing} cannot be compared."
        hint = "It is a float, or the table has no such column."
        raise ConfigurationError(msg, hint=hint)


def _told(found: Findings, keys: tuple[str, ...]) -> dict[str, t.Any]:
    from dativo_core.reconciling import MAX_KEYS  # noqa: PLC0415

    told: dict[str, t.Any] = {
        "is_equal": found.is_equal,
        "source_rows": found.source_rows,
        "table_rows": found.table_rows,
        "missing": found.missing.total(),
        "extra": found.extra.total(),
        "different": len(found.different),
        "slices_not_read": found.unread_slices,
    }
    # Without a key, a row is named by all its values: they stay where they are.
    if keys:
        for name in ("missing", "extra", "different"):
            rows = sorted(getattr(found, name))
            told[f"{name}_keys"] = [[*key] for key in islice(rows, MAX_KEYS)]
    return told


def _write(path: Path, content: dict[str, t.Any]) -> None:
    # Keys are values of rows.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _lines(content: dict[str, t.Any], path: Path) -> Iterable[str]:
    names = ("source_rows", "table_rows", "missing", "extra", "different")
    for name in names:
        yield f"{name.replace('_', ' '):12} {content[name]:,}"
    if content["slices_not_read"]:
        yield f"{content['slices_not_read']} slices more differ: too many to list."
    if content["not_compared"]:
        yield f"not compared {', '.join(content['not_compared'])}"
    verdict = "The same rows." if content["is_equal"] else "The rows differ."
    yield f"{verdict} Report: {path}"
