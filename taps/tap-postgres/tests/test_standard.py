"""The SDK's own tests of a tap."""

from __future__ import annotations

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.runners import TapTestRunner
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


@pytest.mark.usefixtures("capsys")
def test_the_standard_tests_pass(source, subtests):
    """All of `get_tap_test_class`, which needs its database before tests begin."""
    source.sql(TABLES)
    suite = get_tap_test_class(TapPostgres, config=source.config)
    runner = TapTestRunner(TapPostgres, source.config, SuiteConfig())
    runner.sync_all()

    names = [name for name in dir(suite) if name.startswith("test_")]
    assert len(names) > 12
    for name in names:
        for parameters in suite.params.get(name) or [None]:
            values = parameters.values if parameters else ()
            with subtests.test(name, parameters=parameters and parameters.id):
                getattr(suite, name)(SuiteConfig(), None, runner, *values)
