"""Random histories of loads: after every step the table is what a model says."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
import typing as t
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from dativo_core.dead_letters import DeadLetterOffice, LocalFolder
from dativo_core.dead_letters import Limits as DeadLetterLimits
from dativo_core.errors import FencedError, IncompleteError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pyiceberg.exceptions import NoSuchTableError
from target_parquet_iceberg import messages
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.iceberg import IcebergWarehouse
from target_parquet_iceberg.limits import Limits
from target_parquet_iceberg.load import Load
from target_parquet_iceberg.staging import Fence, fence_of

# PyIceberg, the foreign writer here, has no bloom filters and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Parquet writer option")

FOREIGN = -1
VALUES = st.tuples(st.integers(0, 3), st.integers(0, 2))
FIRST = [(1, 1), (2, 1), (1, 1), (1, 2), (2, 1), (1, 1)]
MODES = {"keyless": "append-only", "keyed": "append-only", "upsert": "upsert"}


def no_pause(_attempt: int) -> None:
    """Do not wait: nobody else is there."""


def counted(rows: t.Iterable[dict[str, t.Any]]) -> Counter[t.Any]:
    """Count equal rows; a column that is null may as well be absent."""
    return Counter(
        tuple(sorted((k, v) for k, v in row.items() if v is not None)) for row in rows
    )


class Run:
    """A tap at a position of the source, and a load that takes what it sends."""

    def __init__(self, machine: LoadsEqualAModel, run_id: str, start: int) -> None:
        machine.begun.append(self)
        self.machine = machine
        self.at = start
        self.columns: list[str] | None = None
        self.sent: list[tuple[int, dict[str, t.Any]]] = []
        self.load = Load(
            warehouse=IcebergWarehouse(machine.catalog, "lake", run_id, no_pause),
            dead_letters=DeadLetterOffice(
                LocalFolder(machine.folder / "dead"), run_id, DeadLetterLimits(0, 0, 0)
            ),
            emit=self.emitted,
            clock=lambda: 0.0,
            settings={"load_method": MODES[machine.mode]},
            limits=Limits(rows=1, memory=next(machine.memories)),
        )
        self.load.state(self.value)  # SDK taps tell where they start
        self.describe()
        self.sequence = machine.sequence

    @property
    def value(self) -> dict[str, t.Any]:
        """The STATE of the position."""
        return {"bookmarks": {"s": {"at": self.at}} if self.at else {}}

    def describe(self) -> None:
        """Send SCHEMA, if it is news."""
        known = [*self.machine.columns, str(self.machine.is_wide)]
        if self.columns == known:
            return
        self.columns = known
        keys = () if self.machine.mode == "keyless" else ("id",)
        limits = {"minimum": 0, "maximum": 9}
        number = {"type": ["integer", "null"]}
        narrow = number if self.machine.is_wide else number | limits
        properties = dict.fromkeys(self.machine.columns, number) | {"v": narrow}
        schema = {"properties": {"id": number} | properties}
        self.load.schema(messages.Schema("s", schema, keys))

    def send(self, count: int) -> None:
        """Send rows."""
        self.describe()
        for row in self.machine.source[self.at : self.at + count]:
            raw = json.dumps(row).encode()
            self.load.record(messages.Record("s", raw, None, None))
            self.at += 1
            self.sent.append((self.at, row))

    def emitted(self, value: dict[str, t.Any]) -> None:
        """Take a STATE: what it covers must be in the table."""
        at = value["bookmarks"].get("s", {}).get("at", 0)
        self.machine.states.append(at)
        self.stored(at)

    def stored(self, at: int) -> None:
        """Tell the model what is in the table now."""
        self.machine.apply([row for end, row in self.sent if end <= at], at)
        self.sent = [(end, row) for end, row in self.sent if end > at]


class LoadsEqualAModel(RuleBasedStateMachine):
    """Two runs at a time, a source that grows, crashes, and another engine."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.folder = Path(self.home.name)
        self.catalog = open_catalog({"warehouse": str(self.folder)})
        self.names = itertools.count()
        self.source: list[dict[str, t.Any]] = []
        self.columns = ["v"]
        self.is_wide = False
        self.runs: list[Run] = []
        self.begun: list[Run] = []
        self.states = [0]
        self.reached = 0
        self.stored: Counter[t.Any] = Counter()
        self.by_key: dict[int, dict[str, t.Any]] = {}
        self.foreign: Counter[t.Any] = Counter()
        # Every other run holds nothing in memory, so that its rows go ahead of commits.
        self.memories = itertools.cycle((1, 2**20))

    @initialize(mode=st.sampled_from(sorted(MODES)), values=st.lists(VALUES))
    def begin(self, mode: str, values: list[tuple[int, int]]) -> None:
        self.mode = mode
        self.grow([*values, *FIRST])
        self.runs += [Run(self, "first", 0), Run(self, "second", 0)]

    def teardown(self) -> None:
        for run in self.begun:
            run.load.abandon()
        self.catalog.close()
        self.home.cleanup()

    def table(self) -> t.Any:
        try:
            return self.catalog.load_table(("lake", "s"))
        except NoSuchTableError:
            return None

    @property
    def sequence(self) -> Fence:
        """Who has committed last: two runs may count to the same number."""
        table = self.table()
        return fence_of(table) if table else Fence("", 0)

    def apply(self, rows: list[dict[str, t.Any]], at: int) -> None:
        self.by_key |= {row["id"]: row for row in rows}
        if self.mode == "keyed":
            self.stored |= Counter(set(counted(rows)))
        self.reached = max(self.reached, at)

    @property
    def expected(self) -> Counter[t.Any]:
        if self.mode == "upsert":
            return counted(self.by_key.values()) + self.foreign
        if self.mode == "keyed":
            return self.stored + self.foreign
        return counted(self.source[: self.reached]) + self.foreign

    def guarded(self, run: Run, step: t.Callable[[], None]) -> None:
        """Do a step that may commit: it is fenced only after a foreign commit."""
        before = self.sequence
        try:
            step()
        except FencedError:
            assert run.sequence != before, "fenced although nobody has committed"
            self.runs.remove(run)
            return
        after = self.sequence
        assert before in {after, run.sequence}, "not fenced"
        run.sequence = after if after != before else run.sequence

    @rule(values=st.lists(VALUES, min_size=1, max_size=5))
    def grow(self, values: list[tuple[int, int]]) -> None:
        for key, value in values:
            extra = {name: value for name in self.columns if (key + value) % 2}
            self.source.append({"id": key, "v": value} | extra)

    @rule(widens=st.booleans())
    def evolve(self, widens: bool) -> None:
        self.is_wide |= widens
        self.columns += [] if widens else [f"c{len(self.columns)}"]

    @precondition(lambda self: len(self.runs) < 2)
    @rule(data=st.data())
    def open(self, data: st.DataObject) -> None:
        start = data.draw(st.sampled_from([self.states[-1], *self.states[-4:]]))
        self.runs.append(Run(self, f"r{next(self.names)}", start))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), count=st.integers(1, 4))
    def go_on(self, data: st.DataObject, count: int) -> None:
        run = data.draw(st.sampled_from(self.runs))
        run.send(count)
        self.guarded(run, lambda: run.load.state(run.value))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), count=st.integers(1, 4))
    def send(self, data: st.DataObject, count: int) -> None:
        data.draw(st.sampled_from(self.runs)).send(count)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self.runs.remove(data.draw(st.sampled_from(self.runs)))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))

        def finish() -> None:
            with contextlib.suppress(IncompleteError):
                run.load.finish()
            if self.mode == "upsert":  # it takes what no STATE covers, too
                run.stored(run.at)

        self.guarded(run, finish)
        self.runs = [other for other in self.runs if other is not run]

    @precondition(lambda self: self.table() is not None)
    @rule()
    def append_from_outside(self) -> None:
        table = self.table()
        schema = table.schema().as_arrow()
        row = {"id": FOREIGN - self.foreign.total()}
        table.append(pa.Table.from_pylist([row], schema=schema))
        self.foreign += counted([row])

    @precondition(lambda self: self.table() is not None)
    @rule()
    def rewrite_from_outside(self) -> None:
        table = self.table()
        if table.current_snapshot() is not None:
            table.overwrite(table.scan().to_arrow())

    @invariant()
    def table_is_the_model(self) -> None:
        table = self.table()
        found = counted(table.scan().to_arrow().to_pylist() if table else [])
        assert found == self.expected


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
def test_every_history_leaves_what_the_model_holds(monkeypatch) -> None:
    """Whatever happens, the table is the multiset, or the dict, that it must be."""
    monkeypatch.setattr("target_parquet_iceberg.limits.LEAST_BLOCK_BYTES", 1)
    run_state_machine_as_test(
        LoadsEqualAModel,
        settings=settings(
            max_examples=int(os.environ.get("DATIVO_MODEL_EXAMPLES", "15")),
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
