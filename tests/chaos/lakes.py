"""Where the tables lie, and what readers find there."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from dataclasses import replace

from dativo_core.dead_letters import LocalFolder
from dativo_core.letter_files import kept_letters
from dativo_sandbox import lake
from pyiceberg.exceptions import NoSuchTableError
from target_parquet_iceberg.bookmarks import open_bookmarks
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.parquet_files import Files, hidden
from target_parquet_iceberg.parquet_log import Log
from target_parquet_iceberg.parquet_store import open_stores
from target_parquet_iceberg.rewrite import MAINTENANCE
from target_parquet_iceberg.staging import RUN_ID

if t.TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.table import Table

Rows: t.TypeAlias = "Counter[tuple[tuple[str, t.Any], ...]]"
Letter: t.TypeAlias = tuple[str, str]
METHODS = {"keyed": "append-only", "keyless": "append-only", "upsert": "upsert"}


def counted(rows: t.Iterable[dict[str, t.Any]]) -> Rows:
    """Count equal rows."""
    return Counter(tuple(sorted(row.items())) for row in rows)


class Home:
    """The folder of one round, and the settings of its target."""

    def __init__(self, folder: Path, base: dict[str, t.Any], mode: str) -> None:
        self.folder = folder
        base = dict(base)
        self.staging = ""
        if base.pop("files", False):
            self.staging = str(folder / "lake" / "_staging")
        self.settings = {
            "warehouse": str(folder / "lake"),
            **base,
            "namespace": folder.name,
            "dead_letter": {"path": str(folder / "dead"), "max_ratio": 1},
            "commit_max_rows": 8,
        }
        # In every other round rows go ahead of their commits.
        if folder.name[-1] in "02468":
            self.settings["buffer_max_bytes"] = 1
        if mode in METHODS:
            self.settings["load_method"] = METHODS[mode]
        folder.mkdir()
        self.config = folder / "target.json"
        self.config.write_text(json.dumps(self.settings))

    def letters(self) -> Counter[Letter]:
        """Return the dead letters of all files: id and record of each."""
        kept = kept_letters(LocalFolder(self.folder / "dead"), "t")
        return Counter((one.id, one.content["record"]) for one in kept)

    def letters_of_table(self) -> Counter[Letter] | None:
        """Return the same of their table, if the format has one."""
        return None

    def state(self) -> dict[str, t.Any]:
        """Return what `dativo state show` prints."""
        if not self.has_begun:
            return {"bookmarks": {}}
        return {"bookmarks": open_bookmarks(self.settings).all()}

    @property
    def has_begun(self) -> bool:
        """Tell whether there is a warehouse."""
        return True


class Lake(Home):
    """One table of one catalog."""

    def __init__(self, folder: Path, base: dict[str, t.Any], mode: str) -> None:
        super().__init__(folder, base, mode)
        self._catalog = open_catalog(self.settings)

    def table(self) -> Table | None:
        """Load the table, if a run has made it."""
        try:
            return self._catalog.load_table((self.settings["namespace"], "t"))
        except NoSuchTableError:
            return None

    def letters_of_table(self) -> Counter[Letter]:
        """Return the dead letters of their table."""
        try:
            table = self._catalog.load_table((self.settings["namespace"], "t__dlq"))
        except NoSuchTableError:
            return Counter()
        found = table.scan(selected_fields=("id", "record")).to_arrow().to_pylist()
        return Counter((row["id"], row["record"]) for row in found)

    def rows(self) -> Rows:
        """Return the rows as PyIceberg reads them."""
        table = self.table()
        return counted(table.scan().to_arrow().to_pylist() if table else [])

    def rows_of_duckdb(self) -> Rows:
        """Return the rows as DuckDB reads them."""
        table = self.table()
        if table is None:
            return Counter()
        storage = self.settings.get("storage_options")
        with lake.connect(storage) as engine:
            lake.add_view(engine, "lake", "t", table.metadata_location)
            found = engine.execute("FROM lake.t").to_arrow_table()
        return counted(found.to_pylist())

    def runs(self) -> list[str]:
        """Return the runs that wrote the snapshots, the oldest snapshot first.

        Maintenance is no run's word: it may tidy the table while another run's full
        load goes on in a branch, and carries the mark of the run that it tidies after.
        """
        table = self.table()
        snapshots = table.snapshots() if table else []
        ordered = sorted(snapshots, key=lambda snapshot: snapshot.sequence_number or 0)
        told = [snapshot.summary for snapshot in ordered if snapshot.summary]
        return [str(s.get(RUN_ID)) for s in told if s.get(MAINTENANCE) is None]

    def early(self, before: Rows) -> Rows:  # noqa: ARG002 readers see the table only
        """Return rows that readers see although they are not in the table."""
        return Counter()


class Folder(Home):
    """One folder of plain Parquet."""

    def __init__(self, folder: Path, base: dict[str, t.Any], mode: str) -> None:
        super().__init__(folder, base, mode)
        self._path = folder / "lake" / folder.name / "t"
        stores = open_stores({**self.settings, "storage_options": {}})
        self._store = stores(f"{folder.name}/t")
        self._log = Log(self._store, "t", lambda _attempt: None)
        self._runs: dict[int, str] = {}

    @property
    def has_begun(self) -> bool:
        """Tell whether there is a warehouse."""
        return self._path.is_dir()

    def rows(self) -> Rows:
        """Return the rows of the table, those that are still hidden too."""
        entry = self._log.newest()
        if entry is None:
            return Counter()
        self._note(entry.sequence)
        files = Files(self._store, "reader")
        found: Rows = Counter()
        for file in entry.files:
            is_waiting = (self._path / hidden(file.path)).exists()
            path = hidden(file.path) if is_waiting else file.path
            rows = files.read(replace(file, path=path), entry.columns)
            found += counted(rows.to_pylist())
        return found

    def rows_of_duckdb(self) -> Rows:
        """Return what a glob finds."""
        if not any(self._path.glob("*.parquet")):
            return Counter()
        sql = f"FROM read_parquet('{self._path}/**/*.parquet', union_by_name=true)"
        with lake.connect() as engine:
            return counted(engine.execute(sql).to_arrow_table().to_pylist())

    def early(self, before: Rows) -> Rows:
        """Return rows that a glob finds although they are not in the table.

        Who is killed when the entry of a swap is durable leaves the old load to a glob,
        whole or in part, but nothing of the new one beside it.
        """
        found = self.rows_of_duckdb()
        return Counter() if found <= before else found - self.rows()

    def runs(self) -> list[str]:
        """Return the runs that wrote the entries, the oldest first."""
        return [run for _, run in sorted(self._runs.items())]

    def _note(self, newest: int) -> None:
        """Remember who wrote the entries, before they are deleted."""
        entry = self._log.read(newest)
        while entry is not None:
            self._runs[entry.sequence] = entry.run_id
            entry = self._log.read(entry.sequence - 1)
