"""Where the tables lie, and what PyIceberg and DuckDB read there."""

from __future__ import annotations

import json
import typing as t
from collections import Counter

from dativo_sandbox import lake
from pyiceberg.exceptions import NoSuchTableError
from target_parquet_iceberg.bookmarks import Bookmarks
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.rewrite import MAINTENANCE
from target_parquet_iceberg.staging import RUN_ID

if t.TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.table import Table

Rows: t.TypeAlias = "Counter[tuple[tuple[str, t.Any], ...]]"
METHODS = {"keyed": "append-only", "keyless": "append-only", "upsert": "upsert"}


def counted(rows: t.Iterable[dict[str, t.Any]]) -> Rows:
    """Count equal rows."""
    return Counter(tuple(sorted(row.items())) for row in rows)


class Lake:
    """One table of one catalog."""

    def __init__(self, folder: Path, base: dict[str, t.Any], mode: str) -> None:
        self.settings = {
            "warehouse": str(folder / "lake"),
            **base,
            "namespace": folder.name,
            "dead_letter": {"path": str(folder / "dead")},
            "commit_max_rows": 8,
        }
        if mode in METHODS:
            self.settings["load_method"] = METHODS[mode]
        folder.mkdir()
        self.config = folder / "target.json"
        self.config.write_text(json.dumps(self.settings))
        self._catalog = open_catalog(self.settings)

    def table(self) -> Table | None:
        """Load the table, if a run has made it."""
        try:
            return self._catalog.load_table((self.settings["namespace"], "t"))
        except NoSuchTableError:
            return None

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

    def state(self) -> dict[str, t.Any]:
        """Return what `dativo state show` prints."""
        return {"bookmarks": Bookmarks(self.settings).all()}
