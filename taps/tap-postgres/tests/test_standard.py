"""The SDK's own tests of a tap."""

from __future__ import annotations

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from tap_postgres.tap import TapPostgres

TABLES = """
CREATE TABLE orders (id int8 PRIMARY KEY, note text, price numeric(10, 2),
                     paid boolean, weight float8, changed timestamptz, tags text[]);
INSERT INTO orders SELECT i, 'note ' || i, i / 4.0, i % 2 = 0, i / 3.0::float8,
       now(), ARRAY['a', 'b'] FROM generate_series(1, 200) i;
CREATE VIEW cheap AS SELECT * FROM orders WHERE price < 5;
CREATE TABLE "Odd Name" ("a ""quoted"" column" int PRIMARY KEY);
INSERT INTO "Odd Name" VALUES (1);
"""


@pytest.fixture(scope="module")
def standard_database(postgres_server):
    """A database with a few tables."""
    database = postgres_server.create_database("standard")
    database.execute(TABLES)
    yield database
    postgres_server.drop_database("standard")


def pytest_generate_config(database):
    """Return the settings for the standard tests."""
    return database.tap_config()
