"""Discovery: everything the user may read, at the price of a few statements."""

from __future__ import annotations

import json
import logging

import pytest
from dativo_core.errors import ConfigurationError


def streams(source, **config):
    """Return the discovered entries by table."""
    found = source.discover(**config)["streams"]
    return {entry["table_name"]: entry for entry in found}


def root(entry):
    """Return a stream's own metadata."""
    return next(m["metadata"] for m in entry["metadata"] if not m["breadcrumb"])


def test_tables_and_views_are_streams(source):
    """Versioned tables too; sequences and system tables are not."""
    source.sql(
        "CREATE TABLE a (id int PRIMARY KEY)",
        "CREATE TABLE p (id int) PARTITION BY HASH (id) PARTITIONS 3",
        "CREATE TABLE h (id int) WITH SYSTEM VERSIONING",
        "CREATE VIEW v AS SELECT * FROM a",
        "CREATE SEQUENCE s",
    )

    found = streams(source)

    assert [(name, found[name]["is_view"]) for name in sorted(found)] == [
        ("a", False), ("h", False), ("p", False), ("v", True),
    ]  # fmt: skip
    assert found["a"]["tap_stream_id"] == source.stream("a")
    everything = source.discover(filter_dbs="")["streams"]
    assert source.stream("a") in {entry["tap_stream_id"] for entry in everything}
    assert "mysql" not in {root(entry)["schema-name"] for entry in everything}


def test_keys_come_in_their_order_and_views_have_none(source):
    """Prefixes of a unique index are no key, those of a primary key are."""
    source.sql(
        "CREATE TABLE t (a int, b int, c int, PRIMARY KEY (c, a), UNIQUE (b))",
        "CREATE TABLE n (a int UNIQUE, b varchar(9) NOT NULL, UNIQUE (b(3)))",
        "CREATE TABLE p (b text NOT NULL, PRIMARY KEY (b(3)))",
        "CREATE VIEW v AS SELECT * FROM t",
    )

    found = streams(source)

    assert found["t"]["key_properties"] == ["c", "a"]
    assert root(found["t"])["table-key-properties"] == ["c", "a"]
    assert found["n"]["key_properties"] == []
    assert found["p"]["key_properties"] == ["b"]
    assert found["v"]["key_properties"] == []


def test_metadata_says_what_the_server_knows(source):
    """Database, columns that can order changes, declared types."""
    source.sql(
        "CREATE TABLE t (id int unsigned PRIMARY KEY, at timestamp(3) NULL, doc json, "
        "twice int AS (id * 2) STORED, size enum('S', 'XXL'))",
        "INSERT INTO t (id) VALUES (1)",
    )

    entry = streams(source)["t"]

    assert root(entry)["schema-name"] == source.database.name
    assert root(entry)["valid-replication-keys"] == ["id", "at", "twice"]
    assert {
        m["breadcrumb"][1]: (m["metadata"]["inclusion"], m["metadata"]["sql-datatype"])
        for m in entry["metadata"]
        if m["breadcrumb"]
    } == {
        "id": ("automatic", "int(10) unsigned"),
        "at": ("available", "timestamp(3)"),
        "doc": ("available", "longtext"),
        "twice": ("available", "int(11)"),
        "size": ("available", "enum('S','XXL')"),
    }


def test_what_the_user_may_not_read_is_not_there(source):
    """Neither tables nor single columns; a key that lacks a column is none."""
    source.sql(
        "CREATE TABLE open_ (a int PRIMARY KEY, secret int)",
        "CREATE TABLE closed (a int)",
        "CREATE TABLE half (a int, secret int, PRIMARY KEY (a, secret))",
        "CREATE OR REPLACE USER reader IDENTIFIED BY 'secret'",
        f"GRANT SELECT (a) ON `{source.database.name}`.open_ TO reader",
        f"GRANT SELECT (a) ON `{source.database.name}`.half TO reader",
    )
    source.config |= {"user": "reader", "password": "secret"}

    found = streams(source)
    run = source.run()
    source.config |= source.database.tap_config()
    source.sql("DROP USER reader")

    assert sorted(found) == ["half", "open_"]
    assert list(found["open_"]["schema"]["properties"]) == ["a"]
    assert found["half"]["key_properties"] == []
    assert run.records == []


def test_databases_are_chosen_by_name(source, mariadb_server):
    """One or several; the same table in two of them is two streams."""
    other = mariadb_server.create_database(f"{source.database.name}_b")
    source.sql("CREATE TABLE t (id int)")
    other.execute("CREATE TABLE t (id int)")
    both = f"{source.database.name}, {other.name}"

    found = source.discover(filter_dbs=both)["streams"]
    one = source.discover(filter_dbs=None, database=other.name)["streams"]
    mariadb_server.drop_database(other.name)

    assert [entry["tap_stream_id"] for entry in found] == [
        source.stream("t"),
        f"{other.name}-t",
    ]
    assert [entry["tap_stream_id"] for entry in one] == [f"{other.name}-t"]


def test_two_tables_of_one_name_are_an_error(source, mariadb_server):
    """Database and table together may be ambiguous."""
    other = mariadb_server.create_database(f"{source.database.name}-x")
    source.sql("CREATE TABLE `x-t` (id int)")
    other.execute("CREATE TABLE t (id int)")

    with pytest.raises(ConfigurationError, match="Two tables"):
        source.discover(filter_dbs=f"{source.database.name},{other.name}")
    mariadb_server.drop_database(other.name)


def test_odd_names_are_quoted(source):
    """Quotes, blanks and words of SQL."""
    source.sql(
        'CREATE TABLE `odd ``name` (`from` int PRIMARY KEY, `a "b" %s ``c``` json, '
        "`dot.` text)",
        "INSERT INTO `odd ``name` VALUES (1, '[]', 'x')",
    )

    [record] = source.run().records

    assert record == {"from": 1, 'a "b" %s `c`': "[]", "dot.": "x"}


def test_many_tables_cost_no_more_statements_than_one(source, caplog):
    """Discovery asks for all of them at once."""

    def statements():
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="tap-mysql"):
            source.discover()
        return sum("Asking:" in record.message for record in caplog.records)

    source.sql("CREATE TABLE t0 (id int PRIMARY KEY)")
    for_one = statements()
    source.sql(*(f"CREATE TABLE t{n} (id int PRIMARY KEY)" for n in range(1, 40)))

    assert statements() == for_one
    assert for_one <= 6


def test_a_selected_table_that_is_gone_is_an_error(source):
    """A catalog may be older than the database."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")
    catalog = source.catalog("t")
    source.sql("DROP TABLE t", "CREATE TABLE u (id int)")

    with pytest.raises(ConfigurationError, match="no such table"):
        source.run(catalog)


def test_a_catalog_survives_a_round_trip(source):
    """As a file, with every keyword of the schemas."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY, n decimal(30, 9), at datetime)")
    catalog = source.catalog("t")

    [schema] = source.run(json.loads(json.dumps(catalog))).of("SCHEMA")

    assert schema["schema"] == catalog["streams"][0]["schema"]
