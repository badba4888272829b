"""Schemas widen and rows follow, without changing a value."""

from __future__ import annotations

import pyarrow as pa
import pytest
from dativo_core.errors import ConfigurationError
from hypothesis import given
from hypothesis import strategies as st
from target_parquet_iceberg.evolution import conform, merge, plain, unify, widest


def listed(kind: pa.DataType) -> pa.DataType:
    """Return the list type as Iceberg names it."""
    return pa.list_(pa.field("element", kind))


I32, I64, F32, F64, TEXT = (
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
)
WIDER = [
    (I32, I64, I64),
    (I64, I32, I64),
    (F32, F64, F64),
    (TEXT, TEXT, TEXT),
    (pa.decimal128(9, 2), pa.decimal128(12, 2), pa.decimal128(12, 2)),
    (listed(I32), listed(I64), listed(I64)),
    (pa.struct([("a", I32)]), pa.struct([("b", TEXT)]), None),
    (pa.struct([("a", I64)]), pa.struct([("a", I32)]), pa.struct([("a", I64)])),
]
APART = [
    (I64, F64),
    (I64, TEXT),
    (pa.date32(), pa.timestamp("us")),
    (pa.timestamp("us"), pa.timestamp("us", tz="UTC")),
    (pa.decimal128(9, 2), pa.decimal128(12, 4)),
    (listed(I64), listed(TEXT)),
    (listed(I64), I64),
    (pa.struct([("a", I64)]), pa.struct([("a", TEXT)])),
]


@pytest.mark.parametrize(("old", "new", "both"), WIDER)
def test_widest(old, new, both) -> None:
    """Types on one ladder meet at the wider one; structs take each other's fields."""
    expected = both or pa.struct([("a", I32), ("b", TEXT)])
    assert expected == widest(old, new)


@pytest.mark.parametrize(("old", "new"), APART)
def test_types_that_do_not_meet(old, new) -> None:
    """A change that could alter a value is refused, in either direction."""
    assert [widest(old, new), widest(new, old)] == [None, None]


def test_merge_names_column_and_types() -> None:
    """The refusal says which column, and both types."""
    with pytest.raises(ConfigurationError, match=r"'s'.*'a' is int64.*string"):
        merge("s", pa.schema([("a", I64)]), pa.schema([("a", TEXT)]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"Name": TEXT}, {"name": TEXT}),
        ({"a.b": TEXT}, {"a": pa.struct([("b", TEXT)])}),
        ({"a": pa.struct([("b", TEXT)])}, {"a": pa.struct([("B", TEXT)])}),
        ({"l": listed(pa.struct([("b", TEXT)]))}, {"l.element.B": TEXT}),
    ],
)
def test_merge_refuses_what_no_engine_tells_apart(old, new) -> None:
    """A new column, or a part of one, must not have the path of another."""
    table, rows = pa.schema(list(old.items())), pa.schema(list(new.items()))
    with pytest.raises(ConfigurationError, match="'s'"):
        merge("s", table, rows)
    both = pa.schema([*table, *rows]) if old.keys() != new.keys() else table
    assert merge("s", both, table) == both


def test_plain_replaces_large_types_everywhere() -> None:
    """64-bit offsets go, at any depth."""
    large = pa.struct([("t", pa.large_string()), ("b", pa.large_binary())])
    small = pa.struct([("t", TEXT), ("b", pa.binary())])
    found = plain(pa.schema([("c", pa.large_list(pa.field("element", large)))]))
    assert pa.schema([("c", listed(small))]) == found


NARROW = pa.struct([("x", I32), ("l", listed(pa.struct([("y", I32)])))])
WIDE = pa.struct(
    [("new", TEXT), ("x", I64), ("l", listed(pa.struct([("z", F64), ("y", I64)])))]
)
ITEM = st.none() | st.fixed_dictionaries({"y": st.none() | st.integers(-9, 9)})
ROW = st.none() | st.fixed_dictionaries(
    {"x": st.none() | st.integers(-9, 9), "l": st.none() | st.lists(ITEM, max_size=3)}
)


def widened(row):
    """Return the row with the fields of WIDE."""
    if row is None:
        return None
    items = row["l"] and [i and {"z": None, **i} for i in row["l"]]
    return {"new": None, "x": row["x"], "l": items if row["l"] is not None else None}


@given(st.lists(ROW, max_size=8), st.integers(0, 4), st.integers(0, 8))
def test_conform_reaches_every_depth(rows, start, length) -> None:
    """Structs in lists in structs get their new fields, also in slices with nulls."""
    table = pa.table({"c": pa.array(rows, NARROW)}).slice(start, length)
    wide = pa.schema([("c", WIDE), ("d", TEXT)])
    found = conform(table, wide)
    found.validate(full=True)
    kept = rows[start : start + length]
    assert [{"c": widened(row), "d": None} for row in kept] == found.to_pylist()


@given(st.lists(st.none() | st.lists(st.none() | st.lists(st.integers(0, 9)))))
def test_conform_lists_of_lists(rows) -> None:
    """Lists in lists keep their shape."""
    table = pa.table({"c": pa.array(rows, listed(listed(I32)))})
    found = conform(table, pa.schema([("c", listed(listed(I64)))]))
    assert rows == found["c"].to_pylist()


def test_unify_keeps_the_order_of_arrival() -> None:
    """Rows under several schemas become one table, in order, nulls where absent."""
    parts = [
        pa.table({"a": pa.array([1], I32)}),
        pa.table({"b": ["x"], "a": pa.array([2], I64)}),
        pa.table({"b": ["y"]}),
    ]
    found = unify("s", parts)
    assert pa.schema([("a", I64), ("b", TEXT)]) == found.schema
    rows = [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": None, "b": "y"}]
    assert rows == found.to_pylist()


def test_conform_without_work_is_the_same_table() -> None:
    """Rows that fit already are not copied."""
    table = pa.table({"a": [1]})
    assert conform(table, table.schema) is table
