"""Read the rows of an answer column by column: all that knows PyMySQL's inside.

A row is a packet: three bytes of length, one of sequence, then each value behind its
own length. PyMySQL takes it apart value by value, at some 50,000 rows a second. Here a
loop over the packets finds where rows begin, NumPy finds all values of a column at
once, and Arrow copies them out. https://mariadb.com/kb/en/0-packet/
"""

from __future__ import annotations

import struct
import typing as t

import numpy as np
import pyarrow as pa
from pymysql import err
from pymysql.connections import MySQLResult
from pymysql.constants import COMMAND, CR
from pymysql.cursors import SSCursor

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from pymysql.connections import Connection

_HEADER = 4
_READ_BYTES = 2**20
_BLOCK_BYTES = 2 * 2**20
# The longest packet: what follows it continues the same row.
_FULL = 0xFFFFFF
_END, _ERROR = 0xFE, 0xFF
_END_BYTES = 9
# A length of one byte, up to 250; 251 is null; then lengths of 2, 3 and 8 bytes.
_SHORT, _NULL = 250, 251
_WIDTHS = {252: 2, 253: 3, 254: 8}
_LOST = "The server closed the connection while it sent rows."
# A length may be looked for behind the last byte.
_PADDING = bytes(16)

Columns: t.TypeAlias = "list[pa.Array]"


def by_columns(connection: Connection[t.Any], sql: str) -> Iterator[Columns]:
    """Run a query and yield its rows in blocks: a binary array for each column.

    The connection is of no use any more if the caller stops before the end.
    """
    inner = t.cast("t.Any", connection)
    inner._execute_command(COMMAND.COM_QUERY, sql)  # noqa: SLF001 see the module
    result = MySQLResult(inner)
    result.init_unbuffered_query()
    # We read to the end ourselves.
    result.unbuffered_active, result.connection = False, None
    for data, starts in _Packets(inner._rfile.read1).blocks():  # noqa: SLF001
        yield _columns(data, starts, result.field_count)


def by_rows(connection: Connection[t.Any], sql: str, rows: int) -> Iterator[Columns]:
    """Do the same with PyMySQL's own loop, and slowly."""
    inner = t.cast("t.Any", connection)
    habits = inner.decoders, inner.use_unicode
    # Without decoders each value is the bytes that were sent.
    inner.decoders, inner.use_unicode = {}, False
    cursor = t.cast("t.Any", connection.cursor(SSCursor))
    try:
        cursor.execute(sql)
        while found := cursor.fetchmany(rows):
            columns = zip(*found, strict=True)
            yield [pa.array(column, pa.binary()) for column in columns]
    finally:
        inner.decoders, inner.use_unicode = habits
        # Closing it would read on, even from a connection that is lost.
        if cursor._result:  # noqa: SLF001 see the module
            cursor._result.unbuffered_active = False  # noqa: SLF001
            cursor._result.connection = None  # noqa: SLF001
        cursor.connection = None


class _Packets:
    """The rows of an answer, as they come.

    Args:
        read: Returns as many bytes as there are, up to a number.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._data = bytearray()
        self._position = 0
        self._starts: list[int] = []

    def blocks(self) -> Iterator[tuple[bytes | bytearray, list[int]]]:
        """Yield pieces of what the server sends, and where rows begin in them."""
        while True:
            stop = self._scan()
            if self._starts and (stop or self._position >= _BLOCK_BYTES):
                yield self._taken()
            if stop == "end":
                return
            if stop == "long":
                yield self._long_row() + _PADDING, [0]
            elif not stop:
                self._receive()

    def _scan(self) -> str:
        """Go over whole packets; say what stopped it, if not the end of the data."""
        data, add, position = self._data, self._starts.append, self._position
        header_at, size = struct.Struct("<IB").unpack_from, len(self._data)
        stop = ""
        while position + _HEADER < size:
            length, first = header_at(data, position)
            length &= _FULL
            behind = position + _HEADER + length
            if length == _FULL:
                stop = "long"
                break
            if behind > size:
                break
            if first >= _END and (first == _ERROR or length < _END_BYTES):
                if first == _ERROR:
                    err.raise_mysql_exception(bytes(data[position + _HEADER : behind]))
                stop = "end"
                break
            add(position + _HEADER)
            position = behind
        self._position = position
        return stop

    def _taken(self) -> tuple[bytearray, list[int]]:
        block, starts = self._data, self._starts
        self._data = block[self._position :]
        del block[self._position :]
        block += _PADDING
        self._position, self._starts = 0, []
        return block, starts

    def _long_row(self) -> bytes:
        """Put a row of 16 MB or more together, which takes several packets."""
        row = b""
        length = _FULL
        while length == _FULL:
            while len(self._data) < _HEADER:
                self._receive()
            length = int.from_bytes(self._data[:3], "little")
            while len(self._data) < _HEADER + length:
                self._receive()
            row += self._data[_HEADER : _HEADER + length]
            del self._data[: _HEADER + length]
        return row

    def _receive(self) -> None:
        received = self._read(_READ_BYTES)
        if not received:
            raise err.OperationalError(CR.CR_SERVER_LOST, _LOST)
        self._data += received


def _columns(data: bytes | bytearray, starts: list[int], count: int) -> Columns:
    """Cut rows into columns, all values of a column at once."""
    found = np.frombuffer(data, np.uint8)
    position = np.array(starts, np.int64)
    # Where each value begins and ends, in the order in which they lie there.
    edges = np.empty((len(starts), 2 * count), np.int32)
    nulls: list[NDArray[t.Any] | None] = []
    for column in range(count):
        begin, length, is_null = _located(found, position)
        position = begin + length
        edges[:, 2 * column], edges[:, 2 * column + 1] = begin, position
        nulls.append(is_null)
    # One array has all values, and between them what separates them.
    pieces = pa.Array.from_buffers(
        pa.binary(), edges.size - 1, [None, pa.py_buffer(edges), pa.py_buffer(data)]
    )
    every = np.arange(0, edges.size, 2 * count, dtype=np.int32)
    return [
        pieces.take(pa.array(every + 2 * column, mask=nulls[column]))
        for column in range(count)
    ]


def _located(
    found: NDArray[t.Any], position: NDArray[t.Any]
) -> tuple[NDArray[t.Any], NDArray[t.Any], NDArray[t.Any] | None]:
    """Return where the values behind their lengths begin, their sizes, and nulls."""
    first = found[position]
    length = first.astype(np.int64)
    begin = position + 1
    if first.size and first.max() <= _SHORT:
        return begin, length, None
    is_null = first == _NULL
    length[is_null] = 0
    for mark, width in _WIDTHS.items():
        rows = np.flatnonzero(first == mark)
        if rows.size:
            begin[rows] += width
            length[rows] = 0
            for byte in range(width):
                place = found[position[rows] + 1 + byte].astype(np.int64)
                length[rows] |= place << 8 * byte
    return begin, length, is_null
