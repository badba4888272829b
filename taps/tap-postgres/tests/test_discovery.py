"""Discovery: everything the user may read, at the price of a few statements."""

from __future__ import annotations

import json
import logging

import pytest
from dativo_core.errors import ConfigurationError
from tap_postgres.tap import TapPostgres


def streams(source, **config):
    """Return the discovered entries by name."""
    found = source.discover(**config)["streams"]
    return {entry["tap_stream_id"]: entry for entry in found}


def root(entry):
    """Return a stream's own metadata."""
    return next(m["metadata"] for m in entry["metadata"] if not m["breadcrumb"])


def test_each_kind_of_relation_is_a_stream_and_partitions_are_not(source):
    """Tables, partitioned parents, views and materialized views; no system tables."""
    source.sql(
        "CREATE TABLE a (id int PRIMARY KEY)",
        "CREATE TABLE p (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE p1 PARTITION OF p DEFAULT",
        "CREATE VIEW v AS SELECT * FROM a",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM a",
        "CREATE SEQUENCE s",
        "CREATE EXTENSION file_fdw",
        "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
        "CREATE FOREIGN TABLE f (x text) SERVER files OPTIONS (filename '/dev/null')",
    )

    found = streams(source)

    names = ["public-a", "public-f", "public-m", "public-p", "public-v"]
    assert sorted(found) == names
    assert [found[name]["is_view"] for name in names] == [
        False, False, True, False, True,
    ]  # fmt: skip
    assert source.run(source.catalog("public-f")).records == []


def test_keys_come_in_their_order_and_views_have_none(source):
    """Included columns of a primary key's index are not part of the key."""
    source.sql(
        "CREATE TABLE t (a int, b int, c int, PRIMARY KEY (c, a) INCLUDE (b))",
        "CREATE VIEW v AS SELECT * FROM t",
    )

    found = streams(source)

    assert found["public-t"]["key_properties"] == ["c", "a"]
    assert root(found["public-t"])["table-key-properties"] == ["c", "a"]
    assert found["public-v"]["key_properties"] == []


def test_metadata_says_what_postgres_knows(source):
    """Schema, estimated rows, columns that can order changes, declared types."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz(3), doc jsonb, ok bool, "
        "twice int GENERATED ALWAYS AS (id * 2) STORED)",
        "INSERT INTO t (id) VALUES (1)",
        "ANALYZE t",
    )

    entry = streams(source)["public-t"]

    assert root(entry)["schema-name"] == "public"
    assert root(entry)["valid-replication-keys"] == ["id", "at", "twice"]
    assert entry["row_count"] == 1
    assert {
        m["breadcrumb"][1]: (m["metadata"]["inclusion"], m["metadata"]["sql-datatype"])
        for m in entry["metadata"]
        if m["breadcrumb"]
    } == {
        "id": ("automatic", "integer"),
        "at": ("available", "timestamp(3) with time zone"),
        "doc": ("available", "jsonb"),
        "ok": ("available", "boolean"),
        "twice": ("available", "integer"),
    }


def test_schemas_are_filtered_and_an_empty_match_names_those_there_are(source):
    """A misspelt schema is an error, not an empty catalog."""
    source.sql('CREATE SCHEMA "o\'dd"', 'CREATE TABLE "o\'dd".t (i int)')
    source.sql("CREATE TABLE t (i int)")

    assert list(streams(source, filter_schemas=["o'dd"])) == ["o'dd-t"]
    assert len(streams(source, filter_schemas=[])) == 2
    with pytest.raises(ConfigurationError, match="schemas: o'dd, public"):
        streams(source, filter_schemas=["publik"])


def test_only_what_the_user_may_read_is_offered(source):
    """A grant on one column offers that column, and still can be read."""
    source.sql(
        "CREATE TABLE secret (i int)",
        "CREATE TABLE t (id int PRIMARY KEY, hidden int, shown int)",
        "INSERT INTO t VALUES (1, 2, 3)",
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN PASSWORD 'secret'",
        "GRANT SELECT (shown) ON t TO reader",
    )
    source.config |= {"user": "reader", "password": "secret"}

    found = streams(source)
    run = source.run()
    incremental = source.run(source.catalog("public-t", key="shown"))

    assert list(found) == ["public-t"]
    assert found["public-t"]["key_properties"] == []
    assert run.records == incremental.records == [{"shown": 3}]
    source.sql("DROP OWNED BY reader", "DROP ROLE reader")


def test_a_hundred_tables_cost_as_many_statements_as_one(source, caplog):
    """Nothing is asked per table."""
    caplog.set_level(logging.DEBUG, "tap-postgres")

    def statements():
        caplog.clear()
        count = len(streams(source))
        return count, sum("Asking" in record.message for record in caplog.records)

    source.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    one, few = statements()
    source.sql(
        *[
            "; ".join(
                f"CREATE TABLE t{i} (id int PRIMARY KEY, v text)" for i in range(99)
            )
        ]
    )
    many, as_few = statements()

    assert (one, many) == (1, 100)
    assert few == as_few < 10


def test_two_tables_with_one_stream_name_are_an_error(source):
    """A hyphen may belong to the schema or to the table."""
    source.sql(
        'CREATE SCHEMA "a-b"; CREATE TABLE "a-b".c (i int); '
        'CREATE SCHEMA a; CREATE TABLE a."b-c" (i int)'
    )

    with pytest.raises(ConfigurationError, match="a-b-c"):
        streams(source)


def test_a_selected_stream_that_is_gone_is_an_error(source):
    """Silence would look like success."""
    source.sql("CREATE TABLE t (i int)", "CREATE TABLE u (i int)")
    catalog = source.catalog("public-t")
    source.sql("DROP TABLE t")

    with pytest.raises(ConfigurationError, match="public-t"):
        source.run(catalog)

    root(catalog["streams"][0])["selected"] = False
    assert source.run(catalog).records == []


def test_a_column_that_is_gone_is_left_out_with_a_warning(source, caplog):
    """And a new one waits until the catalog knows it."""
    source.sql("CREATE TABLE t (a int, b int)", "INSERT INTO t VALUES (1, 2)")
    catalog = source.catalog("public-t")
    source.sql("ALTER TABLE t DROP COLUMN a", "ALTER TABLE t ADD COLUMN c int")

    assert source.run(catalog).records == [{"b": 2}]
    assert "lacks ['a']" in caplog.text


def test_a_deselected_replication_key_is_read_all_the_same(source):
    """Without it there is no bookmark."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1, 2)"
    )
    catalog = source.catalog("public-t", key="n", deselected=["n"])

    run = source.run(catalog)

    assert run.records == [{"id": 1, "n": 2}]
    assert "n" in run.of("SCHEMA")[0]["schema"]["properties"]


def test_a_method_chosen_in_the_metadata_holds(source):
    """Catalogs are edited there by hand; discovery writes beside it."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    catalog = source.catalog("public-t")
    chosen = {"replication-method": "INCREMENTAL", "replication-key": "id"}
    root(catalog["streams"][0]).update(chosen)

    state = source.run(catalog).state

    assert state["bookmarks"]["public-t"]["replication_key_value"] == 1


def test_the_catalog_survives_a_file(source, tmp_path):
    """Every keyword of the schema comes back from --catalog."""
    source.sql("CREATE TABLE t (p numeric(5, 2), at timestamp)")
    path = tmp_path / "catalog.json"
    discovered = source.cli(tmp_path, "--discover")
    path.write_text(discovered.stdout)

    done = source.cli(tmp_path, "--catalog", path)

    [message] = [m for m in map(json.loads, done.stdout.splitlines()) if "schema" in m]
    schema = message["schema"]["properties"]
    [entry] = json.loads(discovered.stdout)["streams"]
    assert schema == entry["schema"]["properties"]
    assert schema["p"]["precision"] == 5
    assert schema["at"]["x-timezone"] is False


def test_records_can_be_read_without_messages(source):
    """`get_records` gives the same values as the lines."""
    source.sql("CREATE TABLE t (i int, f float4)", "INSERT INTO t VALUES (1, 0.1)")
    tap = TapPostgres(config=source.config)

    assert list(tap.streams["public-t"].get_records(None)) == [{"i": 1, "f": 0.1}]
    tap.connections.close()
