"""`python tests/chaos/kills.py`: long loads of a database, killed again and again.

Each load is one table through tap and target, once as records and once in files. What
each kill has cost, and what the table holds at the end, are lines of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import typing as t
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from big_tables import SOURCES, filled
from harness import BrokenPromiseError
from interrupted import Interrupted, Way, plan

if t.TYPE_CHECKING:
    from big_tables import BigTable

WAYS = {"records": False, "files": True}


def main() -> int:
    """Load the table in every way; return 0 if it is whole each time."""
    options = _options()
    source = SOURCES[options.source]
    with filled(source, options.rows) as table, TemporaryDirectory() as folder:
        for name in options.way or WAYS:
            try:
                is_right = _load(table, name, Path(folder), options)
            except BrokenPromiseError as error:
                sys.stderr.write(f"Seed {options.seed}: {error}\n")
                is_right = False
            if not is_right:
                return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--source", choices=SOURCES, default="mariadb")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument(
        "--parallel-chunks",
        type=int,
        action="append",
        help="Of each run; several take turns. Default: 1 and 2.",
    )
    parser.add_argument("--chunk-rows", type=int, default=100_000)
    parser.add_argument("--commit-rows", type=int, default=1_000_000)
    return parser.parse_args()


def _load(table: BigTable, name: str, base: Path, options: argparse.Namespace) -> bool:
    folder = base / name
    folder.mkdir()
    way = Way(
        in_files=WAYS[name],
        chunk_rows=options.chunk_rows,
        commit_rows=options.commit_rows,
        parallel=tuple(options.parallel_chunks or (1, 2)),
    )
    random = Random(f"{options.seed} {name}")  # noqa: S311
    load = Interrupted(table, way, folder, random, _tell)
    started = time.monotonic()
    totals = load.play(plan(options.kills, table.rows, random))
    seconds = round(time.monotonic() - started, 1)
    found = table.found(load.warehouse)
    told = {"source": options.source, "way": name, "seed": options.seed}
    _tell(**told, parallel_chunks=way.parallel, **totals, **found, seconds=seconds)
    is_whole = not (found["missing"] or found["duplicates"] or found["other_values"])
    return is_whole and totals["kills"] == options.kills


def _tell(**figures: t.Any) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
