"""The SDK's own tests of a tap."""

from __future__ import annotations

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.runners import TapTestRunner
from tap_mysql.tap import TapMySQL

TABLES = """
CREATE TABLE orders (id bigint PRIMARY KEY, note text, price decimal(10, 2),
                     paid boolean, weight double, changed timestamp(6), tags json);
INSERT INTO orders SELECT seq, CONCAT('note ', seq), seq / 4.0, seq % 2, seq / 3e0,
       NOW(6), '["a", "b"]' FROM seq_1_to_200;
CREATE VIEW cheap AS SELECT * FROM orders WHERE price < 5;
CREATE TABLE `Odd Name` (`a ``quoted`` column` int PRIMARY KEY);
INSERT INTO `Odd Name` VALUES (1);
"""


@pytest.mark.usefixtures("capsys")
def test_the_standard_tests_pass(source, subtests):
    """All of `get_tap_test_class`, which needs its database before tests begin."""
    source.sql(TABLES)
    suite = get_tap_test_class(TapMySQL, config=source.config)
    runner = TapTestRunner(TapMySQL, source.config, SuiteConfig())
    runner.sync_all()

    names = [name for name in dir(suite) if name.startswith("test_")]
    assert len(names) > 12
    for name in names:
        for parameters in suite.params.get(name) or [None]:
            values = parameters.values if parameters else ()
            with subtests.test(name, parameters=parameters and parameters.id):
                getattr(suite, name)(SuiteConfig(), None, runner, *values)
