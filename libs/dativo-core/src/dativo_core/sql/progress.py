"""Tell people how far a stream is, and how long it may still take."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_SECONDS = 10.0
_MINUTE, _HOUR = 60, 3600
_WHOLE = 100
_UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


@dataclass(slots=True)
class Meter:
    """Counts the rows of one stream, and says a sentence now and then.

    Attributes:
        say: Gets the sentence.
        clock: Seconds that never go back.
        total: About how many rows there are; None if nobody knows.
    """

    stream: str
    say: Callable[[str], None]
    clock: Callable[[], float]
    total: int | None = None
    rows: int = 0
    _began: float = field(init=False)
    _said: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._began = self._said = self.clock()

    def add(self, rows: int) -> None:
        """Take note of rows; speak if it is time."""
        self.rows += rows
        now = self.clock()
        if now - self._said >= INTERVAL_SECONDS:
            self._said = now
            self.say(sentence(self.stream, self.rows, self.total, now - self._began))


def sentence(stream: str, rows: int, total: int | None, seconds: float) -> str:
    """Say how far a stream is: `Syncing orders: 3.1 of 12.4 M rows, 210 k/s, ...`."""
    rate = rows / seconds
    words = f"Syncing {stream}: {_amount(rows, total)} rows, {_short(rate)}/s"
    if total is None or total <= rows or not rate:
        return words
    return f"{words}, about {_duration((total - rows) / rate)} left"


def _amount(rows: int, total: int | None) -> str:
    if total is None or total <= rows:
        return _short(rows)
    done, whole = _short(rows), _short(total)
    unit = whole.partition(" ")[2]
    return f"{done.removesuffix(unit).rstrip()} of {whole}"


def _short(number: float) -> str:
    size, unit = next((pair for pair in _UNITS if number >= pair[0]), (1, ""))
    shown = number / size
    digits = f"{shown:.0f}" if shown >= _WHOLE else f"{shown:.1f}".removesuffix(".0")
    return f"{digits} {unit}".rstrip()


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h"
