"""A Parquet folder becomes an Iceberg table in place, and goes on as one."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime, time, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from dativo_core.errors import ConfigurationError, FencedError
from dativo_sandbox.lake import add_view, connect
from target_parquet_iceberg import promotion, upkeep
from target_parquet_iceberg.bookmarks import open_bookmarks
from target_parquet_iceberg.catalogs import open_catalog

PARQUET = {"format": "parquet", "load_method": "append-only"}
ICEBERG = {"load_method": "append-only"}
UTC = timezone.utc


def no_pause(_attempt):
    """Do not wait."""


def kind(name, **more):
    """Return the schema of a property that may be null."""
    return {"type": [name, "null"], **more}


# A partition column of each type: its schema, values sent, and what they mean.
KINDS = {
    "long": (kind("integer"), [1, -(2**62), None], [1, -(2**62), None]),
    "int": (kind("integer", minimum=0, maximum=9), [0, 9, None], [0, 9, None]),
    "flag": (kind("boolean"), [True, False, None], [True, False, None]),
    "text": (
        kind("string"),
        ["007", "a/b é=%", "", None],
        ["007", "a/b é=%", "", None],
    ),
    "date": (
        kind("string", format="date"),
        ["2024-02-29", "0001-01-01", None],
        [date(2024, 2, 29), date(1, 1, 1), None],
    ),
    "time": (
        kind("string", format="time"),
        ["23:59:59.123456", "00:00:00", None],
        [time(23, 59, 59, 123456), time(), None],
    ),
    "moment": (
        kind("string", format="date-time"),
        ["2024-02-29T23:59:59.000456+00:00", "1960-01-01T00:00:00Z", None],
        [
            datetime(2024, 2, 29, 23, 59, 59, 456, UTC),
            datetime(1960, 1, 1, tzinfo=UTC),
            None,
        ],
    ),
    "wall": (
        kind("string", format="date-time", **{"x-timezone": False}),
        ["2024-02-29T23:59:59.000456", "1960-01-01T00:00:00", None],
        [
            datetime.fromisoformat("2024-02-29T23:59:59.000456"),
            datetime.fromisoformat("1960-01-01"),
            None,
        ],
    ),
    "money": (
        kind("string", format="x-singer.decimal", precision=12, scale=2),
        ["1.50", "-0.01", None],
        [Decimal("1.50"), Decimal("-0.01"), None],
    ),
}
LIST = kind("array", items=kind("object", properties={"x": kind("integer")}))


def by(*names):
    """Partition every stream by these columns."""
    return {"streams": {"*": {"partition_by": list(names)}}}


def settings_of(lake, **settings):
    """Return the target's settings."""
    return {"warehouse": str(lake.folder), **settings}


def promote(lake, name="s", **settings):
    """Promote a table."""
    return promotion.promote(settings_of(lake, **settings), name, no_pause)


def digests(lake):
    """Return what is in the data files."""
    return {
        path: (hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns)
        for path in lake.data_files()
    }


def of_duckdb(lake, name="s", columns="*"):
    """Return rows as DuckDB reads the Iceberg table."""
    with connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        add_view(engine, "lake", name, lake.table(name).metadata_location)
        sql = f"SELECT {columns} FROM lake.{name} ORDER BY id"
        return engine.execute(sql).to_arrow_table().to_pylist()


def of_pyiceberg(lake, name="s"):
    """Return rows as PyIceberg reads the Iceberg table."""
    return sorted(lake.rows(name), key=lambda row: row["id"])


@pytest.mark.parametrize("name", KINDS)
def test_partition_values_are_read_right(lake, say, name) -> None:
    """Values that only the metadata has come back equal, before and after a run."""
    schema, sent, meant = KINDS[name]
    message = say.schema("s", id="integer", p=schema, l=LIST)
    rows = [
        say.record("s", id=i, p=value, l=[{"x": i}, None])
        for i, value in enumerate(sent)
    ]
    assert lake.load(message, *rows, **PARQUET, **by("p")).code == 0
    expected = [
        {"id": i, "p": value, "l": [{"x": i}, None]} for i, value in enumerate(meant)
    ]
    hive = ds.HivePartitioning(pa.schema([("p", lake_type(lake))]))
    if name not in {"money", "time"}:  # Arrow makes none of these from text
        plain = ds.dataset(
            lake.folder / "lake/s", partitioning=hive, exclude_invalid_files=True
        )
        found = plain.to_table(columns=["id", "p", "l"]).to_pylist()
        assert sorted(found, key=lambda row: row["id"]) == expected
    before = digests(lake)
    promote(lake)
    assert digests(lake) == before
    assert of_pyiceberg(lake) == of_duckdb(lake, columns="id, p, l") == expected
    more = [say.record("s", id=10 + i, p=v, l=None) for i, v in enumerate(sent)]
    assert lake.load(message, *more, **ICEBERG, **by("p")).code == 0
    expected += [{"id": 10 + i, "p": v, "l": None} for i, v in enumerate(meant)]
    assert of_pyiceberg(lake) == of_duckdb(lake, columns="id, p, l") == expected
    list(upkeep.maintain(settings_of(lake), ["s"], 600, is_dry=False))
    assert of_pyiceberg(lake) == of_duckdb(lake, columns="id, p, l") == expected


def lake_type(lake):
    """Return the type of column `p`, as the log tells it."""
    from target_parquet_iceberg.parquet_log import Log  # noqa: PLC0415
    from target_parquet_iceberg.parquet_store import LocalStore  # noqa: PLC0415

    store = LocalStore(str(lake.folder / "lake/s"))
    return Log(store, "s", no_pause).newest().columns.field("p").type


def test_the_next_run_goes_on_from_the_bookmark(lake, say) -> None:
    """Bookmark, stream and exactly-once survive: rows sent again are not added."""
    schema = say.schema("s", ("id",), id="integer", v="string")
    rows = [say.record("s", id=i, v=str(i)) for i in range(3)]
    lines = [say.state(), schema, *rows, say.state(s={"v": 3})]
    assert lake.load(*lines, **PARQUET).code == 0
    promote(lake)
    assert open_bookmarks(settings_of(lake)).all() == {"s": {"v": 3}}
    again = [say.state(s={"v": 3}), schema, rows[2], say.record("s", id=3, v="3")]
    assert lake.load(*again, say.state(s={"v": 4}), **ICEBERG).code == 0
    assert lake.query("SELECT id FROM lake.s ORDER BY id") == [(i,) for i in range(4)]
    assert open_bookmarks(settings_of(lake)).all() == {"s": {"v": 4}}


def test_a_new_row_like_an_old_one_is_new_after_promotion(lake, say) -> None:
    """As many rows may come again as the folder has taken since, and no more."""
    schema = say.schema("s", id="integer")
    start, one, two = (say.state(s={"v": v}) for v in (0, 1, 2))
    rows = [say.record("s", id=number) for number in (1, 2)]
    assert lake.load(start, schema, rows[0], one, **PARQUET).code == 0
    assert lake.load(one, schema, rows[1], two, **PARQUET).code == 0
    promote(lake)
    again = [one, schema, rows[1], rows[0], say.state(s={"v": 3})]
    assert lake.load(*again, **ICEBERG).code == 0
    assert lake.query("SELECT id FROM lake.s ORDER BY id") == [(1,), (1,), (2,)]


def test_a_replay_before_promotion_is_not_taken_again(lake, say) -> None:
    """The table knows the dead letters whose rows the folder has."""
    first, last = (say.schema("s", id="integer") for _ in range(2))
    first["schema"]["x-dativo.replay"] = last["schema"]["x-dativo.replay"] = "r1"
    last["schema"]["x-dativo.replay-ends"] = True
    assert lake.load(first, say.record("s", id=1), last, **PARQUET).code == 0
    promote(lake)
    assert lake.load(first, say.record("s", id=1), last, **ICEBERG).code == 0
    assert lake.query("SELECT id FROM lake.s") == [(1,)]


def test_an_upsert_reaches_promoted_rows(lake, say) -> None:
    """Rows of promoted files are replaced by key, also by position deletes."""
    schema = say.schema("s", ("id",), id="integer", p="string", v="string")
    rows = [say.record("s", id=i, p="ab"[i % 2], v="old") for i in range(6)]
    assert lake.load(schema, *rows, **PARQUET, **by("p")).code == 0
    promote(lake)
    new = say.record("s", id=2, p="b", v="new")
    assert lake.load(schema, new, load_method="upsert", **by("p")).code == 0
    found = [(row["id"], row["p"], row["v"]) for row in of_pyiceberg(lake)]
    expected = [(i, "ab"[i % 2], "old") for i in range(6)]
    expected[2] = (2, "b", "new")
    assert found == expected
    assert [(r["id"], r["p"], r["v"]) for r in of_duckdb(lake)] == expected


def test_files_of_narrower_types_are_promoted_too(lake, say) -> None:
    """A column that has become wider, or is new, reads right from every file."""
    small = {"type": "integer", "minimum": 0, "maximum": 9}
    decimal = {"type": "string", "format": "x-singer.decimal", "scale": 2}
    first = say.schema(
        "s", id=small, n={**decimal, "precision": 5}, f=kind("number", format="float")
    )
    second = say.schema(
        "s", id="integer", n={**decimal, "precision": 30}, f="number", new="string"
    )
    lake.load(first, say.record("s", id=1, n="1.25", f=0.5), **PARQUET)
    row = say.record("s", id=2**40, n="1234567890123.25", f=0.1, new="x")
    assert lake.load(second, row, **PARQUET).code == 0
    promote(lake)
    expected = [
        {"id": 1, "n": Decimal("1.25"), "f": 0.5, "new": None},
        {"id": 2**40, "n": Decimal("1234567890123.25"), "f": 0.1, "new": "x"},
    ]
    assert of_pyiceberg(lake) == of_duckdb(lake) == expected


def test_a_promoted_folder_takes_no_parquet_run(lake, say) -> None:
    """A run with format parquet is told what to set; to promote twice is once."""
    schema = say.schema("s", id="integer")
    lake.load(schema, say.record("s", id=1), **PARQUET)
    promote(lake)
    outcome = lake.load(schema, say.record("s", id=2), **PARQUET)
    assert outcome.code == 78
    assert "Set format to iceberg" in outcome.errors[0]
    assert promote(lake).promoted_to == "lake.s"
    assert lake.query("SELECT id FROM lake.s") == [(1,)]


def test_a_cut_promotion_is_repeated(lake, say, monkeypatch) -> None:
    """Between the closing of the log and the catalog's commit nothing is lost.

    What dead runs left behind goes, since no run looks for it any more.
    """
    lake.load(say.schema("s", id="integer"), say.record("s", id=1), **PARQUET)
    files = lake.data_files()
    stray = lake.folder / "lake/s/20230101T000000-00000000-00002-00000.parquet"
    stray.touch()
    with monkeypatch.context() as patch:
        patch.setattr(promotion.Promotion, "create", _die)
        with pytest.raises(ZeroDivisionError):
            promote(lake)
    outcome = lake.load(say.schema("s", id="integer"), **PARQUET)
    assert (outcome.code, "repeat `dativo promote`" in outcome.errors[0]) == (78, True)
    promote(lake)
    assert lake.query("SELECT id FROM lake.s") == [(1,)]
    assert lake.data_files() == files


def _die(*_arguments):
    raise ZeroDivisionError


def test_a_run_in_progress_is_fenced(lake, say, monkeypatch) -> None:
    """What commits between reading and closing the log stops the promotion."""
    schema = say.schema("s", id="integer")
    lake.load(schema, say.record("s", id=1), **PARQUET)
    prepare = promotion.Promotion.prepare

    def slowly(self, entry, store):
        prepare(self, entry, store)
        lake.load(schema, say.record("s", id=2), **PARQUET)

    monkeypatch.setattr(promotion.Promotion, "prepare", slowly)
    with pytest.raises(FencedError, match="has committed meanwhile"):
        promote(lake)
    monkeypatch.undo()
    promote(lake)
    assert lake.query("SELECT id FROM lake.s ORDER BY id") == [(1,), (2,)]


REFUSED = {
    "no folder": ("nothing", {}, "no Parquet table 'nothing'"),
    "a float": ("f", by("p"), "'p' is a float"),
    "taken": ("taken", {}, "has a table lake.taken already"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_promoted_stays_as_it_is(lake, say, case) -> None:
    """A refusal is one line, and the folder goes on as plain Parquet."""
    name, settings, message = REFUSED[case]
    schema = say.schema("s", id="integer", p="number")
    rows = [schema, say.record("s", id=1, p=1.5)]
    streams = {"*": {"table": name, **settings.get("streams", {}).get("*", {})}}
    if case == "taken":
        lake.load(*rows, **ICEBERG, streams={"s": {"table": "other"}})
        lake.catalog.rename_table(("lake", "other"), ("lake", name))
    if case != "no folder":
        assert lake.load(*rows, **PARQUET, streams=streams).code == 0
    with pytest.raises(ConfigurationError, match=message):
        promote(lake, name)
    if case != "no folder":
        assert lake.load(*rows, **PARQUET, streams=streams).code == 0


def test_on_s3(seaweed, bucket_prefix, lake, say, tmp_path) -> None:
    """A folder in a bucket becomes a table of a catalog elsewhere."""
    settings = {
        "warehouse": bucket_prefix,
        "storage_options": seaweed.storage_options(),
        "catalog": {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db"},
    }
    schema = say.schema("s", id="integer", p="string")
    rows = [say.record("s", id=1, p="a/b"), say.record("s", id=2)]
    assert lake.load(schema, *rows, **settings, **PARQUET, **by("p")).code == 0
    promotion.promote(settings, "s", no_pause)
    more = say.record("s", id=3, p="c")
    assert lake.load(schema, more, **settings, **ICEBERG, **by("p")).code == 0
    table = open_catalog(settings).load_table("lake.s")
    assert json.loads(table.properties["schema.name-mapping.default"])
    with connect(seaweed.storage_options()) as engine:
        add_view(engine, "lake", "s", table.metadata_location)
        found = engine.execute("FROM lake.s ORDER BY id").fetchall()
    assert found == [(1, "a/b"), (2, None), (3, "c")]
