"""The tables of the reader matrix, and what is the same for all who read them."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import typing as t
from dataclasses import dataclass
from functools import partial

import pytest
from readers.cases import CASES
from target_parquet_iceberg import staging
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.snapshots import CostRule, SnapshotWriter
from target_parquet_iceberg.target import TargetParquetIceberg

if t.TYPE_CHECKING:
    from pathlib import Path

    from readers.cases import Case, Lines, Row


@dataclass(frozen=True)
class Lake:
    """A local warehouse with a table for each case.

    Attributes:
        locations: Where the metadata of each table lies.
    """

    warehouse: Path
    locations: dict[str, str]

    def load(self, name: str, case: Case) -> None:
        """Make the table of a case."""
        rest = {"enabled": False}  # it would merge what is to be read
        config = {"warehouse": str(self.warehouse), "maintenance": rest}
        for number, lines in enumerate(case.loads):
            own = case.overrides[number] if case.overrides else {}
            stream = {"streams": {"s": {"table": name, **own}}}
            state = {"type": "STATE", "value": {"bookmarks": {"s": {"v": number}}}}
            settings = {**config, **case.settings, **stream}
            run_target(settings, [*lines, state], case.rule)


def run_target(config: Row, lines: Lines, rule: CostRule | None = None) -> None:
    """Run the target in this process, with its rule for upserts changed."""
    before = {number: signal.getsignal(number) for number in (2, 15)}
    writer = partial(SnapshotWriter, rule=rule or CostRule())
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "SnapshotWriter", writer)
        with contextlib.redirect_stdout(io.StringIO()):
            TargetParquetIceberg(config=config).listen(io.BytesIO(data))
    for number, action in before.items():
        signal.signal(number, action)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """All tables of the matrix."""
    made = Lake(tmp_path_factory.mktemp("lake"), {})
    for name, case in CASES.items():
        made.load(name, case)
    with open_catalog({"warehouse": str(made.warehouse)}) as catalog:
        for name in CASES:
            table = catalog.load_table(("lake", name))
            made.locations[name] = table.metadata_location
    return made
