"""Read several chunks of a table at once, and give them out in order."""

from __future__ import annotations

import queue
import threading
import typing as t
from collections import deque

from dativo_core.sql.lanes import AbandonedError, Lanes

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from dativo_core.sql.lanes import Lane

C = t.TypeVar("C")
C_contra = t.TypeVar("C_contra", contravariant=True)

# So that no connection waits for the planner, and a cut costs few chunks.
_AHEAD = 2
_PATIENCE_SECONDS = 5.0


class ChunkReader(t.Protocol[C_contra]):
    """One connection that reads chunks; all of a load see the same moment."""

    def read(self, chunk: C_contra) -> Iterator[pa.RecordBatch]:
        """Read a chunk."""

    def cancel(self) -> None:
        """Let the server stop what it does for this connection."""


def in_order(
    chunks: Iterable[C], readers: Sequence[ChunkReader[C]], max_bytes: int
) -> Iterator[tuple[C, pa.RecordBatch | None]]:
    """Yield the batches of chunk after chunk, and None where one is whole.

    Each reader has a thread of its own, if there are several. What they have read
    waits in memory for its turn, no more than `max_bytes` and a batch of each.
    """
    if len(readers) > 1:
        yield from _Crew(chunks, readers, max_bytes).batches()
        return
    for chunk in chunks:
        for batch in readers[0].read(chunk):
            yield chunk, batch
        yield chunk, None


class _Crew(t.Generic[C]):
    """Threads that read chunks as this one hands them out."""

    def __init__(
        self, chunks: Iterable[C], readers: Sequence[ChunkReader[C]], max_bytes: int
    ) -> None:
        self._chunks = iter(chunks)
        self._readers = readers
        self._lanes: Lanes[pa.RecordBatch] = Lanes(max_bytes)
        self._tasks: queue.SimpleQueue[tuple[C, Lane[t.Any]] | None]
        self._tasks = queue.SimpleQueue()
        self._given: deque[tuple[C, Lane[t.Any]]] = deque()
        # A process that a signal ends does not wait for an answer.
        self._threads = [
            threading.Thread(target=self._serve, args=[reader], daemon=True)
            for reader in readers
        ]

    def batches(self) -> Iterator[tuple[C, pa.RecordBatch | None]]:
        for _ in range(_AHEAD * len(self._readers)):
            self._hand_out()
        for thread in self._threads:
            thread.start()
        try:
            while self._given:
                chunk, lane = self._given.popleft()
                while (batch := self._lanes.take(lane)) is not None:
                    yield chunk, batch
                yield chunk, None
                self._hand_out()
        except BaseException:
            self._lanes.abandon()
            for reader in self._readers:
                reader.cancel()
            raise
        finally:
            self._dismiss()

    def _hand_out(self) -> None:
        for chunk in self._chunks:
            self._given.append((chunk, self._lanes.open()))
            self._tasks.put(self._given[-1])
            return

    def _serve(self, reader: ChunkReader[C]) -> None:
        while (task := self._tasks.get()) is not None:
            chunk, lane = task
            try:
                for batch in reader.read(chunk):
                    self._lanes.put(lane, batch, batch.nbytes)
            except AbandonedError:
                return
            except BaseException as error:  # noqa: BLE001 raised where it is awaited
                self._lanes.end(lane, error)
                return
            self._lanes.end(lane)

    def _dismiss(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
