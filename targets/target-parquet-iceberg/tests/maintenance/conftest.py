"""A table that tests load and maintain at any time of day."""

from __future__ import annotations

import itertools
import time

import pyarrow as pa
import pytest
from target_parquet_iceberg.iceberg import IcebergWarehouse
from target_parquet_iceberg.maintenance import Maintenance, health_of
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.policy import Budget, Policy
from target_parquet_iceberg.snapshots import CostRule
from target_parquet_iceberg.table import Commit

DAY = 86_400
NO_HISTORY = Policy(keep_snapshots=2, keep_days=0)
PARTS = {"id": {"type": "integer"}, "v": {"type": ["string", "null"]}}


@pytest.fixture(autouse=True)
def _position_deletes(monkeypatch):
    """Let upserts write delete files, however small the data files are."""
    values = {"small_bytes": 0, "all_small_bytes": 0, "hit_ratio": 1.0}

    def set_fields(self, **_given):
        for name, value in values.items():
            object.__setattr__(self, name, value)

    monkeypatch.setattr(CostRule, "__init__", set_fields)


class Yard:
    """A table with a run that loads it, and maintenance at any time of day."""

    def __init__(self, lake, keys=("id",), catalog=None):
        self.lake = lake
        self.catalog = catalog or lake.catalog
        self.plan = plan(Schema("s", {"properties": PARTS}, keys), {})

    def open(self, run_id="r1"):
        warehouse = IcebergWarehouse(
            self.catalog, "lake", run_id, lambda _attempt: None
        )
        return warehouse.table(self.plan)

    def commit(self, table, first, last, value, method=Method.UPSERT, **more):
        rows = pa.table({"id": range(first, last), "v": [value] * (last - first)})
        table.commit(Commit(rows, method, self.plan.keys, {"n": value}, **more))

    @property
    def table(self):
        return self.catalog.load_table(("lake", "s"))

    def maintain(self, policy=NO_HISTORY, days=0.0, thorough=True, table=None):
        clock = itertools.count().__next__
        policy = policy.thorough(1_000) if thorough else policy
        budget = Budget(policy, lambda: clock() / 1_000)
        now = lambda: time.time() + 1 + days * DAY  # noqa: E731
        return Maintenance(policy, budget, now).visit(table or self.table)

    def rows(self):
        """Return the rows, as both engines agree."""
        ours = [
            (row["id"], row["v"]) for row in self.table.scan().to_arrow().to_pylist()
        ]
        theirs = self.lake.query("SELECT id, v FROM lake.s")
        assert sorted(ours) == sorted(theirs)
        return sorted(ours)

    def files(self, pattern="**/*"):
        return {p for p in (self.lake.folder / "lake").glob(pattern) if p.is_file()}

    def health(self, policy=NO_HISTORY):
        return health_of(self.table, policy, time.time() + 1)

    def read_everything(self):
        """Read every snapshot and every branch that is left; return the row counts."""
        table = self.table
        heads = {ref.snapshot_id for ref in table.refs().values()}
        ids = {snapshot.snapshot_id for snapshot in table.metadata.snapshots}
        assert heads <= ids
        return {n: table.scan(snapshot_id=n).to_arrow().num_rows for n in ids}


@pytest.fixture
def new_yard():
    """Let a test choose the keys or the catalog of its yard."""
    return Yard


@pytest.fixture
def yard(lake):
    """A yard whose table has the key `id`."""
    return Yard(lake)
