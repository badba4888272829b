"""Take Singer states apart and put them together again, stream by stream."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json: t.TypeAlias = dict[str, t.Any]

# What the SDK leaves in a bookmark whose stream is not finished.
_UNFINISHED = frozenset({"progress_markers", "full_table", "partial"})
_OF_STREAMS = frozenset({"bookmarks", "currently_syncing", "current_stream"})


def bookmark(state: Mapping[str, t.Any], stream: str) -> Json | None:
    """Return the part of a state that belongs to one stream; None if there is none."""
    found = _bookmarks(state).get(stream)
    return found if isinstance(found, dict) else None


def is_clean(state: Mapping[str, t.Any], stream: str) -> bool:
    """Tell whether a state says that a stream was read to its end."""
    return syncing(state) is None and is_finished(state, stream)


def is_finished(state: Mapping[str, t.Any], stream: str) -> bool:
    """Tell whether nothing in a state says that this stream is being read."""
    if stream == syncing(state):
        return False
    return not _UNFINISHED & (bookmark(state, stream) or {}).keys()


def syncing(state: Mapping[str, t.Any]) -> str | None:
    """Return the stream that the tap says it is reading."""
    name = state.get("currently_syncing") or state.get("current_stream")
    return str(name) if name else None


def withhold(
    state: Mapping[str, t.Any], streams: Iterable[str], earlier: Mapping[str, t.Any]
) -> Json:
    """Replace the bookmarks of streams that are not durable yet by earlier ones."""
    held = set(streams)
    if not held:
        return dict(state)
    if not isinstance(state.get("bookmarks"), dict):
        return dict(earlier)  # nobody can tell what it says of the streams that wait
    bookmarks = {
        name: value for name, value in _bookmarks(state).items() if name not in held
    }
    before = _bookmarks(earlier)
    bookmarks |= {name: before[name] for name in held & before.keys()}
    # What a state says besides (a position in a log, say) may cover them all.
    shared = {k: v for k, v in earlier.items() if k not in _OF_STREAMS}
    own = {k: v for k, v in state.items() if k in _OF_STREAMS}
    return {**shared, **own, "bookmarks": bookmarks}


def _bookmarks(state: Mapping[str, t.Any]) -> Json:
    found = state.get("bookmarks")
    return found if isinstance(found, dict) else {}
