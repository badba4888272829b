"""Where messages go: streams to standard output, and a STATE when it is time."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_stripe.state import Bookmark
    from tap_stripe.streams import StripeStream

STATE_RECORDS = 1_000
STATE_SECONDS = 10.0

Json: t.TypeAlias = "dict[str, t.Any]"


class SingerOutput:
    """Writes what several streams send at the same time.

    Args:
        streams: Those that are selected.
        state: The tap's state, which is changed in place.
        write_state: Writes a STATE message.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        streams: Mapping[str, StripeStream],
        state: Json,
        write_state: Callable[[t.Any], None],
        clock: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._state = state
        self._write_state = write_state
        self._clock = clock
        self._begun: list[str] = []
        self._records = 0
        self._written_at = clock()

    def begin(self, stream: str, version: int | None) -> None:
        """Announce a stream, once: a target learns of it before its SCHEMA."""
        if stream not in self._begun:
            self._begun.append(stream)
            self._state["currently_syncing"] = stream
            self.flush()
            self._streams[stream].begin(version)

    def write(self, stream: str, records: list[bytes]) -> None:
        """Write records."""
        self._streams[stream].write(records)
        self._records += len(records)

    def remember(self, account: str, bookmarks: Mapping[str, Bookmark]) -> None:
        """Note where streams stand; write a STATE now and then."""
        for stream, bookmark in bookmarks.items():
            place(self._state, stream, account, bookmark.to_json())
        is_late = self._clock() - self._written_at >= STATE_SECONDS
        if self._records >= STATE_RECORDS or is_late:
            self.flush()

    def finish(self, stream: str) -> None:
        """Say that all records of a stream were written."""
        self._streams[stream].finish()

    def flush(self) -> None:
        """Write a STATE."""
        self._write_state(self._state)
        self._records = 0
        self._written_at = self._clock()

    def stop(self, stream: str) -> None:
        """Write the STATE of a run that is not complete: it names some stream."""
        self._state.setdefault("currently_syncing", stream)
        self.flush()

    def end(self, unfinished: str = "") -> None:
        """Write the last STATE; a stream that it names is not complete."""
        self._state.pop("currently_syncing", None)
        if unfinished:
            self._state["currently_syncing"] = unfinished
        self.flush()


def place(state: Json, stream: str, account: str, bookmark: Json) -> None:
    """Put a bookmark where it belongs; those of connected accounts are partitions."""
    bookmarks = state.setdefault("bookmarks", {})
    if not account:
        bookmarks[stream] = bookmark
        return
    partitions = bookmarks.setdefault(stream, {}).setdefault("partitions", [])
    others = [one for one in partitions if one.get("context") != _context(account)]
    bookmarks[stream] = {
        "partitions": [*others, {"context": _context(account), **bookmark}]
    }


def find(state: Mapping[str, t.Any], stream: str, account: str) -> Json:
    """Return a bookmark; empty if there is none."""
    found: Json = state.get("bookmarks", {}).get(stream) or {}
    if not account:
        return found
    for one in found.get("partitions", []):
        if one.get("context") == _context(account):
            return dict(one)
    return {}


def _context(account: str) -> Json:
    return {"account": account}
