"""What `--test` says about a server before anything goes wrong."""

from __future__ import annotations

import json

import pytest
from tap_mysql import preflight
from tap_mysql.preflight import Facts

GOOD = {
    "version": "8.4.3",
    "user": "reader@%",
    "packet_bytes": 64 * 2**20,
    "is_replica": False,
    "is_private": True,
    "sees_transactions": True,
    "lacks_zones": False,
}


def test_a_good_server_needs_no_word():
    """Of either make."""
    for version in (
        "8.4.3",
        "5.7.44-log",
        "10.11.19-MariaDB-0+deb12u1",
        "11.4-MariaDB",
    ):
        assert preflight.warnings(Facts(**{**GOOD, "version": version}), []) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "5.6.51"}, "MySQL 5.6.51 is older than 5.7"),
        ({"version": "10.5.1-MariaDB"}, "is older than 10.6"),
        ({"user": "it's@10.%"}, "GRANT PROCESS ON *.* TO 'it''s'@'10.%';"),
        ({"is_replica": True}, "Read from the primary"),
        ({"is_private": False}, "set ssl to true"),
        ({"packet_bytes": 2**20}, "SET GLOBAL max_allowed_packet = 67108864;"),
        ({"lacks_zones": True}, "mysql_tzinfo_to_sql"),
    ],
)
def test_what_will_hurt_comes_with_its_remedy(change, words):
    """One sentence each."""
    if "user" in change:
        change |= {"sees_transactions": False}

    [found] = preflight.warnings(Facts(**{**GOOD, **change}), [])

    assert words in found


def test_a_real_server_is_asked(source, tmp_path):
    """The user lacks a privilege, and tables lack a key or a snapshot."""
    name = source.database.name
    source.sql(
        "CREATE TABLE good (id int PRIMARY KEY)",
        "CREATE TABLE loose (id int PRIMARY KEY) ENGINE = MyISAM",
        *(f"CREATE TABLE k{n} (id int)" for n in range(7)),
        "CREATE VIEW v AS SELECT * FROM good",
        "CREATE OR REPLACE USER tester IDENTIFIED BY 'secret'",
        f"GRANT SELECT, SHOW VIEW ON `{name}`.* TO tester",
    )

    done = source.cli(tmp_path, "--test", user="tester", password="secret")
    source.sql("DROP USER tester")

    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    found = [e["message"] for e in entries if e["level"].lower() == "warning"]
    assert any("GRANT PROCESS ON *.* TO 'tester'@'%';" in line for line in found)
    assert any(f"k0, {name}-k1" in line and "and 2 more" in line for line in found)
    assert any(f"`{name}`.`loose` ENGINE = InnoDB" in line for line in found)


def test_an_administrator_sees_transactions(source):
    """And a connection of this machine is private."""
    source.sql("CREATE TABLE t (id int)")

    with source.tap().connections.lend() as client:
        facts = preflight.ask(client, is_local=True)

    assert facts.sees_transactions
    assert facts.is_private
    assert facts.product == "MariaDB"
