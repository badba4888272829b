"""Values that no SCHEMA declares: left out, but never without a word."""

from __future__ import annotations

import logging
import typing as t
from collections import Counter

if t.TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)
# A record may name its fields as it likes; a log must end.
MAX_NAMED = 100
OTHERS = "others"
_LONGEST = 80


class Undeclared:
    """Counts the values of one stream that have no column, field by field."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._counts: Counter[str] = Counter()

    def note(self, counts: Mapping[str, int]) -> None:
        """Count more of them; warn of fields that were not seen before."""
        new = []
        for path, count in counts.items():
            is_new = path not in self._counts
            name = path if not is_new or len(self._counts) < MAX_NAMED else OTHERS
            if count and is_new and name is path:
                new.append(path)
            if count:
                self._counts[name] += count
        if new:
            logger.warning(
                "Stream '%s': the SCHEMA does not declare %s; not stored",
                self._stream,
                ", ".join(repr(path[:_LONGEST]) for path in sorted(new)),
                extra={"stream_name": self._stream},
            )

    def __str__(self) -> str:
        """Return the words for a summary; empty if there is nothing to tell."""
        if not self._counts:
            return ""
        named = (f"{p[:_LONGEST]!r} ({n})" for p, n in sorted(self._counts.items()))
        return f"; undeclared values not stored: {', '.join(named)}"
