"""One kind of rows, ready to be moved, and what it takes for a run to count."""

from __future__ import annotations

import json
import shutil
import subprocess
import typing as t
from pathlib import Path

import checksums
import duckdb
import measure
from contenders import PREPARED, SETTINGS
from dativo_sandbox import lake
from environments import BENCH, OURS, PEERS

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checksums import Facts
    from contenders import Contender, Data
    from sources import Source
    from tables import Table


class Course:
    """Rows of one kind.

    Args:
        data: What they are.
        rows: How many rows each table gets.
        source: The server that makes them, if they come from one.
        folder: Where files are made, named as the rows are.
        work: The folder of a run, fresh for each.
    """

    def __init__(
        self, data: Data, rows: int, source: Source | None, folder: Path, work: Path
    ) -> None:
        self._data, self._asked = data, rows
        self._folder, self._work = folder, work
        folder.mkdir(parents=True)
        self._facts: list[Facts] = []
        if source is not None:
            self._facts = source.make(data.tables, rows, folder)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        if not self._facts:
            return self._asked
        return sum(int(count) for count, *_ in self._facts)

    def prepare(self, contenders: Iterable[Contender]) -> None:
        """Make the files that contenders name."""
        words = " ".join(" ".join((it.stdin, *it.pipe)) for it in contenders)
        for name, command in PREPARED[self._data.source].items():
            if f"{{data}}/{name}" in words:
                self._keep(self._filled(self._filled(command)), self._folder / name)

    def run(self, contender: Contender) -> measure.Run:
        """Run a contender once.

        Raises:
            FailedError: if a program fails, or if its result is not the source's rows.
        """
        shutil.rmtree(self._work, ignore_errors=True)
        (self._work / "csv").mkdir(parents=True)
        for name, settings in SETTINGS.items():
            content = json.dumps(self._settings(settings))
            (self._work / name).write_text(content, encoding="utf-8")
        pipe = [self._filled(line).split() for line in contender.pipe]
        run = measure.run(pipe, self._filled(contender.stdin), self._work)
        self._check(contender)
        return run

    def _keep(self, command: str, path: Path) -> None:
        with path.open("wb") as file, path.with_suffix(".log").open("wb") as said:
            subprocess.run(command.split(), check=True, stdout=file, stderr=said)
        if path.name.endswith("catalog.json"):
            select_all(path)

    def _settings(self, value: t.Any) -> t.Any:
        if isinstance(value, list):
            return [self._settings(part) for part in value]
        if not isinstance(value, dict):
            return self._filled(value)
        filled = {key: self._settings(part) for key, part in value.items()}
        base = filled.pop("@", None)
        # Rows from a file have no tap, and so no settings of one.
        has_base = base is not None and Path(base).exists()
        found = json.loads(Path(base).read_text(encoding="utf-8")) if has_base else {}
        return {**found, **filled}

    def _filled(self, text: str, table: Table | None = None) -> str:
        names = [it.name for it in self._data.tables]
        return text.format(
            bench=BENCH,
            data=self._folder,
            made_by=self._data.made_by,
            peers=PEERS,
            programs=OURS / "bin",
            rows=self._asked,
            table=table.name if table else names[0],
            tables=",".join(names),
            work=self._work,
        )

    def _check(self, contender: Contender) -> None:
        try:
            with self._opened() as engine:
                pairs = list(self._compared(engine, contender))
        except duckdb.Error as error:
            msg = f"{contender.title}: its result cannot be read: {error}"
            raise measure.FailedError(msg) from error
        for expected, found in pairs:
            if expected != found:
                msg = f"{contender.title}: {found} arrived, and not {expected}."
                raise measure.FailedError(msg)

    def _opened(self) -> t.ContextManager[duckdb.DuckDBPyConnection]:
        warehouse = self._work / "lake"
        return lake.lake(warehouse) if warehouse.exists() else lake.connect()

    def _compared(
        self, engine: duckdb.DuckDBPyConnection, contender: Contender
    ) -> Iterator[tuple[Facts, Facts]]:
        """Yield what must have arrived, and what has, table by table."""
        if contender.result is None:
            yield (str(self.rows),), (str(counted(measure.log(self._work, 0))),)
            return
        for number, table in enumerate(self._data.tables):
            rows = self._filled(contender.result, table)
            if not self._facts:
                singer = str(self._folder / "rows.singer")
                found = checksums.in_lake(engine, rows)
                yield checksums.in_file(engine, singer, rows), found
            else:
                facts = checksums.in_duckdb(table, is_text=contender.is_text)
                [found] = engine.execute(f"SELECT {facts} FROM {rows}").fetchall()  # noqa: S608 our own
                yield self._facts[number], found


def select_all(path: Path) -> None:
    """Select every stream of a catalog, since some taps select none by themselves."""
    catalog = json.loads(path.read_text(encoding="utf-8"))
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = True
                if path.name.startswith("peer"):
                    entry["metadata"]["replication-method"] = "FULL_TABLE"
    path.write_text(json.dumps(catalog), encoding="utf-8")


def counted(log: Path) -> int:
    """Return how many records a tap says that it sent, in the SDK's metrics."""
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    metrics = [line.get("metric_info", {}) for line in lines]
    return sum(m["value"] for m in metrics if m.get("metric") == "record_count")
