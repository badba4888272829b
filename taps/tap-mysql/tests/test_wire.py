"""Rows taken apart by columns are those that PyMySQL takes apart by rows."""

from __future__ import annotations

import contextlib

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as hy
from tap_mysql import wire

ROW = hy.lists(hy.none() | hy.binary(max_size=400), min_size=3, max_size=3)


def number(value):
    """Encode a length as the protocol does."""
    for mark, width in ((None, 1), (252, 2), (253, 3)):
        if mark is None and value < 251:
            return bytes([value])
        if mark and value < 256**width:
            return bytes([mark]) + value.to_bytes(width, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def packets(rows, end=b"\xfe\0\0\2\0"):
    """Write rows as a server does."""
    cells = [
        b"".join(b"\xfb" if v is None else number(len(v)) + v for v in row)
        for row in rows
    ]
    return b"".join(
        len(cell).to_bytes(3, "little") + bytes([n % 256]) + cell
        for n, cell in enumerate([*cells, end])
    )


def taken_apart(data, size, columns=3):
    """Feed the data in pieces of a size; return the rows that come out."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    feed = iter(pieces)
    found = []
    for block, starts in wire._Packets(lambda _: next(feed, b"")).blocks():
        arrays = wire._columns(block, starts, columns)
        found += zip(*(array.to_pylist() for array in arrays), strict=True)
    return [list(row) for row in found]


@given(hy.lists(ROW, max_size=30), hy.integers(1, 300))
def test_rows_come_out_as_they_went_in(rows, size):
    """However the network cuts them: nulls, empty values and all lengths."""
    assert taken_apart(packets(rows), size) == rows


@pytest.mark.parametrize("length", [250, 251, 252, 65_535, 65_536, 300_000])
def test_lengths_of_every_width(length):
    """At the borders between one, two and three bytes."""
    rows = [[b"a", b"x" * length, None], [None, b"", b"y" * length]]

    assert taken_apart(packets(rows), 50_000) == rows


def test_blocks_are_small_where_rows_are_many(monkeypatch):
    """Memory does not grow with the answer."""
    monkeypatch.setattr(wire, "_BLOCK_BYTES", 1000)
    rows = [[b"%d" % n, None, b"x" * 50] for n in range(300)]
    feed = iter([packets(rows)])

    sizes = [len(s) for _, s in wire._Packets(lambda _: next(feed)).blocks()]

    assert sum(sizes) == 300


def test_a_cut_connection_is_an_error():
    """What came so far is no answer."""
    data = packets([[b"a", b"b", b"c"]] * 5)

    with pytest.raises(pymysql.OperationalError, match="closed the connection"):
        taken_apart(data[:-3], 10)


def test_an_error_after_rows_is_raised():
    """The server may fail in the midst of an answer."""
    error = b"\xff" + (1317).to_bytes(2, "little") + b"#70100Query was interrupted"

    with pytest.raises(pymysql.MySQLError, match="interrupted"):
        taken_apart(packets([[b"a", b"b", b"c"]] * 5, error), 10)


@pytest.fixture
def connection(mariadb):
    """A connection, with text in UTF-8."""
    with contextlib.closing(mariadb.connect(autocommit=True)) as opened:
        yield opened


def both(connection, sql):
    """Return an answer, taken apart in both ways, as lists of columns."""
    answers = (wire.by_columns(connection, sql), wire.by_rows(connection, sql, 1000))
    return [
        [
            [value for block in blocks for value in block[column].to_pylist()]
            for column in range(len(blocks[0]))
        ]
        for blocks in map(list, answers)
    ]


def test_a_big_answer_is_the_same_in_both_ways(connection):
    """Over many blocks, with nulls and values of all lengths."""
    by_columns, by_rows = both(
        connection,
        "SELECT seq, IF(seq % 3, REPEAT(seq, seq % 400), NULL), NULLIF(seq % 2, 0), '' "
        "FROM seq_1_to_30000",
    )

    assert by_columns == by_rows
    assert by_columns[0][-1] == b"30000"


def test_rows_longer_than_a_packet(connection):
    """Sixteen megabytes and more take several packets."""
    for extra in (-20, 0, 1000):
        length = 0xFFFFFF + extra
        by_columns, by_rows = both(
            connection,
            f"SELECT 1, REPEAT('x', {length // 2}), REPEAT('y', {length - length // 2})"
            " UNION ALL SELECT 2, 'short', NULL",
        )

        assert by_columns == by_rows
        assert [len(value) for value in by_columns[1]] == [length // 2, 5]


def test_an_empty_answer_leaves_the_connection_usable(connection):
    """And so does an error, before rows or after."""
    assert list(wire.by_columns(connection, "SELECT 1 FROM DUAL WHERE 1 = 0")) == []
    with pytest.raises(pymysql.MySQLError):
        list(wire.by_columns(connection, "SELECT no_such_column"))
    with pytest.raises(pymysql.MySQLError):
        list(
            wire.by_columns(
                connection,
                "SELECT seq, IF(seq < 30000, '', (SELECT 1 UNION SELECT 2)) "
                "FROM seq_1_to_30000",
            )
        )

    [[numbers]] = wire.by_columns(connection, "SELECT 42")

    assert numbers.to_pylist() == [b"42"]
