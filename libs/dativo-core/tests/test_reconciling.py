"""Two sides are equal only if every row is, and what differs is named."""

from __future__ import annotations

from collections import Counter

from dativo_core.reconciling import NULL, digests, reconcile, summed
from hypothesis import given
from hypothesis import strategies as st

ROWS = st.lists(
    st.tuples(st.sampled_from("abcdefg"), st.sampled_from(["x", "y", None])),
    max_size=12,
)


class Side:
    """Rows in memory; the first value is the key."""

    def __init__(self, rows):
        self.rows_asked = None
        self.content = [*digests(rows, 1)]

    def slices(self):
        """Sum up."""
        return summed(self.content)

    def rows(self, slices):
        """List the rows of some slices."""
        self.rows_asked = set(slices)
        for row in self.content:
            if row.slice in slices:
                yield row.key, row.digest


@given(ROWS, ROWS)
def test_every_difference_is_named(source, table):
    """Rows may come more than once, and their order means nothing."""
    found = reconcile(Side(source), Side(table))

    here, there = Counter(source), Counter(table)
    assert found.is_equal == (here == there)
    assert (found.source_rows, found.table_rows) == (len(source), len(table))
    keys = Counter((key,) for key, _ in (here - there).elements())
    others = Counter((key,) for key, _ in (there - here).elements())
    assert found.different == sorted(keys & others)
    assert found.missing == keys - others
    assert found.extra == others - keys


def test_only_slices_that_differ_are_listed():
    """And no more of them than memory has room for."""
    rows = [(str(number), "v") for number in range(100)]
    source, table = Side(rows), Side(rows[1:])
    [first] = digests(rows[:1], 1)

    found = reconcile(source, table)

    assert source.rows_asked == {first.slice}
    assert found.missing == {("0",): 1}

    found = reconcile(Side(rows), Side([]), max_rows=10)
    assert found.missing.total() <= 10 < found.unread_slices
    assert not found.is_equal


def test_values_cannot_pass_for_one_another():
    """Neither by where one ends, nor by what stands for null."""
    rows = [("k", "ab", ""), ("k", "a", "b"), ("k", None, ""), ("k", "", None)]

    assert len({row.digest for row in digests(rows, 1)}) == len(rows)
    assert NULL not in "ab"
