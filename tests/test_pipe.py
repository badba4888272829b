"""tap-postgres | target-dativo: what the source holds is what the lake holds."""

from __future__ import annotations

import contextlib

import pytest
from dativo_sandbox import lake
from pyiceberg.catalog import load_catalog

ORDERS = """
CREATE TABLE orders (
  id int PRIMARY KEY, item text, paid numeric(10,2),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
INSERT INTO orders SELECT n, 'item ' || n, n / 100.0 FROM generate_series(1, 1000) n
"""
CHANGES = """
UPDATE orders SET paid = -1, updated_at = clock_timestamp() WHERE id IN (1, 500, 1000);
INSERT INTO orders VALUES (1001, 'späte', 9.99), (1002, NULL, NULL)
"""
COLUMNS = "id, item, paid, extract(epoch FROM updated_at)::numeric(20,6)"
IN_SOURCE = f"SELECT {COLUMNS} FROM orders ORDER BY id"
IN_LAKE = f"SELECT {COLUMNS} FROM lake.public_orders ORDER BY id"


def assert_equal(pipeline, in_source, in_lake):
    """Compare what Postgres prints with what DuckDB reads, as text."""
    expected = pipeline.source.query(in_source)
    assert expected
    assert as_text(pipeline.rows(in_lake)) == as_text(expected)


def as_text(rows):
    """Print every value, as numbers of two kinds may be equal and yet differ."""
    return [tuple(None if v is None else str(v) for v in row) for row in rows]


@contextlib.contextmanager
def session(database):
    """Open a session whose transactions are its own affair."""
    with (
        database.connect(autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        yield cursor.execute


def test_a_full_load_then_only_what_changed(pipeline):
    """After a full and a first incremental load, five changes are five records."""
    pipeline.source.execute(ORDERS)
    assert len(pipeline.run().records) == 1000
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)
    pipeline.choose("public-orders", key="updated_at")
    assert len(pipeline.run().records) == 1000
    pipeline.source.execute(CHANGES)
    second = pipeline.run()
    assert sorted(r["id"] for r in second.records) == [1, 500, 1000, 1001, 1002]
    assert "5 records read, 5 stored" in second.target.log[-1]["message"]
    assert pipeline.commits("public_orders")[-1]["total-records"] == "1002"
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)
    assert pipeline.run().records == []
    newest = pipeline.commits("public_orders")[-1]
    assert (newest.get("added-records", "0"), newest["total-records"]) == ("0", "1002")


def test_a_late_commit_is_picked_up_by_the_next_run(pipeline):
    """Its timestamp is older than rows that a run has sent before it committed."""
    pipeline.source.execute(ORDERS)
    pipeline.choose("public-orders", key="updated_at")
    with session(pipeline.source) as late:
        late("BEGIN")
        late("INSERT INTO orders VALUES (2000, 'late', 1, now())")
        pipeline.source.execute("INSERT INTO orders VALUES (2001, 'quick', 2)")
        pipeline.run()
        assert pipeline.rows(
            "SELECT count(*) FROM lake.public_orders WHERE id = 2000"
        ) == [(0,)]
        late("COMMIT")
    pipeline.run()
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)
    assert pipeline.run().records == []


def test_a_bulk_update_to_one_timestamp_is_sent_once(pipeline):
    """A hundred thousand rows share the bookmark's value, and none comes again."""
    pipeline.source.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, paid int, updated_at timestamptz);"
        "INSERT INTO orders SELECT n, 0, now() FROM generate_series(1, 100000) n"
    )
    pipeline.choose("public-orders", key="updated_at")
    assert len(pipeline.run().records) == 100_000
    pipeline.source.execute("UPDATE orders SET paid = id, updated_at = now()")
    assert len(pipeline.run().records) == 100_000
    assert pipeline.run().records == []
    pipeline.source.execute(
        "UPDATE orders SET paid = -1, updated_at = clock_timestamp() WHERE id = 7"
    )
    assert [r["id"] for r in pipeline.run().records] == [7]
    check = "count(*), count(DISTINCT id), sum(paid)"
    assert_equal(
        pipeline,
        f"SELECT {check} FROM orders",
        f"SELECT {check} FROM lake.public_orders",
    )


def test_s3_with_a_catalog_on_disk(pipeline, seaweed, bucket_prefix):
    """Files go to a bucket while a SQLite file keeps the names of the tables."""
    pipeline.move_to_s3(seaweed, bucket_prefix)
    pipeline.source.execute(ORDERS)
    pipeline.choose("public-orders", key="updated_at")
    pipeline.run()
    pipeline.source.execute(CHANGES)
    assert len(pipeline.run().records) == 5
    [location] = lake.tables(pipeline.warehouse).values()
    assert location.startswith(bucket_prefix)
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)


def test_s3_with_a_rest_catalog(pipeline, seaweed):
    """A catalog server takes the commits; any PyIceberg catalog may be named."""
    properties = seaweed.rest_catalog_properties()
    pipeline.target = {
        "warehouse": seaweed.warehouse,
        "namespace": pipeline.source.name,
        "catalog": properties,
        "dead_letter": {"path": str(pipeline.folder / "dead")},
    }
    pipeline.source.execute(ORDERS)
    pipeline.choose("public-orders", key="updated_at")
    pipeline.run()
    pipeline.source.execute(CHANGES)
    assert len(pipeline.run().records) == 5
    catalog = load_catalog("rest", **properties)
    table = catalog.load_table((pipeline.source.name, "public_orders"))
    with lake.connect(seaweed.storage_options()) as engine:
        lake.add_view(engine, "lake", "public_orders", table.metadata_location)
        found = engine.execute(IN_LAKE).fetchall()
    assert as_text(found) == as_text(pipeline.source.query(IN_SOURCE))
    assert "public-orders" not in table.properties["dativo.state"]
    assert table.properties["dativo.stream"] == "public-orders"


def test_plain_parquet(pipeline):
    """Without a catalog, a folder of files holds the rows and their bookmark."""
    pipeline.target |= {"format": "parquet", "load_method": "append-only"}
    pipeline.source.execute(ORDERS)
    pipeline.choose("public-orders", key="updated_at")
    pipeline.run()
    pipeline.source.execute("INSERT INTO orders VALUES (1001, 'one more', 9.99)")
    assert len(pipeline.run().records) == 1
    folder = pipeline.warehouse / "lake" / "public_orders"
    assert len(list(folder.glob("*.parquet"))) == 2
    assert len(list((folder / "_dativo").glob("*.json"))) == 3
    files = f"read_parquet('{folder}/*.parquet')"
    with lake.connect() as engine:
        found = engine.execute(f"SELECT {COLUMNS} FROM {files} ORDER BY id").fetchall()
    assert as_text(found) == as_text(pipeline.source.query(IN_SOURCE))


def test_plain_parquet_on_s3(pipeline, seaweed, bucket_prefix):
    """A full load replaces the files that were there."""
    pipeline.target = {
        "warehouse": bucket_prefix,
        "format": "parquet",
        "load_method": "overwrite",
        "storage_options": seaweed.storage_options(),
    }
    pipeline.source.execute(ORDERS)
    pipeline.run()
    pipeline.source.execute(CHANGES)
    pipeline.run()
    files = f"read_parquet('{bucket_prefix}/lake/public_orders/*.parquet')"
    with lake.connect(seaweed.storage_options()) as engine:
        found = engine.execute(f"SELECT {COLUMNS} FROM {files} ORDER BY id").fetchall()
    assert as_text(found) == as_text(pipeline.source.query(IN_SOURCE))


def test_composite_keys(pipeline):
    """A row is one row by all columns of its key together."""
    pipeline.source.execute(
        "CREATE TABLE lines (b text, a int, n int, PRIMARY KEY (a, b));"
        "INSERT INTO lines VALUES ('x', 1, 10), ('y', 1, 11), ('x', 2, 12)"
    )
    pipeline.run()
    pipeline.source.execute("UPDATE lines SET n = -n WHERE a = 1 AND b = 'y'")
    pipeline.run()
    assert_equal(
        pipeline,
        "SELECT a, b, n FROM lines ORDER BY a, b",
        "SELECT a, b, n FROM lake.public_lines ORDER BY a, b",
    )


def test_names_of_any_kind(pipeline):
    """Capitals, spaces, quotes and letters of other alphabets in tables and columns."""
    pipeline.source.execute(
        """CREATE SCHEMA "My Shop";
        CREATE TABLE "My Shop"."Größe of ""it"" 2" (
          "The Id" int PRIMARY KEY, "naïve" text, "ціна €" int, "a.b" int,
          "select" int, "it's" int);
        INSERT INTO "My Shop"."Größe of ""it"" 2" VALUES (1, 'ä', 2, 3, 4, 5)"""
    )
    flow = pipeline.run()
    assert flow.messages[1]["stream"] == 'My Shop-Größe of "it" 2'
    assert pipeline.rows(
        """SELECT "The Id", "naïve", "ціна €", "a.b", "select", "it's"
        FROM lake.my_shop_grosse_of_it_2"""
    ) == [(1, "ä", 2, 3, 4, 5)]


def test_two_hundred_columns(pipeline):
    """A wide table arrives with every column in its place."""
    names = [f"c{n}" for n in range(200)]
    columns = ", ".join(f"{name} int" for name in names)
    values = ", ".join(f"n * {n}" for n in range(200))
    pipeline.source.execute(
        f"CREATE TABLE wide (id int PRIMARY KEY, {columns});"
        f"INSERT INTO wide SELECT n, {values} FROM generate_series(1, 50) n"
    )
    pipeline.run()
    listed = ", ".join(["id", *names])
    assert_equal(
        pipeline,
        f"SELECT {listed} FROM wide ORDER BY id",
        f"SELECT {listed} FROM lake.public_wide ORDER BY id",
    )


def test_an_empty_table(pipeline):
    """A table without rows becomes one that readers find, with its columns."""
    pipeline.source.execute("CREATE TABLE empty (id int PRIMARY KEY, v text)")
    pipeline.run()
    assert pipeline.rows("SELECT count(*), max(v) FROM lake.public_empty") == [
        (0, None)
    ]


def test_a_table_without_key_is_not_doubled(pipeline):
    """A second full load replaces the first, also where no key tells rows apart."""
    pipeline.source.execute(
        "CREATE TABLE log (line text); INSERT INTO log VALUES ('a'), ('a'), ('b')"
    )
    pipeline.run()
    pipeline.source.execute(
        "DELETE FROM log WHERE line = 'b'; INSERT INTO log VALUES ('c')"
    )
    pipeline.run()
    assert_equal(
        pipeline,
        "SELECT line FROM log ORDER BY 1",
        "SELECT line FROM lake.public_log ORDER BY 1",
    )


def test_a_schema_that_grows_between_runs(pipeline):
    """A new column appears and an int becomes a bigint, with the old rows kept."""
    pipeline.source.execute(ORDERS + "; ALTER TABLE orders ADD n int DEFAULT 7")
    pipeline.choose("public-orders", key="updated_at")
    pipeline.run()
    pipeline.source.execute(
        "ALTER TABLE orders ALTER n TYPE bigint; ALTER TABLE orders ADD note text;"
        "INSERT INTO orders (id, n, note) VALUES (1001, 9000000000, 'new')"
    )
    pipeline.choose("public-orders", key="updated_at")
    pipeline.run()
    columns = "id, item, paid, n, note"
    assert_equal(
        pipeline,
        f"SELECT {columns} FROM orders ORDER BY id",
        f"SELECT {columns} FROM lake.public_orders ORDER BY id",
    )


def test_what_a_column_cannot_hold_is_a_dead_letter(pipeline):
    """NaN in numeric(10,2) is kept aside with the reason, while the others arrive."""
    pipeline.source.execute(ORDERS + "; UPDATE orders SET paid = 'NaN' WHERE id = 3")
    flow = pipeline.run()
    [letter] = pipeline.dead_letters()
    assert (letter["stream"], letter["path"]) == ("public-orders", "paid")
    assert "decimal(10, 2)" in letter["expected"]
    assert '"id":3' in letter["record"]
    assert pipeline.rows(
        "SELECT count(*), count(*) FILTER (id = 3) FROM lake.public_orders"
    ) == [(999, 0)]
    assert "1 dead letters" in flow.target.log[-1]["message"]


@pytest.mark.parametrize("place", ["tap", "target"])
def test_stream_maps_on_either_side(pipeline, place):
    """The same map gives the same values, whichever program applies it."""
    maps = {
        "public-orders": {
            "id": "id",
            "item": "item.upper() if item else None",
            "paid": "paid",
            "updated_at": "updated_at",
            "twice": "int(id) * 2",
            "__key_properties__": ["id"],
        }
    }
    getattr(pipeline, place)["stream_maps"] = maps
    pipeline.source.execute(ORDERS + ";" + CHANGES)
    pipeline.run()
    assert_equal(
        pipeline,
        f"SELECT {COLUMNS}, id * 2, upper(item) FROM orders ORDER BY id".replace(
            "item,", "upper(item),", 1
        ),
        f"SELECT {COLUMNS}, twice, item FROM lake.public_orders ORDER BY id",
    )
