"""`make demo`: a private PostgreSQL into Iceberg tables, twice, read back by DuckDB."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from dativo_sandbox import flights
from dativo_sandbox.lake import lake
from dativo_sandbox.postgres import PostgresServer

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from dativo_sandbox.database import Database

FOLDER = Path(".dativo/demo").absolute()
WAREHOUSE = FOLDER / "lake"
PIPELINE = "meltano run tap-postgres target-dativo"

QUESTION = """
SELECT a.name AS airline, count(*) AS flights, round(avg(f.arr_delay), 1) AS delay
FROM lake.public_flights f JOIN lake.public_airlines a USING (carrier)
GROUP BY ALL ORDER BY delay DESC LIMIT 5
"""
CHANGES = """
UPDATE flights SET arr_delay = 0, updated_at = now() WHERE dest = 'HNL';
INSERT INTO flights (year, month, day, carrier, flight, origin, dest, distance)
SELECT 2014, 1, 1, 'HA', n, 'JFK', 'HNL', 4983 FROM generate_series(1, 5) n
"""
HONOLULU = (
    "SELECT count(*) AS flights, count(DISTINCT id) AS keys, "
    "sum(arr_delay) AS total_delay FROM lake.public_flights WHERE dest = 'HNL'"
)


def main() -> None:
    """Run the demo from beginning to end; leave the lake, and no process."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with PostgresServer() as server:
        say(f"A private PostgreSQL is up on port {server.port}.")
        shop = server.create_database("flights")
        counts = timed("Loading the flights of 2013", lambda: flights.load(shop))
        timed("Installing both plugins", lambda: meltano(shop, "install"))
        timed(f"$ {PIPELINE}", lambda: run_pipeline(shop))
        show_counts(counts)
        show(
            "The most delayed airlines, asked of the Iceberg tables by DuckDB", QUESTION
        )
        show("Flights to Honolulu", HONOLULU)
        show_bookmark()
        say("Now 707 of them change at the source, and 5 are new.")
        shop.execute(CHANGES)
        timed(f"$ {PIPELINE}", lambda: run_pipeline(shop))
        say(moved_by_last_run())
        show("Flights to Honolulu, after the second run", HONOLULU)
    say(f"The tables are in {WAREHOUSE.relative_to(Path.cwd())}. No process is left.")


def run_pipeline(source: Database) -> None:
    """Run the pipeline through Meltano, its state in the demo's own database."""
    meltano(source, *PIPELINE.split()[1:])


def meltano(source: Database, *arguments: str) -> None:
    """Run a Meltano command; show its log only if it fails."""
    program = Path(sys.executable).with_name("meltano")
    log = FOLDER / "meltano.log"
    with log.open("w") as output:
        done = subprocess.run(
            [program, "--environment=demo", *arguments],
            env={**os.environ, **environment(source)},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        say(log.read_text())
        sys.exit(f"meltano {' '.join(arguments)} ended with {done.returncode}.")


def environment(source: Database) -> dict[str, str]:
    """Return the settings of the pipeline as Meltano's environment variables."""
    settings = {
        f"TAP_POSTGRES_{name.upper()}": str(value)
        for name, value in source.tap_config().items()
    }
    return {
        **settings,
        "TARGET_DATIVO_WAREHOUSE": str(WAREHOUSE),
        "MELTANO_DATABASE_URI": f"sqlite:///{FOLDER / 'meltano.db'}",
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "NO_COLOR": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def show_counts(source: dict[str, int]) -> None:
    """Print the rows of every table at the source and in the lake."""
    with lake(WAREHOUSE) as engine:
        rows = [(name, count, _rows_of(engine, name)) for name, count in source.items()]
    say(table(("table", "PostgreSQL", "Iceberg"), rows))


def _rows_of(engine: duckdb.DuckDBPyConnection, name: str) -> int:
    [[count]] = engine.execute(f"FROM lake.public_{name} SELECT count(*)").fetchall()
    return int(count)


def show(title: str, sql: str) -> None:
    """Print what DuckDB answers."""
    with lake(WAREHOUSE) as engine:
        answer = engine.execute(sql)
        names = [column[0] for column in answer.description or ()]
        say(f"{title}:\n\n{table(names, answer.fetchall())}")


def show_bookmark() -> None:
    """Print the bookmark that was committed with the rows."""
    command = [str(Path(sys.executable).with_name("dativo")), "state", "show"]
    options = ["--warehouse", str(WAREHOUSE), "--stream", "public-flights"]
    done = subprocess.run(
        [*command, *options], check=True, stdout=subprocess.PIPE, text=True
    )
    bookmark = json.loads(done.stdout)["bookmarks"]["public-flights"]
    lines = [f"  {name}: {json.dumps(value)}" for name, value in bookmark.items()]
    say("\n".join(["The bookmark, committed together with the rows:\n", *lines]))


def moved_by_last_run() -> str:
    """Return what the second run moved, in the target's own words."""
    log = (FOLDER / "meltano.log").read_text()
    [count] = re.findall(r"Stream 'public-flights': (\d+) records read", log)
    return f"The second run moved {count} rows of flights."


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


if __name__ == "__main__":
    main()
