"""SQL text that databases spell alike, but for their quotes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    import re
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database spells names.

    Attributes:
        mark: The sign around names; doubled within them.
        literal: Finds the literals of a statement.
    """

    mark: str
    literal: re.Pattern[str]

    def quote(self, name: str) -> str:
        """Quote a name."""
        return self.mark + name.replace(self.mark, self.mark * 2) + self.mark

    def qualified(self, *names: str) -> str:
        """Return a full name, outermost part first."""
        return ".".join(map(self.quote, names))

    def without_literals(self, sql: str) -> str:
        """Return a query for the log: what it compares with are values of rows."""
        return self.literal.sub("'***'", sql)

    def select(
        self,
        relation: str,
        columns: Sequence[tuple[str, str]],
        where: Sequence[str] = (),
        *,
        order: str = "",
        limit: int | None = None,
    ) -> str:
        """Build a query; columns are pairs of expression and name."""
        listed = ", ".join(
            f"{expression} AS {self.quote(name)}" for expression, name in columns
        )
        # A line break ends a comment that a custom clause may carry.
        conditions = " AND ".join(f"({clause}\n)" for clause in where)
        parts = (
            f"SELECT {listed} FROM {relation}",  # noqa: S608 names are quoted
            conditions and f"WHERE {conditions}",
            order and f"ORDER BY {order}",
            f"LIMIT {limit}" if limit is not None else "",
        )
        return " ".join(part for part in parts if part)
