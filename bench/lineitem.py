"""TPC-H's `lineitem`, made by the extension that DuckDB's wheel brings."""

from __future__ import annotations

import typing as t

from dativo_sandbox import lake
from tables import LINEITEM

if t.TYPE_CHECKING:
    from dativo_sandbox.database import Database

# Scale factor 1 has so many rows, give or take a few.
_ROWS_OF_FACTOR_1 = 6_001_215


def fill(database: Database, rows: int) -> None:
    """Fill the table with about so many rows: TPC-H deals in orders of 1 to 7."""
    with lake.connect(extensions=("tpch",)) as engine:
        engine.execute(f"CALL dbgen(sf = {rows / _ROWS_OF_FACTOR_1})")
        names = ", ".join(column.name for column in LINEITEM.columns)
        lines = engine.sql(f"SELECT {names} FROM lineitem").to_arrow_reader(100_000)  # noqa: S608 our own names
        with database.connect(autocommit=True) as connection, connection.cursor() as it:
            it.adbc_ingest(LINEITEM.name, lines, mode="append")
