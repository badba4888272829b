"""What the acts of the demo share: their folder, Meltano, and how they print."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from dativo_sandbox.lake import lake

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FOLDER = Path(".dativo/demo").absolute()
WAREHOUSE = FOLDER / "lake"
LOG = FOLDER / "meltano.log"


def meltano(settings: Mapping[str, str], *arguments: str) -> None:
    """Run a Meltano command; show its log only if it fails."""
    with LOG.open("w") as output:
        done = subprocess.run(
            [program("meltano"), "--environment=demo", *arguments],
            env={**os.environ, **ours(), **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        say(LOG.read_text())
        sys.exit(f"meltano {' '.join(arguments)} ended with {done.returncode}.")


def ours() -> dict[str, str]:
    """Return what keeps the user's own project as it is."""
    return {
        "TARGET_DATIVO_WAREHOUSE": str(WAREHOUSE),
        "MELTANO_DATABASE_URI": f"sqlite:///{FOLDER / 'meltano.db'}",
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "NO_COLOR": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def as_environment(plugin: str, settings: Mapping[str, t.Any]) -> dict[str, str]:
    """Return a plugin's settings as Meltano's environment variables."""
    prefix = plugin.upper().replace("-", "_")
    return {f"{prefix}_{name.upper()}": str(value) for name, value in settings.items()}


def dativo(*arguments: str) -> str:
    """Return what the `dativo` command prints about the demo's lake."""
    command = [str(program("dativo")), *arguments, "--warehouse", str(WAREHOUSE)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def program(name: str) -> Path:
    """Return a command of this environment."""
    return Path(sys.executable).with_name(name)


def count_rows(name: str) -> int:
    """Return the rows of a table, as DuckDB counts them."""
    with lake(WAREHOUSE) as engine:
        [[count]] = engine.execute(f"FROM lake.{name} SELECT count(*)").fetchall()
    return int(count)


def show(title: str, sql: str) -> None:
    """Print what DuckDB answers."""
    with lake(WAREHOUSE) as engine:
        answer = engine.execute(sql)
        names = [column[0] for column in answer.description or ()]
        say(f"{title}:\n\n{table(names, answer.fetchall())}")


def table(names: Sequence[str], rows: Iterable[Sequence[t.Any]]) -> str:
    """Lay out rows in columns, numbers to the right."""
    held = [tuple(names), *map(tuple, rows)]
    lines = [[_text(value) for value in line] for line in held]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    is_text = [isinstance(value, str) for value in held[-1]]
    return "\n".join("  " + _line(line, widths, is_text) for line in lines)


def _line(cells: list[str], widths: list[int], is_text: list[bool]) -> str:
    laid_out = [
        cell.ljust(width) if left else cell.rjust(width)
        for cell, width, left in zip(cells, widths, is_text, strict=True)
    ]
    return "  ".join(laid_out).rstrip()


def _text(value: t.Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def timed(title: str, work: t.Callable[[], t.Any]) -> t.Any:
    """Do the work; print how long it took."""
    sys.stdout.write(f"\n{title} ... ")
    sys.stdout.flush()
    start = time.monotonic()
    result = work()
    say(f"{time.monotonic() - start:.1f} s", before="")
    return result


def say(text: str, before: str = "\n") -> None:
    """Print a paragraph."""
    sys.stdout.write(f"{before}{text}\n")
    sys.stdout.flush()
