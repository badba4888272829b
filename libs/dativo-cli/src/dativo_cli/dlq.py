"""Look at dead letters, send them again, throw them away."""

from __future__ import annotations

import json
import shlex
import sys
import typing as t
import uuid
from datetime import datetime, timezone

import click
from dativo_core.errors import ConfigurationError

from dativo_cli.options import target_options, target_settings

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from dativo_core.letter_files import KeptLetter
    from dativo_core.replays import Choice, Takes
    from target_parquet_iceberg.letter_desk import Desk

F = t.TypeVar("F", bound="t.Callable[..., t.Any]")
HEADS = ("stream", "run", "stage", "field", "expected", "letters")


@click.group()
def dlq() -> None:
    """Dead letters: records that could not be stored, and why."""


def choice_options(command: F) -> F:
    """Add the options that narrow down which letters are meant."""
    ids = click.option(
        "--id",
        "ids",
        multiple=True,
        callback=_checked,
        help="By id, or its beginning.",
    )
    runs = click.option("--run", "runs", multiple=True, help="By the run.")
    stages = click.option("--stage", "stages", multiple=True, help="By the stage.")
    return ids(runs(stages(command)))


def _checked(
    _context: click.Context, _option: click.Parameter, ids: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse the beginning of every id, which an empty variable of a shell is."""
    if not all(ids):
        msg = "an id is empty."
        raise click.BadParameter(msg)
    return ids


@dlq.command(name="list")
@click.argument("streams", nargs=-1)
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
@target_options
def list_letters(
    streams: tuple[str, ...], is_json: bool, config: str | None, warehouse: str | None
) -> None:
    """Count the letters of STREAMS, or of all, by run and reason.

    Letters that a replay has brought into the table are not counted.
    """
    from dativo_core import replays  # noqa: PLC0415 heavy, as all of these

    desk = _desk(config, warehouse)
    found = [
        pile
        for name in desk.names(streams)
        for pile in replays.piles(name, _waiting(desk, name, _choice()))
    ]
    if is_json:
        for pile in found:
            click.echo(
                json.dumps({part: getattr(pile, part) for part in pile.__slots__})
            )
        return
    rows = [
        (p.stream, p.run_id, p.stage, p.path, p.expected, str(p.count)) for p in found
    ]
    for line in _table([HEADS, *rows]) if rows else ["No dead letters."]:
        click.echo(line)


@dlq.command()
@click.argument("stream")
@choice_options
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Show no more than this; 0 for all.",
)
@click.option("--json", "is_json", is_flag=True, help="Whole letters, one a line.")
@target_options
def show(
    stream: str,
    limit: int,
    is_json: bool,
    config: str | None,
    warehouse: str | None,
    **chosen: tuple[str, ...],
) -> None:
    """Print letters of STREAM with their records as they came: nothing is masked."""
    desk = _desk(config, warehouse)
    (name,) = desk.names((stream,))
    for number, letter in enumerate(_waiting(desk, name, _choice(**chosen))):
        if limit and number >= limit:
            click.echo(f"There are more than {limit}: see --limit.", err=True)
            break
        content = letter.content
        if is_json:
            click.echo(json.dumps(content, ensure_ascii=False))
            continue
        where = f" at {content['path']}" if content["path"] else ""
        click.echo(f"{letter.id[:16]}  {content['stage']}{where}, run {letter.file}")
        click.echo(f"  expected {content['expected']}, found {content['found']}")
        record = content.get("record", content.get("record_base64"))
        click.echo(f"  {str(record).strip()}")


@dlq.command()
@click.argument("streams", nargs=-1)
@choice_options
@target_options
def replay(
    streams: tuple[str, ...],
    config: str | None,
    warehouse: str | None,
    **chosen: tuple[str, ...],
) -> None:
    """Print letters of STREAMS, or of all, as SCHEMA and RECORD messages.

    Repair them on their way into the target. Nothing is discarded; letters that an
    earlier replay has brought into the table are left out.
    """
    from dativo_core.replays import Replay  # noqa: PLC0415

    desk = _desk(config, warehouse)
    for name in desk.names(streams):
        run = Replay(desk.folder, name, _new_name, _emit)
        run.run(_waiting(desk, name, _choice(**chosen)))
        for words, count in run.left.items():
            if count:
                click.echo(f"{name}: {count} letters {words}.", err=True)
        for replayed, count in run.sent.items():
            click.echo(f"{name}: {count} letters are replay {replayed}.", err=True)
        if run.sent:
            place = (("--config", config), ("--warehouse", warehouse))
            given = [part for option in place if option[1] for part in option]
            command = ["dativo", "dlq", "discard", name, "--replayed", *given]
            told = shlex.join(map(str, command))
            click.echo(f"When the target has ended with 0: {told}", err=True)


@dlq.command()
@click.argument("stream")
@click.option(
    "--replayed", is_flag=True, help="Those that replays have brought into the table."
)
@click.option(
    "--replay",
    "names",
    multiple=True,
    help="Those of a replay into another target; you know that it landed.",
)
@click.option("--all", "is_all", is_flag=True, help="All of the stream.")
@choice_options
@target_options
def discard(
    stream: str,
    replayed: bool,
    names: tuple[str, ...],
    is_all: bool,
    config: str | None,
    warehouse: str | None,
    **chosen: tuple[str, ...],
) -> None:
    """Delete letters of STREAM, from the files and from the table."""
    from dativo_core import replays  # noqa: PLC0415

    if not (replayed or names or is_all or any(chosen.values())):
        what = "Nothing says which letters to discard."
        hint = "Give --replayed, --replay, --id, --run, --stage or --all."
        raise ConfigurationError(what, hint=hint)
    desk = _desk(config, warehouse)
    (name,) = desk.names((stream,))
    takes: Takes = _choice(**chosen).takes
    if replayed or names:
        known = [*names, *(desk.landed(name) if replayed else ())]
        in_replay = replays.of_replays(desk.folder, name, known)
        narrowed = takes
        takes = lambda letter: in_replay(letter) and narrowed(letter)  # noqa: E731
    click.echo(f"{name}: {desk.discard(name, takes)} letters discarded.")


def _desk(config: str | None, warehouse: str | None) -> Desk:
    from target_parquet_iceberg.letter_desk import Desk  # noqa: PLC0415 heavy

    return Desk(target_settings(config, warehouse))


def _choice(
    ids: tuple[str, ...] = (),
    runs: tuple[str, ...] = (),
    stages: tuple[str, ...] = (),
) -> Choice:
    from dativo_core.replays import Choice  # noqa: PLC0415

    return Choice(ids, runs, stages)


def _waiting(desk: Desk, name: str, choice: Choice) -> Iterator[KeptLetter]:
    from dativo_core.replays import waiting  # noqa: PLC0415

    return waiting(desk.folder, name, desk.landed(name), choice)


def _new_name() -> str:
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def _emit(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()
