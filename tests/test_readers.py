"""The reader matrix: what every mode leaves, as four engines read it.

Each engine reads all tables in a process of its own; ClickHouse and Polars live in an
environment of their own, since they bring another pyarrow. What a reader cannot do is
written down in `READERS` as what it makes of a value instead, so that a limit that is
lifted fails too.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import signal
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import partial
from pathlib import Path

import pytest
from pyiceberg.table import StaticTable
from target_parquet_iceberg import staging
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.snapshots import CostRule, SnapshotWriter
from target_parquet_iceberg.target import TargetParquetIceberg

if t.TYPE_CHECKING:
    from collections.abc import Callable

READ = Path(__file__).parent / "readers/read.py"
PATIENCE_SECONDS = 240
DELETES = CostRule(small_bytes=0, hit_ratio=1.0)
REWRITES = CostRule(small_bytes=2**40)
Row: t.TypeAlias = "dict[str, t.Any]"
Lines: t.TypeAlias = "list[dict[str, t.Any]]"


def kind(name: str, **more: t.Any) -> Row:
    """Return the schema of a property that may be null."""
    return {"type": [name, "null"], **more}


INT = kind("integer", minimum=-(2**31), maximum=2**31 - 1)
LONG, TEXT, DOUBLE = kind("integer"), kind("string"), kind("number")
TYPES: Row = {
    "id": LONG,
    "flag": kind("boolean"),
    "small": INT,
    "big": LONG,
    "single": kind("number", format="float"),
    "double": DOUBLE,
    "money": kind("string", format="x-singer.decimal", precision=12, scale=2),
    "huge": kind("string", format="x-singer.decimal", precision=38, scale=10),
    "day": kind("string", format="date"),
    "hour": kind("string", format="time"),
    "wall": kind("string", format="date-time", **{"x-timezone": False}),
    "moment": kind("string", format="date-time"),
    "text": TEXT,
    "bytes": kind("string", contentEncoding="base64"),
    "list": kind("array", items=LONG),
    "struct": kind("object", properties={"x": LONG, "y": TEXT}),
    "deep": kind(
        "array", items=kind("object", properties={"tags": kind("array", items=TEXT)})
    ),
    "free": kind("object"),
}
NESTED = {"list", "deep", "tags"}
VALUES: Lines = [
    {
        "id": 1,
        "flag": True,
        "small": 2**31 - 1,
        "big": 2**63 - 1,
        "single": 0.5,
        "double": 0.1,
        "money": "1234567890.12",
        "huge": "1234567890123456789012345678.0123456789",
        "day": "2024-02-29",
        "hour": "23:59:59.123456",
        "wall": "2024-02-29T23:59:59.123456",
        "moment": "2024-02-29T23:59:59.123456+00:00",
        "text": 'comma, "quote"\nünïcödé 🐘',
        "bytes": base64.b64encode(b"\x00\xffab").decode(),
        "list": [1, None, -3],
        "struct": {"x": 1, "y": "é"},
        "deep": [{"tags": ["a", None]}, {"tags": []}],
        "free": {"a": [1, {"b": None}]},
    },
    {
        "id": 2,
        "flag": False,
        "small": -(2**31),
        "big": -(2**63),
        "single": -1.5,
        "double": -1e-300,
        "money": "-0.01",
        "huge": "-0.0000000001",
        "day": "1970-01-01",
        "hour": "00:00:00",
        "wall": "1970-01-01T00:00:00",
        "moment": "1969-12-31T23:59:59+00:00",
        "text": "",
        "bytes": "",
        "list": [],
        "struct": {"x": None, "y": None},
        "deep": [],
        "free": {},
    },
    {"id": 3},
    {
        "id": 4,
        "day": "0001-01-01",
        "wall": "9999-12-31T23:59:59.999999",
        "moment": "0001-01-01T00:00:00+00:00",
    },
]
# How `readers/read.py` spells what the JSON of a message says in another way.
SPELLED: dict[str, Callable[[t.Any], t.Any]] = {
    "bytes": lambda text: base64.b64decode(text).hex(),
    "free": json.dumps,
    "day": lambda text: date.fromisoformat(text).isoformat(),
    "hour": lambda text: time.fromisoformat(text).isoformat(),
    "wall": lambda text: datetime.fromisoformat(text).isoformat(),
    "moment": lambda text: datetime.fromisoformat(text).isoformat(),
}


def meant(row: Row) -> Row:
    """Return a record of TYPES as a reader should give it."""
    return {
        name: None
        if row.get(name) is None
        else SPELLED.get(name, lambda value: value)(row[name])
        for name in TYPES
    }


@dataclass(frozen=True)
class Case:
    """A table: the loads that make it, and the rows it must have then.

    Attributes:
        loads: The messages of each load, without its closing STATE.
        rows: What every reader must give, in any order.
        rule: What an upsert does to the files that hold its keys.
        settings: Settings of the target.
    """

    loads: list[Lines]
    rows: list[Row]
    rule: CostRule = field(default_factory=CostRule)
    settings: Row = field(default_factory=dict)


def load(
    rows: list[Row],
    keys: tuple[str, ...] = ("id",),
    version: int | None = None,
    **columns: t.Any,
) -> Lines:
    """Return the messages of one load of stream `s`."""
    schema = {"properties": columns or {"id": LONG, "v": TEXT}}
    head = {"type": "SCHEMA", "stream": "s", "schema": schema}
    number = {} if version is None else {"version": version}
    records = [{"type": "RECORD", "stream": "s", "record": r, **number} for r in rows]
    done = {"type": "ACTIVATE_VERSION", "stream": "s", **number}
    return [
        {**head, "key_properties": list(keys)},
        *records,
        *([done] if number else []),
    ]


def kv(numbers: range, value: str) -> list[Row]:
    """Return rows of id and v."""
    return [{"id": number, "v": value} for number in numbers]


def pairs(numbers: range, value: str) -> list[Row]:
    """Return rows of a composite key and v; neither part is enough for itself."""
    return [{"a": n // 2, "b": f"k{n % 2}", "v": value} for n in numbers]


PAIR = {"a": LONG, "b": TEXT, "v": TEXT}
ALL, HIT, NEW = range(100), range(10, 20), range(100, 105)
UPSERTS = [load(kv(ALL, "old")), load(kv(HIT, "new") + kv(NEW, "new"))]
UPSERTED = [*kv(range(10), "old"), *kv(HIT, "new"), *kv(range(20, 100), "old")]
UPSERTED += kv(NEW, "new")
COMPOSITE = [
    load(pairs(ALL, "old"), ("a", "b"), **PAIR),
    load(pairs(HIT, "new"), ("a", "b"), **PAIR),
]
PAIRED = [*pairs(range(10), "old"), *pairs(HIT, "new"), *pairs(range(20, 100), "old")]
NARROW: Row = {"id": INT, "n": INT, "f": kind("number", format="float"), "gone": TEXT}
WIDE: Row = {
    "id": LONG,
    "n": LONG,
    "f": DOUBLE,
    "new": DOUBLE,
    "tags": kind("array", items=TEXT),
}
EVOLVED = [
    load([{"id": 1, "n": 1, "f": 0.5, "gone": "a"}, {"id": 2, "n": 2}], **NARROW),
    load(
        [{"id": 2, "n": 2**40, "f": 0.1, "new": 1.5, "tags": ["x"]}, {"id": 2**40}],
        **WIDE,
    ),
]
EMPTY_EVOLVED = {
    "id": None,
    "n": None,
    "f": None,
    "gone": None,
    "new": None,
    "tags": None,
}
AFTER_EVOLUTION = [
    {**EMPTY_EVOLVED, "id": 1, "n": 1, "f": 0.5, "gone": "a"},
    {**EMPTY_EVOLVED, "id": 2, "n": 2**40, "f": 0.1, "new": 1.5, "tags": ["x"]},
    {**EMPTY_EVOLVED, "id": 2**40},
]
CASES = {
    "append": Case(
        [load(kv(range(3), "a"), ()), load(kv(range(2, 5), "b"), ())],
        [*kv(range(3), "a"), *kv(range(2, 5), "b")],
    ),
    "upsert_by_deletes": Case(UPSERTS, UPSERTED, DELETES),
    "upsert_twice_by_deletes": Case(
        [*UPSERTS, load(kv(range(10, 30), "newest"))],
        [
            *kv(range(10), "old"),
            *kv(range(10, 30), "newest"),
            *kv(range(30, 100), "old"),
            *kv(NEW, "new"),
        ],
        DELETES,
    ),
    "upsert_by_rewriting": Case(UPSERTS, UPSERTED, REWRITES),
    "composite_by_deletes": Case(COMPOSITE, PAIRED, DELETES),
    "composite_by_rewriting": Case(COMPOSITE, PAIRED, REWRITES),
    "evolved_by_deletes": Case(EVOLVED, AFTER_EVOLUTION, DELETES),
    "evolved_by_rewriting": Case(EVOLVED, AFTER_EVOLUTION, REWRITES),
    "overwritten": Case(
        [load(kv(ALL, "old")), load(kv(range(5), "new"))],
        kv(range(5), "new"),
        settings={"load_method": "overwrite"},
    ),
    "full_load": Case(
        [load(kv(ALL, "old"), version=1), load(kv(range(5), "new"), version=2)],
        kv(range(5), "new"),
    ),
    "full_load_of_nothing": Case(
        [load(kv(ALL, "old"), version=1), load([], version=2)], []
    ),
    "types": Case([load(VALUES, **TYPES)], [meant(row) for row in VALUES]),
    "types_by_deletes": Case(
        [load(VALUES, **TYPES), load([{"id": 3, "text": "hit"}], **TYPES)],
        [meant(row | ({"text": "hit"} if row["id"] == 3 else {})) for row in VALUES],
        DELETES,
    ),
}


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


def run_target(config: Row, lines: Lines, rule: CostRule) -> None:
    """Run the target in this process, with its rule for upserts changed."""
    before = {number: signal.getsignal(number) for number in (2, 15)}
    writer = partial(SnapshotWriter, rule=rule)
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "SnapshotWriter", writer)
        with contextlib.redirect_stdout(io.StringIO()):
            TargetParquetIceberg(config=config).listen(io.BytesIO(data))
    for number, action in before.items():
        signal.signal(number, action)


@pytest.fixture(scope="module")
def locations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Make all tables; return where their metadata lies."""
    warehouse = str(tmp_path_factory.mktemp("lake"))
    for name, case in CASES.items():
        table = {"s": {"table": name}}
        rest = {"enabled": False}  # it would merge what is to be read
        config = {"warehouse": warehouse, "streams": table, "maintenance": rest}
        for number, lines in enumerate(case.loads):
            state = {"type": "STATE", "value": {"bookmarks": {"s": {"v": number}}}}
            run_target({**config, **case.settings}, [*lines, state], case.rule)
    with open_catalog({"warehouse": warehouse}) as catalog:
        tables = {name: catalog.load_table(("lake", name)) for name in CASES}
        return {name: table.metadata_location for name, table in tables.items()}


@pytest.fixture(scope="module", params=READERS)
def reading(
    request: pytest.FixtureRequest,
    locations: dict[str, str],
    peer: Callable[[str], Path],
) -> tuple[str, dict[str, list[Row]]]:
    """Let an engine read all tables; return its name and what it read."""
    name = request.param
    python = peer("readers") / "python" if name in APART else sys.executable
    tables = [f"{case}={location}" for case, location in locations.items()]
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
def test_files_are_as_forced(locations: dict[str, str], case: str) -> None:
    """There are position deletes where a case wants them, each for one data file."""
    tasks = list(StaticTable.from_metadata(locations[case]).scan().plan_files())
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


def canonical(rows: list[Row]) -> list[str]:
    """Return rows as sorted lines of JSON."""
    return sorted(json.dumps(row, sort_keys=True) for row in rows)
