"""`make demo`: a private PostgreSQL, then a private Stripe, into Iceberg tables."""

from __future__ import annotations

import json
import re
import shutil
import typing as t
from pathlib import Path

from dativo_sandbox import demo_stripe, flights, stage
from dativo_sandbox.postgres import PostgresServer
from dativo_sandbox.stage import say, show, timed

if t.TYPE_CHECKING:
    from dativo_sandbox.database import Database

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
    shutil.rmtree(stage.FOLDER, ignore_errors=True)
    stage.FOLDER.mkdir(parents=True)
    timed("Installing the plugins", install)
    with PostgresServer() as server:
        say(f"A private PostgreSQL is up on port {server.port}.")
        play(server.create_database("flights"))
    demo_stripe.play()
    lake = stage.WAREHOUSE.relative_to(Path.cwd())
    say(f"The tables are in {lake}. No process is left.")


def install() -> None:
    """Install what the demo runs."""
    stage.meltano({}, "install", "extractor", "tap-postgres", "tap-stripe")
    stage.meltano({}, "install", "loader", "target-dativo")


def play(shop: Database) -> None:
    """Move the flights, change some, and move those."""
    counts = timed("Loading the flights of 2013", lambda: flights.load(shop))
    timed(f"$ {PIPELINE}", lambda: run_pipeline(shop))
    show_counts(counts)
    show("The most delayed airlines, asked of the Iceberg tables by DuckDB", QUESTION)
    show("Flights to Honolulu", HONOLULU)
    show_bookmark()
    say("Now 707 of them change at the source, and 5 are new.")
    shop.execute(CHANGES)
    timed(f"$ {PIPELINE}", lambda: run_pipeline(shop))
    say(moved_by_last_run())
    show("Flights to Honolulu, after the second run", HONOLULU)


def run_pipeline(source: Database) -> None:
    """Run the pipeline through Meltano, its state in the demo's own database."""
    settings = stage.as_environment("tap-postgres", source.tap_config())
    stage.meltano(settings, *PIPELINE.split()[1:])


def show_counts(source: dict[str, int]) -> None:
    """Print the rows of every table at the source and in the lake."""
    rows = [
        (name, count, stage.count_rows(f"public_{name}"))
        for name, count in source.items()
    ]
    say(stage.table(("table", "PostgreSQL", "Iceberg"), rows))


def show_bookmark() -> None:
    """Print the bookmark that was committed with the rows."""
    told = stage.dativo("state", "show", "--stream", "public-flights")
    bookmark = json.loads(told)["bookmarks"]["public-flights"]
    lines = [f"  {name}: {json.dumps(value)}" for name, value in bookmark.items()]
    say("\n".join(["The bookmark, committed together with the rows:\n", *lines]))


def moved_by_last_run() -> str:
    """Return what the second run moved, in the target's own words."""
    log = stage.LOG.read_text()
    [count] = re.findall(r"Stream 'public-flights': (\d+) records read", log)
    return f"The second run moved {count} rows of flights."


if __name__ == "__main__":
    main()
