"""Ids and times as functions of a position, so that nothing need be stored."""

from __future__ import annotations

import dataclasses
import hashlib
import math

_SIZE = 2**96
_DIGITS = 24
_FACTOR = 0x9E3779B97F4A7C15F39CC061 | 1
_INVERSE = pow(_FACTOR, -1, _SIZE)
# Every so often a burst of objects shares one second, as imports and renewals do.
_BURST = 7
_BURST_EVERY = 10


class Ids:
    """A reversible, scrambled numbering: ids do not sort as they were made."""

    def __init__(self, prefix: str, *salt: object) -> None:
        self._prefix = prefix
        text = "/".join(map(str, (prefix, *salt)))
        digest = hashlib.blake2b(text.encode(), digest_size=12).digest()
        self._offset = int.from_bytes(digest, "big")

    def at(self, position: int) -> str:
        """Name the object at a position."""
        number = (position * _FACTOR + self._offset) % _SIZE
        return f"{self._prefix}{number:024x}"

    def position(self, name: str) -> int | None:
        """Return the position that a name stands for, if it is one of these."""
        digits = name.removeprefix(self._prefix)
        if not name.startswith(self._prefix) or len(digits) != _DIGITS:
            return None
        try:
            number = int(digits, 16)
        except ValueError:
            return None
        return (number - self._offset) * _INVERSE % _SIZE


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """When the objects of a population were created: ever more in each month."""

    start: int
    end: int

    def created(self, position: int, count: int, delay: int = 0) -> int:
        """Return the second in which one of `count` objects was created."""
        group = position // _BURST
        if group % _BURST_EVERY == 0:
            position = group * _BURST
        passed = math.sqrt(position / count)
        return self.start + int((self.end - self.start) * passed) + delay
