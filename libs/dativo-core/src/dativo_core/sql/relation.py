"""What a database holds, in words that every database understands."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from dativo_core.record_lines import Rendering
    from dativo_core.singer_types import Schema


@dataclass(frozen=True, slots=True)
class Value:
    """How a column is asked for and rendered.

    Attributes:
        schema: JSON Schema of a value.
        select: SQL expression that RECORD lines need.
        rendering: How the selected value becomes JSON.
        native: SQL expression that a BATCH file needs.
    """

    schema: Schema
    select: str
    rendering: Rendering
    native: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the user may read.

    Attributes:
        type: The database's own name of its type, without parameters.
        declared: Its type as the table declares it.
        orders: Whether values grow, so that the column can mark progress.
    """

    name: str
    type: str
    declared: str
    value: Value
    orders: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, a view, or what else has rows and columns.

    Attributes:
        schema: What the database calls the folder of the table.
        rows: About how many there are, if the database knows.
        key: Columns of the primary key, in its order; empty if not all are readable.
        is_view: Whether its rows are computed.
    """

    database: str | None
    schema: str
    name: str
    rows: int | None
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    is_view: bool = False

    @property
    def stream(self) -> str:
        """The name of its stream."""
        return f"{self.schema}-{self.name}"

    @property
    def cursors(self) -> list[str]:
        """The columns that can order changes."""
        return [column.name for column in self.columns if column.orders]
