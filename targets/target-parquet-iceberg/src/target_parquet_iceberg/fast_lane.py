"""Decode many records in one go, if nothing is wrong with any of them.

`decode` says what becomes of every record; this module does the same for those that
are as the SCHEMA says, many at a time, and has no opinion about others: one among them,
and the exact way has to decode them all. So nothing here can be refused, coerced or
rounded. msgspec checks types and required fields while it parses; what it has parsed
becomes Arrow while it is still in the processor's cache.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from operator import attrgetter

import msgspec
import pyarrow as pa
from msgspec.structs import astuple

from target_parquet_iceberg import exact_json, messages
from target_parquet_iceberg.checks import undeclared
from target_parquet_iceberg.nested import is_typed, shape_of
from target_parquet_iceberg.rows import parser, row_type
from target_parquet_iceberg.runs import Run
from target_parquet_iceberg.values import Unfit

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_parquet_iceberg.decode import Decoder
    from target_parquet_iceberg.messages import Record
    from target_parquet_iceberg.metadata import Mark

_record, _version, _time = map(attrgetter, ("record", "version", "time_extracted"))
# An UNSET where a null would be refused makes Arrow raise TypeError.
_ODD = (*exact_json.UNDECODABLE, pa.ArrowException, Unfit, OverflowError, TypeError)


@dataclass(frozen=True, slots=True)
class Parsed:
    """Records without fault, column by column.

    Args:
        source: The same records as they came.
        arrays: Their values, some of them still to be cast.
        version: The version of the full load that all of a run belong to.
        times: When the tap read each record of a run.
        undeclared: Counts, by path, the values that no column is there for.
    """

    source: Run | list[Record]
    count: int
    arrays: tuple[pa.Array, ...]
    version: int | None
    times: Sequence[str | None]
    undeclared: Mapping[str, int]

    def __len__(self) -> int:
        """Count the records."""
        return self.count

    def records(self) -> list[Record]:
        """Return the records one by one."""
        if not isinstance(self.source, Run):
            return self.source
        return [
            t.cast("Record", messages.parse(line)) for line in BytesIO(self.source.text)
        ]

    def marks(self) -> list[Mark]:
        """Return what the message of each record says beside it."""
        if isinstance(self.source, Run):
            return [(time, self.version) for time in self.times]
        return [(record.time_extracted, record.version) for record in self.source]


class FastLane:
    """Decodes faultless records of one stream as its decoder would, only faster."""

    def __init__(self, stream: str, decoder: Decoder) -> None:
        self._stream = stream
        self._decoder = decoder
        self._shapes = [shape_of(column) for column in decoder.columns]
        names = [column.name for column in decoder.columns]
        self._keys = [names.index(key) for key in decoder.keys if key in names]
        self._gaps = [
            number for number, _ in decoder.gaps if not is_typed(self._shapes[number])
        ]
        self._learned: Mapping[str, bool] | None = None
        self._lines: msgspec.json.Decoder[t.Any] | None = None
        self._rows: msgspec.json.Decoder[t.Any] | None = None

    def run(self, run: Run) -> Parsed | None:
        """Parse a run; None unless every line is a faultless record of the stream."""
        self._refresh()
        if self._lines is None:
            return None
        try:
            lines = self._lines.decode_lines(run.text)
            versions = set(map(_version, lines))
            if len(lines) != run.count or len(versions) != 1:
                return None
            arrays, counts = self._collect(list(map(_record, lines)))
        except _ODD:
            return None
        times = list(map(_time, lines))
        return Parsed(run, run.count, arrays, versions.pop(), times, counts)

    def records(self, records: list[Record]) -> Parsed | None:
        """Parse records; None unless every one is faultless."""
        self._refresh()
        if self._rows is None:
            return None
        try:
            rows = self._rows.decode_lines(_joined(records))
            if len(rows) != len(records):
                return None
            arrays, counts = self._collect(rows)
        except _ODD:
            return None
        return Parsed(records, len(records), arrays, None, (), counts)

    def table(self, parsed: Sequence[Parsed]) -> pa.Table | None:
        """Return the rows of several; None if a value is not what its column holds."""
        columns = zip(*(one.arrays for one in parsed), strict=True)
        try:
            arrays = [
                shape.finish(pa.concat_arrays(pieces))
                for shape, pieces in zip(self._shapes, columns, strict=True)
            ]
        except _ODD:
            return None
        return pa.Table.from_arrays(arrays, schema=self._decoder.schema)

    def _refresh(self) -> None:
        """Follow the exact lane, which learns fields that no column is there for."""
        learned = self._decoder.rows.learned
        if learned == self._learned:
            return
        self._learned = learned
        parsed = [shape.parsed for shape in self._shapes]
        row = row_type(self._decoder.columns, parsed, learned)
        self._rows = None if row is None else parser(row)
        self._lines = None if row is None else parser(_line_type(self._stream, row))

    def _collect(
        self, rows: list[t.Any]
    ) -> tuple[tuple[pa.Array, ...], Mapping[str, int]]:
        columns = list(zip(*map(astuple, rows), strict=True))
        arrays = tuple(
            shape.collect(values)
            for shape, values in zip(self._shapes, columns, strict=False)
        )
        if any(arrays[number].null_count for number in self._keys):
            raise Unfit("a value, it is a key")
        counts = Counter(self._decoder.rows.count(rows))
        for number in self._gaps:
            column = self._decoder.columns[number]
            for value in columns[number]:
                for path in undeclared(value, column.rule):
                    counts[column.field + path] += 1
        return arrays, counts


def _joined(records: Sequence[Record]) -> bytes:
    """Return the records as lines.

    Raises:
        Unfit: if one of them could be half an object, whose rest is in the next one.
    """
    raws = [record.raw.strip() for record in records]
    if not all(raw.startswith(b"{") and raw.endswith(b"}") for raw in raws):
        raise Unfit("an object")
    return b"\n".join(raws)


def _line_type(stream: str, row: type[msgspec.Struct]) -> type[msgspec.Struct]:
    kinds = [
        ("type", t.Literal["RECORD"]),
        ("stream", t.Literal[stream]),
        ("record", row),
    ]
    return msgspec.defstruct(
        "RecordLine", kinds, bases=(messages.Line,), kw_only=True, gc=False
    )
