"""Read several tables at once; one thread writes what they give, in turns.

A turn ends where a STATE covers the stream. So every STATE is right for every stream:
no row of another one lies between its last bookmark and that STATE.
"""

from __future__ import annotations

import queue
import threading
import typing as t

from dativo_core.output import Mark
from dativo_core.sql.lanes import AbandonedError, Lanes

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dativo_core.output import Handed, LineWriter
    from dativo_core.sql.lanes import Lane

MAX_BYTES = 64 * 2**20
_PATIENCE_SECONDS = 5.0


class Syncs(t.Protocol):
    """A stream that writes its messages through the writer."""

    def sync(self) -> None:
        """Read and write everything."""


class Connections(t.Protocol):
    """What streams have borrowed."""

    def cancel(self) -> None:
        """Let the server stop what it does for them."""

    def forget(self) -> None:
        """Leave alone what does not answer."""


class Tables:
    """Streams that are read at the same time.

    Args:
        streams: In the order in which they begin.
        count: How many at the same time.
        writer: Where they write, and where their lines go.
        connections: Those of the run.
        max_bytes: What may wait to be written.
    """

    def __init__(
        self,
        streams: Sequence[Syncs],
        count: int,
        writer: LineWriter,
        connections: Connections,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._writer = writer
        self._connections = connections
        self._lanes: Lanes[Handed] = Lanes(max_bytes)
        self._tasks: queue.SimpleQueue[tuple[Syncs, Lane[Handed]] | None]
        self._tasks = queue.SimpleQueue()
        for stream in streams:
            self._tasks.put((stream, self._lanes.open()))
        # A process that a signal ends does not wait for an answer.
        self._threads = [
            threading.Thread(target=self._serve, daemon=True) for _ in range(count)
        ]

    def sync(self) -> None:
        """Read all streams; raise the error of the first that fails."""
        for thread in self._threads:
            self._tasks.put(None)
            thread.start()
        try:
            while (lane := self._lanes.ready()) is not None:
                self._give_turn(lane)
        except BaseException:
            self._lanes.abandon()
            self._connections.cancel()
            raise
        finally:
            self._dismiss()

    def _dismiss(self) -> None:
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
        if any(thread.is_alive() for thread in self._threads):
            self._connections.forget()

    def _give_turn(self, lane: Lane[Handed]) -> None:
        while (handed := self._lanes.take(lane)) is not None:
            if not isinstance(handed, Mark):
                self._writer.write_blocks([memoryview(handed)])
                continue
            handed.do()
            if handed.is_barrier:
                return

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            stream, lane = task
            try:
                with self._writer.through(self._hand_over(lane)):
                    stream.sync()
            except AbandonedError:
                return
            except BaseException as error:  # noqa: BLE001 raised where it is awaited
                self._lanes.end(lane, error)
                return
            self._lanes.end(lane)

    def _hand_over(self, lane: Lane[Handed]) -> Callable[[Handed, int], None]:
        return lambda handed, size: self._lanes.put(lane, handed, size)
