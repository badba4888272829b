"""Collect the records of one stream and decode them block by block."""

from __future__ import annotations

import typing as t

import pyarrow.compute as pc
from dativo_core.dead_letters import DeadLetter

from target_parquet_iceberg.decode import Decoder
from target_parquet_iceberg.manifest import remove
from target_parquet_iceberg.plan import Method
from target_parquet_iceberg.stage import Stage
from target_parquet_iceberg.undeclared import Undeclared

if t.TYPE_CHECKING:
    import pyarrow as pa

    from target_parquet_iceberg.manifest import BatchFile
    from target_parquet_iceberg.messages import Record
    from target_parquet_iceberg.metadata import Metadata
    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.table import HeldFile

BLOCK_BYTES = 8 * 2**20
POSITION = "__dativo_position"
NO_STATE = -1


class StreamIntake:
    """The records of one stream on their way to its table."""

    def __init__(self, plan: Plan, metadata: Metadata | None = None) -> None:
        self.plan = plan
        self.stage = Stage()
        self.held: list[HeldFile] = []
        self.used: list[BatchFile] = []
        self.seen = 0
        self.covered = NO_STATE
        self.version: int | None = None
        self.is_marked = False
        self.undeclared = Undeclared(plan.stream)
        self._metadata = metadata
        self._decoder = _decoder(plan)
        self._block: list[Record] = []
        self._block_bytes = 0

    @property
    def method(self) -> Method:
        """How the rows are loaded, as far as is known now."""
        return self.plan.resolve(versioned=self.version is not None)

    @property
    def is_block_full(self) -> bool:
        """Tell whether it is time to decode."""
        return self._block_bytes >= BLOCK_BYTES

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
        return self.stage.rows + len(self._block) + held

    @property
    def pending_bytes(self) -> int:
        """Measure the same in bytes of memory or disk."""
        return self.stage.bytes + self._block_bytes

    def reshape(self, plan: Plan) -> None:
        """Go on under a new schema; the block before it must be decoded already."""
        self.plan = plan
        self._decoder = _decoder(plan)

    def add(self, record: Record) -> None:
        """Take one record."""
        if record.version is not None and record.version != self.version:
            self._start_version(record.version)
        self.is_marked = False
        self.seen += 1
        self._block.append(record)
        self._block_bytes += len(record.raw)

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
            rows = self._metadata.add_to(rows, [like] * rows.num_rows)
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
        if not self._block:
            return []
        records, self._block, self._block_bytes = self._block, [], 0
        block = self._decoder.decode([record.raw for record in records])
        self.undeclared.note(block.undeclared)
        first = self.seen - len(records)
        rows = block.rows
        if self._metadata is not None:
            kept = [records[index] for index in block.indices.to_pylist()]
            rows = self._metadata.add_to(rows, kept)
        positions = pc.add(block.indices, first)
        self.stage.add(rows.append_column(POSITION, positions))
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

    def _start_version(self, version: int) -> None:
        if self.version is not None and self.method is Method.OVERWRITE:
            self._block, self._block_bytes = [], 0
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
