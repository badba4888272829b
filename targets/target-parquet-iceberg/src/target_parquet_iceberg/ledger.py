"""How many rows without keys a table had taken at each of its latest bookmarks.

When snapshots have expired nobody can tell any more which rows came after a bookmark,
but it still matters how many: that many may come again, and no more. A new row that
looks like an old one is new.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEPT = 32


class Mark(t.NamedTuple):
    """The rows that had been appended when a commit of a run brought a bookmark."""

    bookmark: str
    rows: int
    run: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The rows appended so far, and at earlier bookmarks; the oldest mark first."""

    rows: int = 0
    marks: tuple[Mark, ...] = ()

    def then(self, bookmark: Mapping[str, t.Any] | None, rows: int, run: str) -> Ledger:
        """Return the ledger after a commit that appends rows."""
        total = self.rows + rows
        if bookmark is None:
            return Ledger(total, self.marks)
        name = _digest(bookmark)
        earlier = (mark for mark in self.marks if mark.bookmark != name)
        return Ledger(total, _thinned([*earlier, Mark(name, total, run[-8:])]))

    def since(self, bookmark: Mapping[str, t.Any]) -> int | None:
        """Count the rows that came after a bookmark; None if it is not known."""
        wanted = _digest(bookmark)
        found = [mark.rows for mark in self.marks if mark.bookmark == wanted]
        return self.rows - found[-1] if found else None


def _thinned(marks: list[Mark]) -> tuple[Mark, ...]:
    """Keep the latest marks, and the last ones of runs: other runs begin there."""
    ends = {mark.run: mark for mark in marks}
    kept = {*list(ends.values())[-KEPT:], *marks[-KEPT:]}
    return tuple(mark for mark in marks if mark in kept)


def _digest(bookmark: Mapping[str, t.Any]) -> str:
    text = json.dumps(bookmark, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dump(ledger: Ledger) -> str:
    """Spell a ledger as JSON."""
    return json.dumps([ledger.rows, [list(mark) for mark in ledger.marks]])


def parse(text: str | None) -> Ledger:
    """Read what `dump` gave; an empty ledger if there is nothing."""
    if not text:
        return Ledger()
    rows, marks = json.loads(text)
    return Ledger(rows, _marks(marks))


def _marks(found: Iterable[t.Any]) -> tuple[Mark, ...]:
    return tuple(Mark(*mark) for mark in found)
