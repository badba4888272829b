"""Plugins that others wrote, each in an environment of its own, and ours."""

from __future__ import annotations

import csv
import json
import re
import sys
from base64 import b64decode
from ctypes import c_float
from datetime import datetime
from decimal import Decimal

import pytest

# Types that every variant carries, and values that are easily spoilt.
ORDERS = """
CREATE TABLE orders (
  id int PRIMARY KEY, big bigint, item text, paid numeric(10,2), weight float8,
  is_open bool, ordered_on date, shipped_at timestamp, updated_at timestamptz,
  extra jsonb);
INSERT INTO orders VALUES
  (1, 9007199254740993, 'plain', 1234567.89, 0.1, true, '2024-02-29',
   '2024-02-29 23:59:59.123456', '2024-02-29 23:59:59.123456+02', '{"a": [1, null]}'),
  (2, -9223372036854775808, 'comma, "quote" and
line break; ünïcödé 🐘', -0.01, -1e-300, false, '1970-01-01',
   '1970-01-01', '1969-12-31 23:59:59+00', '[]'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 0, '', 0, 1e15, true, '9999-12-31', '9999-12-31', '9999-12-31 00:00Z', '"x"');
INSERT INTO orders
SELECT n, n, 'item ' || n, n / 100.0, n / 8.0, n % 2 = 0, date '2024-01-01' + n,
       timestamp '2024-01-01' + n * interval '1 minute',
       timestamptz '2024-01-01 00:00Z' + n * interval '1 minute',
       jsonb_build_object('n', n)
FROM generate_series(5, 500) n
"""
MOMENT = "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')"
# The same for MariaDB, with types that only it has.
MARIADB_ORDERS = """
CREATE TABLE orders (
  id int unsigned PRIMARY KEY, tiny tinyint, big bigint, huge bigint unsigned,
  is_open tinyint(1), bits bit(8), paid decimal(10,2), wide decimal(30,10),
  weight double, ratio float, item varchar(200), size enum('S', 'XXL'),
  tags set('a', 'b'), extra json, built year, ordered_on date, shipped_at datetime(6),
  updated_at timestamp(6) NULL, clock time, raw varbinary(20), place point)
  CHARACTER SET utf8mb4;
INSERT INTO orders VALUES
  (1, -128, 9007199254740993, 18446744073709551615, 2, b'10000001', 1234567.89,
   12345678901234567890.0123456789, 0.1, 16777216, 'plain', 'S', 'a,b',
   '{"a": [1, null]}', 1901, '2024-02-29', '2024-02-29 23:59:59.123456',
   '2024-02-29 21:59:59.123456', '23:59:59', x'00FF0A00', NULL),
  (2, 127, -9223372036854775808, 0, 0, b'0', -0.01, -0.0000000001, -1e-300, 0.1,
   'comma, "quote" and
line break; ünïcödé 🐘', 'XXL', 'b', '[]', 2155, '1970-01-01', '1970-01-01',
   '1970-01-01 00:00:01', '10:00:00', x'2C22', NULL),
  (4, 0, 0, 1, 1, b'1', 0, 0, 1e15, -3.4028234663852886e38, '', 'S', '', '"x"', 2000,
   '9999-12-31', '9999-12-31', '2038-01-19 03:14:07', NULL, x'', NULL);
INSERT INTO orders (id) VALUES (3);
INSERT INTO orders (id, clock) VALUES (5, '09:00:00'), (6, '-100:00:00');
INSERT INTO orders (id, place) VALUES (7, POINT(1, 2));
INSERT INTO orders (id, big, paid, weight, item, ordered_on, shipped_at, updated_at)
SELECT seq, seq, seq / 100, seq / 8, CONCAT('item ', seq),
       DATE '2024-01-01' + INTERVAL seq DAY,
       TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq MINUTE,
       TIMESTAMP '2024-01-01 00:00:00' + INTERVAL seq MINUTE
FROM seq_8_to_500
"""
# How to ask it for what is not plain text; by itself it rounds floats.
PRINTED = {
    "bits": "CAST(bits AS UNSIGNED)",
    "ratio": "ratio * 1e0",
    "clock": "CAST(clock AS CHAR)",
    "raw": "TO_BASE64(raw)",
    "place": "TO_BASE64(ST_AsWKB(place))",
}
# What pipelinewise-tap-mysql makes of values before any target sees them: flags of
# numbers, six digits of floats, three bytes of UTF-8, midnights of days, and digits of
# bytes. It leaves out years and sets.
SPOILT = {
    "is_open": bool,
    "bits": bool,
    "ratio": lambda value: single(f"{value:.6g}"),
    "item": lambda value: re.sub(r"[^\u0000-\uffff]", "?", value),
    "ordered_on": lambda value: f"{value} 00:00:00+00:00",
    "raw": lambda value: b64decode(value).hex().upper(),
}
LEFT_OUT = {"built", "tags"}
# Rows that are dead letters for what it says of a column: a time of day, of hours with
# one digit or before the first; an object that it sends as text.
REFUSED = {5: "clock", 6: "clock", 7: "place"}


def moment(value):
    """Read a moment; without a zone it is UTC."""
    return datetime.fromisoformat(str(value)).replace(tzinfo=None)


def single(value):
    """Read a number of 32 bits."""
    return c_float(float(value)).value


MEANING = {
    "id": int,
    "big": int,
    "item": str,
    "paid": lambda value: Decimal(str(value)).quantize(Decimal("0.01")),
    "weight": float,
    "is_open": lambda value: str(value).lower() == "true",
    "ordered_on": str,
    "shipped_at": moment,
    "updated_at": moment,
    "extra": json.loads,
}


MARIADB_MEANING = {
    **dict.fromkeys(("id", "tiny", "big", "huge", "is_open", "bits", "built"), int),
    **dict.fromkeys(("paid", "wide"), Decimal),
    "weight": float,
    "ratio": single,
    **dict.fromkeys(("item", "size", "tags", "ordered_on", "clock", "raw"), str),
    **dict.fromkeys(("shipped_at", "updated_at"), moment),
    "extra": json.loads,
    "place": str,
}


def meant(rows, meanings=MEANING):
    """Return what rows of texts or values mean, by key and column."""
    return {
        int(row["id"]): {
            name: None if row[name] is None else meaning(row[name])
            for name, meaning in meanings.items()
        }
        for row in rows
    }


def in_source(database):
    """Return what Postgres prints."""
    moments = {"shipped_at", "updated_at"}
    columns = [
        MOMENT.format(name) if name in moments else f"{name}::text" for name in MEANING
    ]
    found = database.query(f"SELECT {', '.join(columns)} FROM orders")
    return meant(dict(zip(MEANING, row, strict=True)) for row in found)


def in_mariadb(database):
    """Return what MariaDB prints."""
    columns = [PRINTED.get(name, name) for name in MARIADB_MEANING]
    found = database.query(f"SELECT {', '.join(columns)} FROM orders")
    rows = (dict(zip(MARIADB_MEANING, row, strict=True)) for row in found)
    return meant(rows, MARIADB_MEANING)


def in_csv(path):
    """Return the rows of a file; CSV cannot tell an empty text from none."""
    with path.open(newline="") as file:
        return [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]


def spoil(row):
    """Return what pipelinewise-tap-mysql makes of a row."""
    return {
        name: value if value is None else SPOILT.get(name, lambda kept: kept)(value)
        for name, value in row.items()
        if name not in LEFT_OUT
    }


def test_the_hubs_tap_into_our_target(pipeline, peer):
    """meltanolabs-tap-postgres | target-dativo: every column as Postgres holds it."""
    pipeline.source.execute(ORDERS)
    pipeline.programs[0] = peer("meltanolabs-tap-postgres") / "tap-postgres"
    del pipeline.tap["ssl_mode"]
    pipeline.tap["filter_schemas"] = ["public"]
    pipeline.choose("public-orders")
    flow = pipeline.flow()
    assert (flow.tap.code, flow.target.code, len(flow.records)) == (0, 0, 500)
    assert pipeline.dead_letters() == []
    rows = pipeline.rows(f"SELECT {', '.join(MEANING)} FROM lake.public_orders")
    found = meant(dict(zip(MEANING, row, strict=True)) for row in rows)
    assert found == in_source(pipeline.source)


def test_our_tap_into_the_hubs_target(pipeline, peer):
    """tap-postgres | meltanolabs-target-csv: every column as Postgres holds it."""
    pipeline.source.execute(ORDERS)
    pipeline.programs[1] = peer("meltanolabs-target-csv") / "target-csv"
    pipeline.target = {"output_path": str(pipeline.folder)}
    flow = pipeline.flow()
    assert (flow.tap.code, flow.target.code, len(flow.records)) == (0, 0, 500)
    rows = in_csv(pipeline.folder / "public-orders.csv")
    pipeline.source.execute("UPDATE orders SET item = NULL WHERE item = ''")
    assert meant(rows) == in_source(pipeline.source)


def test_our_mysql_tap_into_the_hubs_target(mysql_pipeline, peer):
    """tap-mysql | meltanolabs-target-csv: every column as MariaDB holds it."""
    source = mysql_pipeline.source
    source.execute(MARIADB_ORDERS)
    mysql_pipeline.programs[1] = peer("meltanolabs-target-csv") / "target-csv"
    mysql_pipeline.target = {"output_path": str(mysql_pipeline.folder)}
    flow = mysql_pipeline.flow()
    assert (flow.tap.code, flow.target.code, len(flow.records)) == (0, 0, 500)
    rows = in_csv(mysql_pipeline.folder / f"{source.name}-orders.csv")
    source.execute(
        "UPDATE orders SET item = NULL, tags = NULL, raw = NULL WHERE id = 4"
    )
    assert meant(rows, MARIADB_MEANING) == in_mariadb(source)


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="the peer needs what Python 3.12 removed"
)
def test_the_hubs_mysql_tap_into_our_target(mysql_pipeline, peer):
    """pipelinewise-tap-mysql | target-dativo: every column as that tap sends it."""
    source = mysql_pipeline.source
    source.execute(MARIADB_ORDERS)
    mysql_pipeline.programs[0] = peer("pipelinewise-tap-mysql") / "tap-mysql"
    mysql_pipeline.choose(f"{source.name}-orders")
    flow = mysql_pipeline.flow()
    assert (flow.tap.code, flow.target.code, len(flow.records)) == (0, 0, 500)
    letters = mysql_pipeline.dead_letters()
    refused = {json.loads(one["record"])["id"]: one["path"] for one in letters}
    assert refused == REFUSED
    expected = in_mariadb(source)
    meanings = {n: m for n, m in MARIADB_MEANING.items() if n not in LEFT_OUT}
    table = f"lake.{source.name}_orders"
    described = {name for name, *_ in mysql_pipeline.rows(f"DESCRIBE {table}")}
    assert described == set(meanings)
    rows = mysql_pipeline.rows(f"SELECT {', '.join(meanings)} FROM {table}")
    found = meant((dict(zip(meanings, row, strict=True)) for row in rows), meanings)
    assert found == {k: spoil(r) for k, r in expected.items() if k not in REFUSED}


def test_a_stock_sdk_tap_into_our_target(pipeline, peer, run):
    """tap-jsonl on an older singer-sdk asks for nothing that our own taps bring."""
    lines = [
        {"id": n, "name": f"näme {n}", "tags": ["a", n], "more": {"half": n / 2}}
        for n in range(100)
    ]
    source = pipeline.folder / "things.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"path": str(source), "stream_name": "things", "primary_keys": ["id"]}
    config = pipeline.write("jsonl.json", settings)
    tap = [peer("tap-jsonl") / "tap-jsonl", "--config", config]
    for _ in range(2):
        flow = run(tap, pipeline.target_command())
        assert (flow.tap.code, flow.target.code, len(flow.records)) == (0, 0, 100)
    found = pipeline.rows("SELECT id, name, tags, more FROM lake.things ORDER BY id")
    assert [
        {"id": n, "name": name, "tags": json.loads(tags), "more": json.loads(more)}
        for n, name, tags, more in found
    ] == lines
