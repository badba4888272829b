"""Plugins that others wrote, each in an environment of its own, and ours."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from decimal import Decimal

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


def moment(value):
    """Read a moment; without a zone it is UTC."""
    return datetime.fromisoformat(str(value)).replace(tzinfo=None)


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


def meant(rows):
    """Return what rows of texts or values mean, by key and column."""
    return {
        int(row["id"]): {
            name: None if row[name] is None else meaning(row[name])
            for name, meaning in MEANING.items()
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
    with (pipeline.folder / "public-orders.csv").open(newline="") as file:
        # CSV cannot tell an empty text from none.
        rows = [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]
    pipeline.source.execute("UPDATE orders SET item = NULL WHERE item = ''")
    assert meant(rows) == in_source(pipeline.source)


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
