#!/usr/bin/env python3
"""Measure how fast rows get from a database into files, ours beside others.

Every contender runs in fresh processes and a fresh folder, and its time counts only if
its result holds the rows of the source. A run that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

import report
import sections
import sources
from contenders import CONTENDERS, DATA
from environments import BENCH, OURS, ROOT, install, install_ours
from journal import Journal
from progress import say
from race import Race

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the data, run all rounds, write the report."""
    options = parser().parse_args(arguments)
    names = chosen(options.only, peers=options.peers, is_quick=options.quick)
    install_all(names)
    order = {"names": names, "rows": options.rows, "rounds": options.rounds}
    journal = Journal(options.journal, order | {"commit": commit()})
    load = os.getloadavg()[0]
    needed = {DATA[CONTENDERS[name].data].source for name in names}
    with tempfile.TemporaryDirectory() as folder, sources.started(needed) as servers:
        race = Race(servers, options.rows, Path(folder), journal)
        results = race.run(names, options.rounds)
        parts = {} if options.only else measured(options.rows, Path(folder))
        versions = [server.version for server in servers.values()]
    text = report.page(results, parts, versions, load)
    sections.write(options.output, "bench", text)
    journal.close()
    say(text)


def parser() -> argparse.ArgumentParser:
    """Return the words of the command line."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("--rows", type=int, default=200_000)
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--only", action="append", choices=list(CONTENDERS))
    found.add_argument(
        "--peers", action="store_true", help="also other projects, from PyPI"
    )
    found.add_argument(
        "--quick", action="store_true", help="without what takes minutes"
    )
    found.add_argument("--output", type=Path, default=Path("output/bench.md"))
    found.add_argument(
        "--journal",
        type=Path,
        default=Path("output/bench.jsonl"),
        help="where runs are kept until the report is written",
    )
    return found


def chosen(only: Sequence[str] | None, *, peers: bool, is_quick: bool) -> list[str]:
    """Return the names of the contenders to run."""
    if only:
        return [name for name in CONTENDERS if name in only]
    return [
        name
        for name, it in CONTENDERS.items()
        if (peers or not it.peers) and (it.is_quick or not is_quick)
    ]


def install_all(names: Sequence[str]) -> None:
    """Give every program an environment."""
    say("Installing ...")
    install_ours()
    for peer in sorted({peer for name in names for peer in CONTENDERS[name].peers}):
        install(peer)


def measured(rows: int, folder: Path) -> dict[str, float]:
    """Measure parts by themselves, on the rows that the pipes have moved."""
    say("parts: Parquet files, and a tap's records ...")
    found = folder / "parts.json"
    dsn, charges = folder / "data/orders/dsn.txt", rows // DATA["charges"].share
    command = (OURS / "bin" / "python", BENCH / "parts.py", dsn, str(charges), found)
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    parts: dict[str, float] = json.loads(found.read_text(encoding="utf-8"))
    return parts


def commit() -> str:
    """Return what is measured: the commit, and whether files differ from it."""
    command = ("git", "describe", "--always", "--dirty", "--abbrev=40")
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    return done.stdout.decode().strip()


if __name__ == "__main__":
    main()
