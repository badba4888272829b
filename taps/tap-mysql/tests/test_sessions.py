"""What the server sets for all sessions does not hold for those of the tap."""

from __future__ import annotations

import pytest
from tap_mysql.tap import TapMySQL

ALL_MODES = (
    "PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,"
    "NO_BACKSLASH_ESCAPES,NO_UNSIGNED_SUBTRACTION,TIME_ROUND_FRACTIONAL,NO_ZERO_DATE,"
    "NO_ZERO_IN_DATE,IGNORE_SPACE,EMPTY_STRING_IS_NULL,ERROR_FOR_DIVISION_BY_ZERO,"
    "ONLY_FULL_GROUP_BY,STRICT_ALL_TABLES"
)


def test_values_do_not_depend_on_the_modes_of_the_server(source):
    """Not in tables, not in computed columns, not in views."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, c char(9), u int unsigned, at time(3), "
        "s varchar(9), padded varchar(20) AS (concat('[', c, ']')) VIRTUAL, d date)",
        "INSERT INTO t (id, c, u, at, s, d) VALUES "
        "(1, 'a ', 5, '01:02:03.700', 'a\\\\b', '2024-00-00'), "
        "(2, '', 0, '00:00:00.499', '', '0000-00-00')",
        'CREATE VIEW v AS SELECT id, length(c) l, u - 0 m, "x" q, id || 0 o, s LIKE '
        "'a\\\\\\\\%' k, NOT id BETWEEN -5 AND 5 n, CAST(at AS time) r, '' e FROM t",
    )
    before = source.run(zero_dates="text").records

    with source.globally(sql_mode=ALL_MODES):
        assert source.run(zero_dates="text").records == before

    assert len(before) == 4


@pytest.mark.parametrize("name", ["utf8mb3", "latin1", "ascii"])
def test_no_other_character_set_turns_signs_into_question_marks(source, name):
    """Whatever the settings ask for: they were made for a tap that reads it."""
    source.sql("CREATE TABLE t (v varchar(9)) CHARSET utf8mb4")
    source.sql("INSERT INTO t VALUES ('é日😀')")

    run = source.run(session_sqls=[f"SET NAMES {name}"])

    assert run.values("v") == ["é日😀"]


@pytest.mark.parametrize(
    ("name", "limit"),
    [("sql_select_limit", 10), ("max_join_size", 5), ("max_statement_time", 0.001)],
)
def test_limits_of_the_server_do_not_hold_for_the_tap(source, name, limit):
    """`sql_select_limit` would leave out rows, without an error."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")
    source.sql("INSERT INTO t SELECT seq FROM seq_1_to_3000")

    with source.globally(**{name: limit}):
        run = source.run()

    assert len(run.records) == 3000


@pytest.mark.parametrize("arguments", [(), ("--discover",), ("--test",)])
def test_programs_leave_the_server_in_good_order(source, tmp_path, arguments):
    """It counts and logs connections that end without a word."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")
    ours = (
        "SELECT count(*) FROM information_schema.processlist "
        f"WHERE id <> connection_id() AND db = '{source.database.name}'"
    )
    aborted = "SHOW GLOBAL STATUS LIKE 'Aborted_clients'"
    before = source.database.query(aborted)

    assert source.cli(tmp_path, *arguments).returncode == 0

    assert any(source.database.query(ours) == [(0,)] for _ in range(2_000))
    assert source.database.query(aborted) == before


def test_patience_of_the_server_does_not_hold_for_the_tap(source):
    """A slow target keeps a transaction idle, and an answer waiting."""
    names = (
        *("idle_transaction_timeout", "idle_readonly_transaction_timeout"),
        *("net_write_timeout", "wait_timeout"),
    )
    listed = ", ".join(f"@@SESSION.{name}" for name in names)

    tap = TapMySQL(config=source.config, setup_mapper=False)

    limited = source.globally(**dict.fromkeys(names, 1))
    with limited, tap.connections.lend() as client:
        [values] = client.ask(f"SELECT {listed}")

    assert values == (0, 0, 3600, 28800)
