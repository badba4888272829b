"""What a MySQL or MariaDB type is, as `information_schema` tells it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

MAX_DECIMAL_PRECISION = 38


@dataclass(frozen=True, slots=True)
class MyType:
    """A column's type.

    Attributes:
        name: Its name without parameters; `json` also for MariaDB's checked text.
        declared: As the table declares it, such as `int(10) unsigned zerofill`.
        precision: Digits of a number, or bits of a `bit`.
        scale: Digits behind the point.
    """

    name: str
    declared: str = ""
    precision: int | None = None
    scale: int | None = None

    @property
    def is_unsigned(self) -> bool:
        """Whether the sign's bit counts as a digit."""
        return "unsigned" in self.declared or self.is_padded

    @property
    def is_padded(self) -> bool:
        """Whether the server prints zeros before the number."""
        # It stands at the end; elsewhere it is a label of an enum or a set.
        return self.declared.endswith("zerofill")

    @property
    def is_flag(self) -> bool:
        """Whether it was declared as BOOL, or just like it."""
        return self.declared == "tinyint(1)"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user decides about values."""

    zero_dates: t.Literal["keep", "null", "text"] = "keep"
    tinyint1: t.Literal["integer", "boolean"] = "integer"
