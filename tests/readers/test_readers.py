"""The reader matrix: what every mode leaves, as four engines read it.

Each engine reads all tables in a process of its own; ClickHouse and Polars live in an
environment of their own, since they bring another pyarrow. What a reader cannot do is
written down in `READERS` as what it makes of a value instead, so that a limit that is
lifted fails too. The fifth engine, Spark, is in `test_spark.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from datetime import time
from pathlib import Path

import pytest
from pyiceberg.table import StaticTable
from readers.cases import CASES, canonical

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from readers.cases import Row
    from readers.conftest import Lake

READ = Path(__file__).with_name("read.py")
PATIENCE_SECONDS = 240
NESTED = {"list", "deep", "tags"}


@dataclass(frozen=True)
class Limit:
    """What a reader makes of the values of some columns, and why."""

    reason: str
    columns: set[str]
    reads_as: Callable[[t.Any], t.Any]


def seconds(clock: str | None) -> int | None:
    """Return a time of day as whole seconds."""
    if clock is None:
        return None
    moment = time.fromisoformat(clock)
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def as_text(digits: str | None) -> str | None:
    """Return bytes as the text that they may not be."""
    return digits and bytes.fromhex(digits).decode(errors="surrogateescape")


READERS: dict[str, list[Limit]] = {
    "duckdb": [],
    "polars": [],
    "pyiceberg": [
        Limit(
            "0.12 makes empty lists of a null list of structs",
            {"deep"},
            lambda value: value or [],
        )
    ],
    "clickhouse": [
        Limit("an array is never null", NESTED, lambda value: value or []),
        Limit(
            "a tuple is never null, its parts are",
            {"struct"},
            lambda value: value or {"x": None, "y": None},
        ),
        Limit("a time is a number, of seconds", {"hour"}, seconds),
        Limit(
            "a moment without a zone is one in the session's",
            {"wall"},
            lambda value: value and f"{value}+00:00",
        ),
        Limit("bytes and text are one type", {"bytes"}, as_text),
    ],
}
# The engines whose packages bring another pyarrow.
APART = {"clickhouse", "polars"}


@pytest.fixture(scope="module", params=READERS)
def reading(
    request: pytest.FixtureRequest,
    lake: Lake,
    peer: Callable[[str], Path],
) -> tuple[str, dict[str, list[Row]]]:
    """Let an engine read all tables; return its name and what it read."""
    name = request.param
    python = peer("readers") / "python" if name in APART else sys.executable
    tables = [f"{case}={location}" for case, location in lake.locations.items()]
    done = subprocess.run(
        [python, READ, name, *tables],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return name, json.loads(done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_reader(reading: tuple[str, dict[str, list[Row]]], case: str) -> None:
    """The engine gives exactly the rows that were sent, but for its known limits."""
    name, tables = reading
    expected = [as_read(row, READERS[name]) for row in CASES[case].rows]
    assert canonical(tables[case]) == canonical(expected)


@pytest.mark.parametrize("case", CASES)
def test_files_are_as_forced(lake: Lake, case: str) -> None:
    """There are position deletes where a case wants them, each for one data file."""
    tasks = list(StaticTable.from_metadata(lake.locations[case]).scan().plan_files())
    files = {
        (file, task.file.file_path) for task in tasks for file in task.delete_files
    }
    assert bool(files) == ("deletes" in case)
    for file, path in files:
        bounds = {*file.lower_bounds.values(), *file.upper_bounds.values()}
        assert bounds == {path.encode()}


def as_read(row: Row, limits: list[Limit]) -> Row:
    """Return a row as a reader with these limits gives it."""
    read = dict(row)
    for limit in limits:
        for column in limit.columns & row.keys():
            read[column] = limit.reads_as(row[column])
    return read
