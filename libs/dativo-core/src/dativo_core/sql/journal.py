"""The STATE of a run: where each stream stands, and which one is not finished."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

State: t.TypeAlias = "dict[str, t.Any]"


class Journal:
    """Keeps the tap's state; used by the one thread that writes.

    `currently_syncing` is Singer's word for a stream that is not finished. A target
    that has not seen the STATE without it knows that the tap was cut.

    Args:
        state: The tap's state, changed in place.
        streams: All that this run reads, in order.
        write: Writes a STATE message.
    """

    def __init__(
        self, state: t.Any, streams: Iterable[str], write: Callable[[t.Any], None]
    ) -> None:
        self._state: State = state
        self._unfinished = list(streams)
        self._write = write

    def bookmark(self, stream: str) -> State:
        """Return where a stream stands."""
        return dict(self._state.get("bookmarks", {}).get(stream) or {})

    def announce(self) -> None:
        """Name the stream that comes first, before a STATE says what a run starts from.

        It would be the STATE of a run that is whole, if the tap died behind it.
        """
        if self._unfinished:
            self._state["currently_syncing"] = self._unfinished[0]

    def begin(self, stream: str) -> None:
        """Say which stream comes next, and what this run starts from."""
        self._state["currently_syncing"] = stream
        self.remember(stream, self.bookmark(stream))

    def remember(self, stream: str, bookmark: State, *, write: bool = True) -> None:
        """Take note that all rows of a stream so far are covered by a bookmark."""
        self._state.setdefault("bookmarks", {})[stream] = bookmark
        if write:
            self._write(self._state)

    def finish(self, stream: str, bookmark: State, *, write: bool = True) -> None:
        """Say that a stream is whole: only the last STATE of a run names none."""
        self._state.pop("currently_syncing", None)
        if stream in self._unfinished:
            self._unfinished.remove(stream)
        if self._unfinished:
            self._state["currently_syncing"] = self._unfinished[0]
        self.remember(stream, bookmark, write=write)
