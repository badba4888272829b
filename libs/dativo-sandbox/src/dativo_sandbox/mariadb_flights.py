"""The flights of New York City, as a MariaDB database with types of its own."""

from __future__ import annotations

import tempfile
import typing as t

from dativo_sandbox import nycflights

if t.TYPE_CHECKING:
    import pyarrow as pa

    from dativo_sandbox.mariadb_database import MariaDatabase

_AIRLINES = """
CREATE TABLE airlines (carrier char(2) PRIMARY KEY, name varchar(40) NOT NULL)
"""
_AIRPORTS = """
CREATE TABLE airports (
  faa char(3) PRIMARY KEY, name varchar(60) NOT NULL, lat double, lon double,
  alt smallint, tz tinyint, dst enum('A', 'N', 'U'), tzone varchar(40))
"""
_PLANES = """
CREATE TABLE planes (
  tailnum varchar(6) PRIMARY KEY, year year, type varchar(30), manufacturer varchar(40),
  model varchar(20), engines tinyint unsigned, seats smallint unsigned,
  speed smallint unsigned, engine varchar(20))
"""
# Of the columns behind time_hour the files know nothing: flights have no key of their
# own, nothing that tells what changed, and no column for the local time as a whole.
# Were time_hour NOT NULL, servers before 10.10 would set it anew with every change.
_FLIGHTS = """
CREATE TABLE flights (
  year year NOT NULL, month tinyint unsigned NOT NULL, day tinyint unsigned NOT NULL,
  dep_time smallint unsigned, sched_dep_time smallint unsigned, dep_delay smallint,
  arr_time smallint unsigned, sched_arr_time smallint unsigned, arr_delay smallint,
  carrier char(2) NOT NULL, flight smallint unsigned NOT NULL, tailnum varchar(6),
  origin enum('EWR', 'JFK', 'LGA') NOT NULL, dest char(3) NOT NULL,
  air_time smallint unsigned, distance smallint unsigned NOT NULL,
  hour tinyint unsigned, minute tinyint unsigned, time_hour timestamp NULL,
  scheduled_at datetime AS (
    MAKEDATE(year, 1) + INTERVAL month - 1 MONTH + INTERVAL day - 1 DAY
    + INTERVAL hour HOUR + INTERVAL minute MINUTE),
  id int unsigned AUTO_INCREMENT PRIMARY KEY,
  updated_at timestamp(6) NOT NULL DEFAULT NOW(6) ON UPDATE NOW(6),
  KEY (updated_at))
"""
_WEATHER = """
CREATE TABLE weather (
  origin enum('EWR', 'JFK', 'LGA') NOT NULL, year year NOT NULL,
  month tinyint unsigned NOT NULL, day tinyint unsigned NOT NULL,
  hour tinyint unsigned NOT NULL, temp decimal(5, 2), dewp decimal(5, 2),
  humid decimal(5, 2), wind_dir smallint unsigned, wind_speed double, wind_gust double,
  precip decimal(4, 2), pressure decimal(5, 1), visib decimal(4, 2),
  time_hour timestamp NULL)
"""


def load(database: MariaDatabase) -> dict[str, int]:
    """Create and fill the tables, on a server of this machine; return the rows of each.

    A value that its column does not hold as it is ends the load.
    """
    for table in (_AIRLINES, _AIRPORTS, _PLANES, _FLIGHTS, _WEATHER):
        database.execute(table)
    [[folder]] = database.query("SELECT @@secure_file_priv")
    return {name: _fill(database, name, folder) for name in nycflights.TABLES}


def _fill(database: MariaDatabase, name: str, folder: str) -> int:
    from pyarrow import csv  # noqa: PLC0415

    rows = nycflights.read(name)
    options = csv.WriteOptions(include_header=False, delimiter="\t")
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        csv.write_csv(_as_texts(rows), file, options)
        file.flush()
        database.execute(
            f"LOAD DATA INFILE '{file.name}' INTO TABLE {name} CHARACTER SET utf8mb4 "
            f"FIELDS ENCLOSED BY '\"' ({', '.join(rows.column_names)})"
        )
    return t.cast("int", rows.num_rows)


def _as_texts(rows: pa.Table) -> pa.Table:
    r"""Spell values as LOAD DATA reads them: moments in UTC, nulls as `\N`."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute  # noqa: PLC0415

    def texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us"))
        spelt = column.cast(pa.string())
        return compute.replace_substring(spelt, "\\", r"\\").fill_null(r"\N")

    return pa.table([texts(c) for c in rows.columns], names=rows.column_names)
