"""When a commit is due, and how much of the rows before it is held in memory."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Collection

    from target_parquet_iceberg.stream_load import StreamLoad

MEMORY_BYTES = 32 * 2**20
# What of one stream is decoded at once; less, where there are many.
BLOCK_BYTES = 8 * 2**20
LEAST_BLOCK_BYTES = 2**19
# How many streams write data files before their commit is due: each has a thread and,
# on an object store, an upload.
MOST_AHEAD = 4
# Less is no row group of its own.
LEAST_AHEAD_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """When a commit is due: rows, bytes held, or seconds since the last one.

    Args:
        rows: How many rows.
        bytes: How many bytes of rows, wherever they are.
        seconds: How long after the last commit.
        memory: How many bytes of rows are held in memory at most, of all streams.
    """

    rows: int = 1_000_000
    bytes: int = 512 * 2**20
    seconds: float = 60.0
    memory: int = MEMORY_BYTES

    def are_reached(self, streams: Collection[StreamLoad], seconds: float) -> bool:
        """Tell whether a commit is due, so long after the last one.

        It is, too, if more rows of a stream would have to wait for it in one piece.
        """
        intakes = [stream.intake for stream in streams]
        return (
            any(stream.is_blocked for stream in streams)
            or sum(intake.pending_rows for intake in intakes) >= self.rows
            or sum(intake.pending_bytes for intake in intakes) >= self.bytes
            or seconds >= self.seconds
        )

    def block_bytes(self, streams: int) -> int:
        """Return how much of each stream is to be decoded at once."""
        share = self.memory // (2 * streams)
        return max(LEAST_BLOCK_BYTES, min(BLOCK_BYTES, share))

    def make_room(self, streams: Collection[StreamLoad]) -> None:
        """Keep the rows in memory below their limit: the largest stream gives first."""
        stages = [stream.intake.stage for stream in streams]
        least = min(LEAST_AHEAD_BYTES, self.memory // 2)
        while sum(stage.memory_bytes for stage in stages) > self.memory:
            count = sum(stage.is_ahead for stage in stages)
            largest = max(streams, key=lambda s: s.intake.stage.memory_bytes)
            largest.make_room(least if count < MOST_AHEAD else None)
