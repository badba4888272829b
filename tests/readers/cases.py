"""The tables of the reader matrix: the loads that make them, and their rows."""

from __future__ import annotations

import base64
import json
import typing as t
from dataclasses import dataclass, field
from datetime import date, datetime, time

from target_parquet_iceberg.snapshots import CostRule

if t.TYPE_CHECKING:
    from collections.abc import Callable

DELETES = CostRule(small_bytes=0, hit_ratio=1.0)
REWRITES = CostRule(small_bytes=2**40, all_small_bytes=2**50)
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


TIMELESS = {name: schema for name, schema in TYPES.items() if name != "hour"}


def meant(row: Row, columns: Row) -> Row:
    """Return a record of these columns as a reader should give it."""
    return {
        name: None
        if row.get(name) is None
        else SPELLED.get(name, lambda value: value)(row[name])
        for name in columns
    }


def without_time(row: Row) -> Row:
    """Return a record without its time of day."""
    return {name: value for name, value in row.items() if name != "hour"}


@dataclass(frozen=True)
class Case:
    """A table: the loads that make it, and the rows it must have then.

    Attributes:
        loads: The messages of each load, without its closing STATE.
        rows: What every reader must give, in any order.
        rule: What an upsert does to the files that hold its keys.
        settings: Settings of the target.
        overrides: Settings of the stream, load by load.
    """

    loads: list[Lines]
    rows: list[Row]
    rule: CostRule = field(default_factory=CostRule)
    settings: Row = field(default_factory=dict)
    overrides: tuple[Row, ...] = ()


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
NEWEST = [*kv(range(10), "old"), *kv(range(10, 30), "newest"), *kv(NEW, "new")]
NEWEST += kv(range(30, 100), "old")
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
HIT_ROW = {"id": 3, "text": "hit"}
HIT_VALUES = [HIT_ROW if row["id"] == HIT_ROW["id"] else row for row in VALUES]
CASES = {
    "append": Case(
        [load(kv(range(3), "a"), ()), load(kv(range(2, 5), "b"), ())],
        [*kv(range(3), "a"), *kv(range(2, 5), "b")],
    ),
    "upsert_by_deletes": Case(UPSERTS, UPSERTED, DELETES),
    "upsert_twice_by_deletes": Case(
        [*UPSERTS, load(kv(range(10, 30), "newest"))],
        NEWEST,
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
    "partitions_evolved_by_deletes": Case(
        [*UPSERTS, load(kv(range(10, 30), "newest"))],
        NEWEST,
        DELETES,
        overrides=tuple(
            {"partition_by": by}
            for by in ([], ["truncate(1, v)"], ["bucket(4, id)", "truncate(1, v)"])
        ),
    ),
    "types": Case([load(VALUES, **TYPES)], [meant(row, TYPES) for row in VALUES]),
    "types_by_deletes": Case(
        [load(VALUES, **TYPES), load([HIT_ROW], **TYPES)],
        [meant(row, TYPES) for row in HIT_VALUES],
        DELETES,
    ),
    "timeless_types_by_deletes": Case(
        [
            load([without_time(v) for v in VALUES], **TIMELESS),
            load([HIT_ROW], **TIMELESS),
        ],
        [meant(row, TIMELESS) for row in HIT_VALUES],
        DELETES,
    ),
}


def canonical(rows: list[Row]) -> list[str]:
    """Return rows as sorted lines of JSON."""
    return sorted(json.dumps(row, sort_keys=True) for row in rows)
