"""Partitioned tables: the right values, upserts across partitions and across specs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
)
from target_parquet_iceberg.iceberg import IcebergWarehouse
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.snapshots import CostRule
from target_parquet_iceberg.table import Commit
from target_parquet_iceberg.transforms import physical, transformed

MOMENTS = [
    dt.datetime(2017, 11, 16, 22, 31, 8, tzinfo=dt.timezone.utc),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.timezone.utc),
    dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc),
    dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone.utc),
    None,
]
VALUES = {
    BooleanType(): pa.array([True, False, None]),
    IntegerType(): pa.array([34, -1, 2**31 - 1, -(2**31) + 8, None], pa.int32()),
    LongType(): pa.array([34, -1, 2**62, -(2**62), None], pa.int64()),
    StringType(): pa.array(["iceberg", "", "žluťoučký", "😀😀😀", None]),
    BinaryType(): pa.array([b"abc", b"", b"\xff\x00" * 5, None]),
    DecimalType(9, 2): pa.array(
        [Decimal("14.20"), Decimal("-10.65"), None], pa.decimal128(9, 2)
    ),
    DecimalType(38, 2): pa.array(
        [Decimal("-123456789012345678901234567890.12"), None], pa.decimal128(38, 2)
    ),
    DateType(): pa.array([m and m.date() for m in MOMENTS]),
    TimeType(): pa.array([dt.time(22, 31, 8), dt.time(0), None], pa.time64("us")),
    TimestampType(): pa.array(MOMENTS, pa.timestamp("us")),
    TimestamptzType(): pa.array(MOMENTS, pa.timestamp("us", "UTC")),
}
TRANSFORMS = [
    IdentityTransform(),
    BucketTransform(16),
    BucketTransform(2**31 - 1),
    TruncateTransform(3),
    YearTransform(),
    MonthTransform(),
    DayTransform(),
    HourTransform(),
]
PAIRS = [(t, k) for t in TRANSFORMS for k in VALUES if t.can_transform(k)]
ROWS = pa.schema(
    [
        ("id", pa.int64()),
        ("region", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("v", pa.int64()),
    ]
)
FIELDS = {
    "id": {"type": "integer"},
    "region": {"type": ["string", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "v": {"type": ["integer", "null"]},
}
SPECS = [
    ["region"],
    ["bucket(3, id)"],
    ["day(at)", "truncate(1, region)"],
    ["month(at)"],
    ["hour(at)", "bucket(2, region)"],
    ["truncate(4, id)", "year(at)"],
    [],
]


@pytest.mark.parametrize(("transform", "kind"), PAIRS, ids=str)
def test_whole_columns_as_single_values(transform, kind) -> None:
    """Every transform of every type gives what PyIceberg gives value by value."""
    values = VALUES[kind]
    one_by_one = transform.transform(kind)
    expected = [one_by_one(value) for value in physical(values).to_pylist()]
    assert physical(transformed(values, str(transform))).to_pylist() == expected


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))),
    st.integers(1, 999),
)
def test_buckets_of_any_long(values, count) -> None:
    """The vectorised hash is Murmur3, for every long."""
    one_by_one = BucketTransform(count).transform(LongType())
    found = transformed(pa.array(values, pa.int64()), f"bucket[{count}]").to_pylist()
    assert found == [one_by_one(value) for value in values]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.lists(
        st.decimals(
            allow_nan=False,
            allow_infinity=False,
            places=3,
            min_value=-(10**12),
            max_value=10**12,
        )
    ),
    st.integers(1, 10**6),
)
def test_decimals_of_any_size(values, number) -> None:
    """Buckets and truncation of decimals, negative ones and powers of 256 too."""
    kind, column = DecimalType(30, 3), pa.array(values, pa.decimal128(30, 3))
    for transform in (BucketTransform(number), TruncateTransform(number)):
        one_by_one = transform.transform(kind)
        expected = [one_by_one(value) for value in column.to_pylist()]
        assert transformed(column, str(transform)).to_pylist() == expected


def no_pause(_attempt):
    """Do not wait: nobody else is there."""


class Bench:
    """One stream's table, opened anew for each run."""

    def __init__(self, lake):
        self.lake = lake
        self.catalog = lake.catalog

    def run(self, batches, keys=("id",), method=Method.UPSERT, **stream):
        message = Schema("s", {"properties": FIELDS}, keys)
        chosen = plan(message, {"streams": {"s": stream}})
        table = IcebergWarehouse(self.catalog, "lake", "r", no_pause).table(chosen)
        for rows in batches:
            table.commit(
                Commit(pa.Table.from_pylist(rows, schema=ROWS), method, keys, None)
            )
        return self.lake.table("s")

    def content(self):
        """Return the rows by id, as both engines agree."""
        ours = self.lake.table("s").scan().to_arrow().sort_by("id").to_pylist()
        theirs = self.lake.query(
            'SELECT id, region, epoch_us("at"), v FROM lake.s ORDER BY id'
        )
        assert [(r["id"], r["region"], micros(r["at"]), r["v"]) for r in ours] == theirs
        return {row["id"]: row for row in ours}


def micros(moment):
    """Return a moment as microseconds since 1970."""
    return moment and (
        moment - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    ) // dt.timedelta(microseconds=1)


def row(number, region, day, value=0):
    """Return a row; day 0 is 1970-01-01, and None is null."""
    at = (
        None
        if day is None
        else dt.datetime(1970, 1, 1, 5, tzinfo=dt.timezone.utc) + dt.timedelta(days=day)
    )
    return {"id": number, "region": region, "at": at, "v": value}


@pytest.fixture
def bench(lake):
    """A table of regions and times."""
    return Bench(lake)


@pytest.mark.parametrize("partition_by", SPECS, ids=str)
def test_partitions_hold_what_they_say(bench, partition_by) -> None:
    """Each file holds the rows of its partition only, nulls in one of their own."""
    rows = [
        row(i, region, day)
        for i, (region, day) in enumerate(
            [("a/b=ž", -400), (None, 3), ("", None), ("a/b=ž", -400), ("c", 9000)] * 3
        )
    ]
    table = bench.run([rows], partition_by=partition_by)
    spec, schema = table.spec(), table.schema()
    for task in table.scan().plan_files():
        ids = {r["id"] for r in table.scan().to_arrow().to_pylist()}
        assert ids == set(range(15))
        found = pa.Table.from_pylist([rows[i] for i in _ids_of(task)], schema=ROWS)
        for place, field in enumerate(spec.fields):
            name = schema.find_column_name(field.source_id)
            values = physical(
                transformed(found[name].combine_chunks(), str(field.transform))
            )
            assert set(values.to_pylist()) == {task.file.partition[place]}
    assert bench.content() == {r["id"]: r for r in rows}


def _ids_of(task):
    import pyarrow.parquet as pq  # noqa: PLC0415

    return pq.read_table(task.file.file_path.removeprefix("file://"))["id"].to_pylist()


def test_filters_prune_partitions(bench) -> None:
    """A filter on the source column reads one partition of three."""
    table = bench.run([[row(i, "r", i) for i in range(3)]], partition_by=["day(at)"])
    assert len(list(table.scan().plan_files())) == 3
    chosen = table.scan(row_filter="at >= '1970-01-03T00:00:00+00:00'")
    assert [task.file.record_count for task in chosen.plan_files()] == [1]


@pytest.mark.parametrize("rewrites", [True, False])
def test_a_row_moves_to_another_partition(bench, rewrites, monkeypatch) -> None:
    """An upsert finds the old row wherever it lies, and leaves one row a key."""
    monkeypatch.setattr(CostRule, "rewrites", lambda *_: rewrites)
    bench.run(
        [
            [row(1, "a", 1), row(2, "a", 1), row(3, None, None)],
            [row(1, "b", 2, 5), row(3, "a", 1, 5)],
            [row(1, None, None, 6)],
        ],
        partition_by=["region", "day(at)"],
    )
    expected = [row(1, None, None, 6), row(2, "a", 1), row(3, "a", 1, 5)]
    assert bench.content() == {r["id"]: r for r in expected}


def test_upserts_across_specs(bench) -> None:
    """Old files keep their spec; their rows are found, deleted and moved still."""
    expected = {}
    for number, partition_by in enumerate([*SPECS, *reversed(SPECS)]):
        rows = [
            row(i, "abc"[(i + number) % 3], number, number)
            for i in range(number % 3, 9, 2)
        ]
        expected |= {r["id"]: r for r in rows}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CostRule, "rewrites", lambda *_: False)
            table = bench.run([rows], partition_by=partition_by)
        found = {(str(f.transform), f.source_id) for f in table.spec().fields}
        assert len(found) == len(partition_by)
        assert bench.content() == expected
    assert len(table.specs()) == len(SPECS)
    used = {task.file.spec_id for task in table.scan().plan_files()}
    assert len(used) > 1


def test_spec_evolution_survives_sql(lake, say) -> None:
    """A changed partition_by applies to new files, and a time transform can change."""
    fields = {
        "id": "integer",
        "at": {"type": ["string", "null"], "format": "date-time"},
    }
    for number, texts in enumerate([None, ["day(at)"], ["month(at)"], []]):
        chosen = {} if texts is None else {"streams": {"s": {"partition_by": texts}}}
        moment = f"2024-0{number + 1}-02T03:04:05Z"
        outcome = lake.load(
            say.schema("s", ("id",), **fields),
            say.record("s", id=number, at=moment),
            say.state(s={"n": number}),
            **chosen,
        )
        assert outcome.code == 0
    table = lake.table("s")
    specs = sorted(task.file.spec_id for task in table.scan().plan_files())
    assert specs == [0, 0, 1, 2]
    assert lake.query('SELECT id, month("at") FROM lake.s ORDER BY id') == [
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
    ]


def test_partition_name_that_a_column_has(lake, say) -> None:
    """A column named like the partition field does not stop the run."""
    head = say.schema(
        "s", at={"type": "string", "format": "date-time"}, at_day="integer"
    )
    for number in (1, 2):
        outcome = lake.load(
            head,
            say.record("s", at="2024-01-02T00:00:00Z", at_day=number),
            say.state(s={"n": number}),
            load_method="overwrite",
            completion="eof",
            streams={"s": {"partition_by": ["day(at)"]}},
        )
        assert outcome.code == 0, outcome
    assert lake.table("s").spec().fields[0].name == "at_day_part"
    assert lake.query("SELECT at_day FROM lake.s") == [(2,)]


def test_partition_by_a_metadata_column(lake, say) -> None:
    """A column that the target adds itself can be a partition source."""
    outcome = lake.load(
        say.schema("s", id="integer"),
        say.record("s", id=1),
        say.state(s={"n": 1}),
        add_record_metadata=True,
        streams={"s": {"partition_by": ["day(_sdc_received_at)"]}},
    )
    assert outcome.code == 0, outcome
    (task,) = lake.table("s").scan().plan_files()
    assert task.file.partition[0] is not None


def test_a_column_that_cannot_be_laid_out(lake, say) -> None:
    """A transform that the table's own type does not allow ends in 78."""
    lake.load(
        say.schema("s", at="string"), say.record("s", at="x"), say.state(s={"n": 1})
    )
    head = say.schema("s", at={"type": "string", "format": "date-time"})
    record = say.record("s", at="2024-01-02T00:00:00Z")
    outcome = lake.load(
        say.state(s={"n": 1}),
        head,
        record,
        say.state(s={"n": 2}),
        on_type_conflict="dead_letter",
        dead_letter={"max_ratio": 1},
        streams={"s": {"partition_by": ["day(at)"]}},
    )
    assert outcome.code == 78
    assert "partition_by" in outcome.errors[-1] or "laid out" in outcome.errors[-1]


def test_plain_parquet_takes_columns_only(lake, say) -> None:
    """Format parquet has folders for columns, and refuses transforms with 78."""
    outcome = lake.load(
        say.schema("s", id="integer"),
        format="parquet",
        streams={"s": {"partition_by": ["bucket(2, id)"]}},
    )
    assert outcome.code == 78
    assert "partition_by names 'bucket(2, id)'" in outcome.errors[-1]


def test_overwrite_of_many_partitions(bench) -> None:
    """Replacing hundreds of partitions needs no deep expression."""
    days = [row(i, None, i) for i in range(400)]
    bench.run([days], keys=(), method=Method.OVERWRITE, partition_by=["day(at)"])
    table = bench.run([days[:2]], keys=(), method=Method.OVERWRITE)
    assert len(list(table.scan().plan_files())) == 2
    assert len(bench.content()) == 2


def test_long_partition_values(bench) -> None:
    """A value longer than a file name may be is stored, and read back."""
    rows = [row(1, "é" * 300, 1), row(2, "é" * 301, 1)]
    bench.run([rows], partition_by=["region"])
    assert bench.content() == {r["id"]: r for r in rows}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(SPECS),
        st.booleans(),
        st.lists(
            st.builds(
                row,
                st.integers(0, 12),
                st.sampled_from(["a", "b", None, "ab"]),
                st.sampled_from([None, -1, 0, 40]),
                st.integers(0, 99),
            ),
            min_size=1,
            max_size=12,
        ),
    ),
    min_size=2,
    max_size=5,
)


@settings(max_examples=12, derandomize=True, deadline=None)
@given(steps=STEPS)
def test_any_upserts_equal_a_dict(new_lake, steps) -> None:
    """Random upserts under changing specs and rules leave what a dict would hold."""
    bench = Bench(new_lake())
    model = {}
    for partition_by, rewrites, rows in steps:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CostRule, "rewrites", lambda *_, answer=rewrites: answer)
            bench.run([rows], partition_by=partition_by, sort_by=["-v"])
        model |= {r["id"]: r for r in rows}
        assert bench.content() == model
