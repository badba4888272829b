#!/usr/bin/env python3
"""Measure how fast rows get from PostgreSQL into files, ours beside others.

Every contender runs once in every round, in a fresh process and a fresh folder, and
its time counts only if its result holds the rows of the source.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import charges
import data
import measure
import report
from contenders import CONTENDERS, DATA, PREPARED, SETTINGS, Contender
from dativo_sandbox import lake
from dativo_sandbox.postgres import PostgresServer
from uv import find_uv_bin

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from dativo_sandbox.database import Database

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
PEERS = ROOT / ".dativo" / "peers"
OURS = ROOT / ".dativo" / "bench"
PACKAGES = ("dativo-tap-postgres", "dativo-target-parquet-iceberg")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the data, run all rounds, write the report."""
    options = parser().parse_args(arguments)
    names = chosen(options.only, peers=options.peers, is_quick=options.quick)
    install_ours()
    for peer in sorted({peer for name in names for peer in CONTENDERS[name].peers}):
        install(peer)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        race = Race(server.create_database("bench"), options.rows, Path(folder))
        runs = race.run(names, options.rounds)
        page = report.page(options.rows, runs, race.server, load)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page, encoding="utf-8")
    say(page)


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


def install_ours() -> None:
    """Give our programs what users have: no tool of ours, no pandas, all compiled."""
    packages = [f"--package={name}" for name in PACKAGES]
    python = f"--python={sys.executable}"
    options = ("--frozen", "--no-default-groups", "--compile-bytecode", python)
    uv("sync", *options, *packages, UV_PROJECT_ENVIRONMENT=str(OURS))


def install(peer: str) -> None:
    """Give another project's package an environment of its own, as pinned."""
    pins = json.loads((BENCH / "peers.json").read_text(encoding="utf-8"))[peer]
    venv = PEERS / peer
    complete = venv / "pins.json"
    if complete.exists() and json.loads(complete.read_text(encoding="utf-8")) == pins:
        return
    uv("venv", "--clear", "--python", sys.executable, str(venv))
    python = str(venv / "bin" / "python")
    uv("pip", "install", "--compile-bytecode", "--python", python, *pins)
    complete.write_text(json.dumps(pins), encoding="utf-8")


def uv(*arguments: str, **variables: str) -> None:
    """Run uv with the Python that is here."""
    subprocess.run(
        [find_uv_bin(), "--quiet", *arguments],
        check=True,
        cwd=ROOT,
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never", **variables},
    )


class Race:
    """One table, one set of contenders, many rounds."""

    def __init__(self, source: Database, rows: int, folder: Path) -> None:
        self._data, self._work = folder / "data", folder / "work"
        self._data.mkdir()
        say(f"Making {rows:,} rows ...")
        data.create(source, rows)
        self._charges = rows // DATA["charges"].share
        self._facts = {
            "orders": data.facts(source),
            "charges": charges.facts(self._charges),
        }
        [[self.server]] = source.query("SHOW server_version")
        settings = source.tap_config() | {"filter_schemas": ["public"]}
        (self._data / "tap.json").write_text(json.dumps(settings), encoding="utf-8")
        (self._data / "dsn.txt").write_text(source.dsn, encoding="utf-8")

    def run(self, names: Sequence[str], rounds: int) -> dict[str, list[measure.Run]]:
        """Run each contender once a round, another one first in each."""
        runs: dict[str, list[measure.Run]] = {name: [] for name in names}
        self._prepare([CONTENDERS[name] for name in names])
        for number in range(rounds):
            start = number % len(names)
            for name in [*names[start:], *names[:start]]:
                runs[name].append(self._once(CONTENDERS[name]))
                say(f"round {number + 1}: {name} {runs[name][-1].seconds:.2f} s")
        return runs

    def _prepare(self, contenders: Sequence[Contender]) -> None:
        words = " ".join(" ".join((it.stdin, *it.pipe)) for it in contenders)
        for name, command in PREPARED.items():
            if f"{{data}}/{name}" in words:
                self._keep(self._filled(command).split(), self._data / name)

    def _keep(self, command: Sequence[str], path: Path) -> None:
        with path.open("wb") as file:
            subprocess.run(command, check=True, stdout=file, stderr=subprocess.DEVNULL)
        if path.name.endswith("catalog.json"):
            select_all(path)

    def _once(self, contender: Contender) -> measure.Run:
        shutil.rmtree(self._work, ignore_errors=True)
        (self._work / "csv").mkdir(parents=True)
        for name, settings in SETTINGS.items():
            filled = self._settings(settings)
            (self._work / name).write_text(json.dumps(filled), encoding="utf-8")
        pipe = [[self._filled(w) for w in line.split()] for line in contender.pipe]
        run = measure.run(pipe, self._filled(contender.stdin), self._work)
        self._check(contender)
        return run

    def _settings(self, value: t.Any) -> t.Any:
        if not isinstance(value, dict):
            return self._filled(str(value))
        filled = {key: self._settings(part) for key, part in value.items()}
        base = filled.pop("@", None)
        found = json.loads(Path(base).read_text(encoding="utf-8")) if base else {}
        return {**found, **filled}

    def _filled(self, text: str) -> str:
        return text.format(
            bench=BENCH,
            charges=self._charges,
            data=self._data,
            peers=PEERS,
            programs=OURS / "bin",
            work=self._work,
        )

    def _check(self, contender: Contender) -> None:
        expected, found = self._facts[contender.data], self._stored(contender)
        if contender.result is None:
            expected = expected[:1]
        if tuple(map(str, found)) != tuple(map(str, expected)):
            msg = f"{contender.title}: {found} arrived, and not {expected}."
            raise measure.FailedError(msg)

    def _stored(self, contender: Contender) -> tuple[t.Any, ...]:
        if contender.result is None:
            return (counted(measure.log(self._work, 0)),)
        facts, rows = DATA[contender.data].facts, self._filled(contender.result)
        sql = f"SELECT {facts} FROM {rows}"  # noqa: S608 our own
        warehouse = self._work / "lake"
        opened = lake.lake(warehouse) if warehouse.exists() else lake.connect()
        with opened as engine:
            return engine.execute(sql).fetchall()[0]


def select_all(path: Path) -> None:
    """Select every stream of a catalog, since some taps select none by themselves."""
    catalog = json.loads(path.read_text(encoding="utf-8"))
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = True
    path.write_text(json.dumps(catalog), encoding="utf-8")


def counted(log: Path) -> int:
    """Return how many records a tap says that it sent, in the SDK's metrics."""
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    metrics = [line.get("metric_info", {}) for line in lines]
    return sum(m["value"] for m in metrics if m.get("metric") == "record_count")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
