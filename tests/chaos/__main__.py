"""`python tests/chaos --kills 1000`: the kill matrix, and its totals as JSON lines."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import typing as t
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from dativo_sandbox.seaweedfs import SeaweedServer
from harness import BrokenPromiseError, Round
from lakes import Folder, Lake
from source import MODES, PLAIN_MODES

# How many kills each gets; the REST catalog is slower. `parquet` has no catalog, and
# with `files` the rows come in files, to the catalog of `sqlite`.
SHARES = {"sqlite": 4, "rest": 1, "parquet": 4, "files": 2}


def main() -> int:
    """Play rounds in every mode until the kills are used up."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--catalog", choices=SHARES, action="append")
    parser.add_argument("--mode", choices=MODES, action="append")
    parser.add_argument("--keep", type=Path, help="Leave the tables in this folder.")
    options = parser.parse_args()
    catalogs = options.catalog or list(SHARES)
    sums: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        modes = {name: _modes(name, options.mode) for name in catalogs}
        whole = sum(SHARES[name] * len(modes[name]) for name in catalogs)
        for catalog in catalogs:
            base = stack.enter_context(_catalog(catalog))
            for mode in modes[catalog]:
                quota = -(-options.kills * SHARES[catalog] // whole)
                random = Random(f"{options.seed} {catalog} {mode}")  # noqa: S311
                started = time.monotonic()
                try:
                    totals = _play(mode, quota, random, base, folder / catalog)
                except BrokenPromiseError as error:
                    sys.stderr.write(f"Seed {options.seed}: {error}\n")
                    return 1
                sums += totals
                seconds = round(time.monotonic() - started, 1)
                _tell(catalog=catalog, mode=mode, seconds=seconds, **totals)
    _tell(seed=options.seed, **{"lost": 0, "duplicate": 0, **sums})
    return 0


def _modes(catalog: str, chosen: list[str] | None) -> list[str]:
    possible = PLAIN_MODES if catalog == "parquet" else MODES
    return [mode for mode in possible if mode in (chosen or MODES)]


def _play(
    mode: str, quota: int, random: Random, base: dict[str, t.Any], folder: Path
) -> Counter[str]:
    totals: Counter[str] = Counter(kills=0, fenced=0, lost=0, duplicate=0)
    while totals["kills"] < quota:
        totals["rounds"] += 1
        home = folder.with_name(f"{folder.name}_{mode}_{totals['rounds']}")
        lake = (Folder if base.get("format") else Lake)(home, base, mode)
        Round(mode, lake, home, random, totals).play(quota)
    return totals


@contextlib.contextmanager
def _catalog(name: str) -> t.Iterator[dict[str, t.Any]]:
    if name != "rest":
        yield {"parquet": {"format": "parquet"}, "files": {"files": True}}.get(name, {})
        return
    with SeaweedServer() as server:
        yield {
            "warehouse": server.warehouse,
            "catalog": server.rest_catalog_properties(),
            "storage_options": server.storage_options(),
        }


def _tell(**totals: t.Any) -> None:
    sys.stdout.write(json.dumps(totals) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
