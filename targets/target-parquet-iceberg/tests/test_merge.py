"""Keys in whole columns, checked against a dict."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_parquet_iceberg.merge import bounds, hits, last_by_key

UTC = pa.timestamp("us", tz="UTC")
EARLIEST, LATEST = dt.datetime.min, dt.datetime.max  # noqa: DTZ901
TYPES = {
    "int": (pa.int64(), st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1])),
    "string": (
        pa.string(),
        st.sampled_from(["", "a", "A", "é", "e\u0301", "a\0", "aa"]),
    ),
    "decimal": (pa.decimal128(38, 2), st.decimals(-2, 2, places=2)),
    "date": (pa.date32(), st.dates(dt.date(2024, 2, 28), dt.date(2024, 3, 2))),
    "time": (pa.time64("us"), st.sampled_from([dt.time(), dt.time.max])),
    "moment": (
        UTC,
        st.sampled_from([EARLIEST, LATEST]).map(
            lambda moment: moment.replace(tzinfo=dt.timezone.utc)
        ),
    ),
    "binary": (pa.binary(), st.sampled_from([b"", b"\0", b"\0\0", b"\xff"])),
    "bool": (pa.bool_(), st.booleans()),
}
PAIRS = [("int", "string"), ("decimal", "date"), ("moment", "binary"), ("bool", "time")]


def keyed(kinds: tuple[str, ...], keys: list[tuple]) -> pa.Table:
    """Return a table of keys in several chunks, with the row number as value."""
    fields = [pa.field(f"k{i}", TYPES[kind][0]) for i, kind in enumerate(kinds)]
    rows = [{f"k{i}": part for i, part in enumerate(key)} for key in keys]
    table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
    table = table.append_column("n", pa.array(range(len(keys)), pa.int64()))
    return pa.concat_tables([table.slice(0, 2), table.slice(2)])


CASES = [(kind,) for kind in TYPES] + PAIRS


@pytest.mark.parametrize("kinds", CASES)
@given(data=st.data())
def test_last_write_wins(kinds, data) -> None:
    """Of every key the last row stays, and the rest keeps its order."""
    keys = data.draw(st.lists(st.tuples(*(TYPES[kind][1] for kind in kinds))))
    names = [f"k{i}" for i in range(len(kinds))]
    kept = last_by_key(keyed(kinds, keys), names)["n"].to_pylist()
    model = {key: number for number, key in enumerate(keys)}
    assert sorted(model.values()) == kept


@pytest.mark.parametrize("kinds", CASES)
@given(data=st.data())
def test_hits(kinds, data) -> None:
    """A present row is hit exactly when its key is wanted."""
    some = st.lists(st.tuples(*(TYPES[kind][1] for kind in kinds)), max_size=8)
    present, wanted = data.draw(some), data.draw(some)
    found = hits(
        keyed(kinds, present).drop_columns("n"), keyed(kinds, wanted).drop_columns("n")
    )
    assert [key in wanted for key in present] == found.to_pylist()


@pytest.mark.parametrize("kind", ["int", "string", "decimal", "date", "binary"])
@given(data=st.data())
def test_bounds_hold_every_value(kind, data) -> None:
    """The limits are the smallest and the largest value."""
    values = data.draw(st.lists(TYPES[kind][1], min_size=1))
    table = pa.table({"k": pa.array(values, TYPES[kind][0])})
    assert {"k": (min(values), max(values))} == bounds(table)


def test_columns_without_a_full_order_have_no_bounds() -> None:
    """Floats may hold NaN, which no minimum covers; structs have no order."""
    table = pa.table({"f": [1.0, float("nan")], "s": [{"a": 1}, {"a": 2}]})
    assert bounds(table) == {}


def test_decimal_keys_with_different_digits_are_one_key() -> None:
    """1.5 and 1.50 are the same key, since the column has one scale."""
    keys = [(Decimal("1.5"),), (Decimal("1.50"),)]
    assert last_by_key(keyed(("decimal",), keys), ["k0"])["n"].to_pylist() == [1]


def test_nothing_present_nothing_hit() -> None:
    """Empty tables are fine on either side."""
    empty, one = keyed(("int",), []), keyed(("int",), [(1,)])
    assert len(hits(empty.select(["k0"]), one.select(["k0"]))) == 0
    assert not pc.any(hits(one.select(["k0"]), empty.select(["k0"]))).as_py()
