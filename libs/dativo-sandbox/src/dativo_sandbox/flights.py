"""The flights of New York City, as a PostgreSQL database."""

from __future__ import annotations

import typing as t

from dativo_sandbox import nycflights

if t.TYPE_CHECKING:
    from dativo_sandbox.database import Database

_KEYS = {"airlines": "carrier", "airports": "faa", "planes": "tailnum"}
# Flights have no key of their own, and nothing that tells what changed.
_FLIGHTS = """
ALTER TABLE flights ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE flights ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX ON flights (updated_at)
"""


def load(database: Database) -> dict[str, int]:
    """Create and fill the tables; return the rows of each."""
    counts: dict[str, int] = {}
    with database.connect(autocommit=True) as connection:
        for name in nycflights.TABLES:
            rows = nycflights.read(name)
            with connection.cursor() as cursor:
                counts[name] = cursor.adbc_ingest(name, rows, mode="create")
    for name, key in _KEYS.items():
        database.execute(f"ALTER TABLE {name} ADD PRIMARY KEY ({key})")
    database.execute(_FLIGHTS)
    return counts
