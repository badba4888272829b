"""Collect the records of one stream and decode them block by block.

A block is in pieces: runs of lines that the fast lane has parsed already, and records
one by one.
"""

from __future__ import annotations

import itertools
import typing as t

import pyarrow as pa
import pyarrow.compute as pc
from dativo_core.dead_letters import DeadLetter

from target_parquet_iceberg.decode import Decoder
from target_parquet_iceberg.fast_lane import FastLane, Parsed
from target_parquet_iceberg.manifest import remove
from target_parquet_iceberg.plan import Method
from target_parquet_iceberg.stage import NOWHERE, POSITION, Stage
from target_parquet_iceberg.undeclared import Undeclared

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dativo_core.scratch import Scratch

    from target_parquet_iceberg.manifest import BatchFile
    from target_parquet_iceberg.messages import Record
    from target_parquet_iceberg.metadata import Mark, Metadata
    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.runs import Run
    from target_parquet_iceberg.table import HeldFile

# So many records are parsed together, or decoded one by one if they are not faultless.
RECORDS_AT_ONCE = 512


class StreamIntake:
    """The records of one stream on their way to its table."""

    def __init__(
        self, plan: Plan, scratch: Scratch, metadata: Metadata | None = None
    ) -> None:
        self.plan = plan
        self.stage = Stage(scratch)
        self.held: list[HeldFile] = []
        self.used: list[BatchFile] = []
        self.seen = 0
        self.covered = NOWHERE
        self.version: int | None = None
        self.is_marked = False
        self.undeclared = Undeclared(plan.stream)
        self._metadata = metadata
        self._decoder = _decoder(plan)
        self._lane = FastLane(plan.stream, self._decoder)
        self._pieces: list[Record | Parsed] = []
        self._block_rows = 0
        self.block_bytes = 0

    @property
    def method(self) -> Method:
        """How the rows are loaded, as far as is known now."""
        return self.plan.resolve(versioned=self.version is not None)

    @property
    def has_uncovered_rows(self) -> bool:
        """Tell whether records came after the last STATE, or without any."""
        return self.seen > max(self.covered, 0)

    @property
    def is_confirmed(self) -> bool:
        """Tell whether a STATE came after the SCHEMA and the last record."""
        return self.covered == self.seen

    @property
    def pending_rows(self) -> int:
        """Count the rows that no commit has taken yet, decoded or not."""
        held = sum(file.rows for file in self.held)
        return self.stage.rows + self._block_rows + held

    @property
    def pending_bytes(self) -> int:
        """Measure the same in bytes of memory or disk."""
        return self.stage.bytes + self.block_bytes

    def reshape(self, plan: Plan) -> None:
        """Go on under a new schema; the block before it must be decoded already."""
        self.plan = plan
        self._decoder = _decoder(plan)
        self._lane = FastLane(plan.stream, self._decoder)

    def add_run(self, run: Run) -> bool:
        """Take a run of lines, if every one of them is a faultless record."""
        parsed = self._lane.run(run)
        if parsed is None:
            return False
        self._follow(parsed.version)
        self._take(parsed, parsed.count, len(run.text))
        return True

    def add(self, record: Record) -> None:
        """Take one record."""
        self._follow(record.version)
        self._take(record, 1, len(record.raw))

    def add_rows(
        self, rows: pa.Table, places: pa.Array, count: int, like: Record
    ) -> None:
        """Take decoded rows; the block before them must be decoded already.

        Args:
            rows: The good ones, in the columns of the plan.
            places: Where each stood.
            count: How many there were, good and bad.
            like: What the metadata columns say of each.
        """
        self.is_marked = False
        positions = pc.add(places, self.seen)
        self.seen += count
        if self._metadata is not None:
            marks = [(like.time_extracted, like.version)] * rows.num_rows
            rows = self._metadata.add_to(rows, marks)
        self.stage.add(rows.append_column(POSITION, positions))

    def hold(self, file: HeldFile) -> None:
        """Take the rows of a file, as they are."""
        self.is_marked = False
        self.seen += file.rows
        self.held.append(file)

    def mark_version(self, version: int) -> None:
        """Take the tap's word that a version is complete, if it follows its records.

        SDK taps send it before the records too: only the second one is a proof.
        """
        self.is_marked = version == self.version
        if not self.is_marked:
            self._start_version(version)

    def decode(self) -> list[DeadLetter]:
        """Decode the block into the stage; return what could not be stored."""
        pieces, first = self._pieces, self.seen - self._block_rows
        self._clear_block()
        letters: list[DeadLetter] = []
        for _, group in itertools.groupby(self._parsed(pieces), type):
            some = list(group)
            letters += self._decode(some, first)
            first += sum(map(len, some))
        return letters

    def _parsed(
        self, pieces: Iterable[Record | Parsed]
    ) -> Iterator[Parsed | list[Record]]:
        """Yield what the fast lane takes, and lists of records that it does not."""
        records: list[Record] = []
        for piece in pieces:
            if isinstance(piece, Parsed):
                yield from self._tried(records)
                yield piece
                records = []
            else:
                records.append(piece)
        yield from self._tried(records)

    def _tried(self, records: list[Record]) -> Iterator[Parsed | list[Record]]:
        for start in range(0, len(records), RECORDS_AT_ONCE):
            some = records[start : start + RECORDS_AT_ONCE]
            yield self._lane.records(some) or some

    def _decode(
        self, pieces: Sequence[Parsed | list[Record]], first: int
    ) -> list[DeadLetter]:
        parsed = [piece for piece in pieces if isinstance(piece, Parsed)]
        rows = self._lane.table(parsed) if parsed else None
        if rows is not None:
            for faultless in parsed:
                self.undeclared.note(faultless.undeclared)
            places = pc.cumulative_sum(pa.repeat(1, rows.num_rows), start=first - 1)
            marks = itertools.chain.from_iterable(p.marks() for p in parsed)
            self._store(rows, places, marks)
            return []
        letters: list[DeadLetter] = []
        for piece in pieces:
            if parsed and len(pieces) > 1:  # one of them is the reason
                letters += self._decode([piece], first)
            else:
                letters += self._decode_exactly(piece, first)
            first += len(piece)
        return letters

    def _decode_exactly(
        self, piece: Parsed | list[Record], first: int
    ) -> list[DeadLetter]:
        records = piece.records() if isinstance(piece, Parsed) else piece
        block = self._decoder.decode([record.raw for record in records])
        self.undeclared.note(block.undeclared)
        kept = (records[index] for index in block.indices.to_pylist())
        marks = ((record.time_extracted, record.version) for record in kept)
        self._store(block.rows, pc.add(block.indices, first), marks)
        stream = self.plan.stream
        return [
            DeadLetter(
                stream, r.stage, r.path, r.expected, r.found, records[r.index].raw
            )
            for r in block.rejects
        ]

    def clear(self) -> None:
        """Forget the rows that a commit has taken, and delete their files."""
        self.stage.clear()
        self.held.clear()
        for file in self.used:
            remove(file)
        self.used.clear()

    def _store(self, rows: pa.Table, places: pa.Array, marks: Iterable[Mark]) -> None:
        if self._metadata is not None:
            rows = self._metadata.add_to(rows, list(marks))
        self.stage.add(rows.append_column(POSITION, places))

    def _follow(self, version: int | None) -> None:
        if version is not None and version != self.version:
            self._start_version(version)

    def _take(self, piece: Record | Parsed, rows: int, size: int) -> None:
        self.is_marked = False
        self.seen += rows
        self._pieces.append(piece)
        self._block_rows += rows
        self.block_bytes += size

    def _clear_block(self) -> None:
        self._pieces = []
        self._block_rows = self.block_bytes = 0

    def _start_version(self, version: int) -> None:
        if self.version is not None and self.method is Method.OVERWRITE:
            self._clear_block()
            self.stage.clear()
            self.held.clear()
        self.version = version


def _decoder(plan: Plan) -> Decoder:
    return Decoder(
        plan.columns,
        plan.keys,
        is_closed=plan.is_closed,
        also_required=plan.also_required,
    )
