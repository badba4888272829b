"""Take Singer states apart and put them together again, stream by stream."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json: t.TypeAlias = dict[str, t.Any]

# What the SDK leaves in a bookmark whose stream is not finished.
_UNFINISHED = frozenset({"progress_markers", "full_table", "partial"})


def bookmark(state: Mapping[str, t.Any], stream: str) -> Json | None:
    """Return the part of a state that belongs to one stream; None if there is none."""
    found = _bookmarks(state).get(stream)
    return found if isinstance(found, dict) else None


def is_clean(state: Mapping[str, t.Any], stream: str) -> bool:
    """Tell whether a state says that a stream was read to its end."""
    if state.get("currently_syncing") or state.get("current_stream"):
        return False
    return is_finished(state, stream)


def is_finished(state: Mapping[str, t.Any], stream: str) -> bool:
    """Tell whether nothing in a state says that this stream is being read."""
    if stream in (state.get("currently_syncing"), state.get("current_stream")):
        return False
    return not _UNFINISHED & (bookmark(state, stream) or {}).keys()


def withhold(
    state: Mapping[str, t.Any], streams: Iterable[str], earlier: Mapping[str, t.Any]
) -> Json:
    """Replace the bookmarks of streams that are not durable yet by earlier ones."""
    held = set(streams)
    if not held:
        return dict(state)
    bookmarks = {
        name: value for name, value in _bookmarks(state).items() if name not in held
    }
    kept = {name: bookmark(earlier, name) for name in held}
    bookmarks |= {name: value for name, value in kept.items() if value is not None}
    return {**state, "bookmarks": bookmarks}


def _bookmarks(state: Mapping[str, t.Any]) -> Json:
    found = state.get("bookmarks")
    return found if isinstance(found, dict) else {}
