"""What `--test` and `dativo doctor` say about a server before anything goes wrong."""

from __future__ import annotations

import dataclasses
import json

import pytest
from dativo_sandbox.mariadb import MariaServer
from dativo_sandbox.tap_runs import about
from tap_mysql import examining, preflight
from tap_mysql.preflight import Facts
from tap_mysql.tap import TapMySQL

GOOD = {
    "version": "8.4.3",
    "user": "reader@%",
    "packet_bytes": 64 * 2**20,
    "is_replica": False,
    "lacks_zones": False,
    "modes": frozenset({"STRICT_TRANS_TABLES", "ANSI_QUOTES", "NO_ZERO_DATE"}),
    "purge_lag": 0,
    "encryption": "TLSv1.3",
    "is_local": False,
    "sees_transactions": True,
}
MODES = (
    "PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES,NO_UNSIGNED_SUBTRACTION,TIME_ROUND_FRACTIONAL"
)


@pytest.fixture
def tester(source):
    """The settings of a user without any privilege."""
    source.sql("CREATE OR REPLACE USER tester IDENTIFIED BY 'secret'")
    yield {"user": "tester", "password": "secret"}
    source.sql("DROP USER tester")


@pytest.fixture(scope="module")
def secure():
    """A server that speaks TLS, and whose installation nobody has finished."""
    with MariaServer(ssl=True) as server:
        # Before anybody asks: the server remembers zones that it has looked up.
        server.database().execute("DELETE FROM time_zone_name")
        yield server


def test_a_good_server_needs_no_word():
    """Of either make."""
    for version in (
        "8.4.3",
        "5.7.44-log",
        "10.11.19-MariaDB-0+deb12u1",
        "11.4-MariaDB",
    ):
        assert preflight.complaints(Facts(**{**GOOD, "version": version})) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "5.6.51"}, "MySQL 5.6.51 is older than 5.7"),
        ({"version": "10.5.1-MariaDB"}, "is older than 10.6"),
        ({"user": "it's@10.%"}, "GRANT PROCESS ON *.* TO 'it''s'@'10.%';"),
        ({"is_replica": True}, "Read from the primary"),
        ({"encryption": ""}, "set ssl to true"),
        ({"packet_bytes": 2**20}, "SET GLOBAL max_allowed_packet = 67108864;"),
        ({"lacks_zones": True}, "mysql_tzinfo_to_sql"),
        ({"modes": frozenset({"TIME_TRUNCATE_FRACTIONAL"})}, "SET GLOBAL sql_mode"),
        ({"purge_lag": 7}, "SET GLOBAL innodb_max_purge_lag = 0;"),
        ({"oldest": 5, "oldest_seconds": 4000}, "KILL 5;"),
    ],
)
def test_what_will_hurt_comes_with_its_remedy(change, words):
    """One sentence each."""
    if "user" in change:
        change |= {"sees_transactions": False}

    [found] = preflight.complaints(Facts(**{**GOOD, **change}))

    assert words in str(found)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max_allowed_packet", 2**20, "A row longer than 1048576 bytes"),
        ("innodb_max_purge_lag", 1_000_000, "innodb_max_purge_lag is 1000000"),
        ("sql_mode", MODES, "sql_mode has PAD_CHAR_TO_FULL_LENGTH"),
        ("sql_mode", MODES, "sql_mode has NO_UNSIGNED_SUBTRACTION"),
        ("sql_mode", MODES, "sql_mode has TIME_ROUND_FRACTIONAL"),
    ],
)
def test_a_setting_is_put_right_by_its_statement(source, name, value, words):
    """The statement is run, and nothing is left to say of it."""
    with source.globally(**{name: value}):
        found = about(source.examine(), words)
        source.sql(*found.statements)
        assert about(source.examine(), words) is None
        if name == "sql_mode":
            [[modes]] = source.database.query("SELECT @@GLOBAL.sql_mode")
            assert "ANSI_QUOTES" in modes


def test_a_replica_is_noticed(source):
    """It says so itself, and there is no statement against it."""
    with source.globally(read_only=1):
        checkup = source.examine()

    assert about(checkup, "Read from the primary").statements == ()
    assert dict(checkup.facts)["replica"] == "yes"
    assert dict(source.examine().facts)["replica"] == "no"


def test_what_was_not_granted_is_granted_by_the_statement(source, tester):
    """A database of which nothing is seen, and a table that can only be filled."""
    name = source.database.name
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE TABLE hidden (id int PRIMARY KEY)",
    )
    dark = about(source.examine(**tester), f"Database {name} of filter_dbs")
    source.sql(f"GRANT INSERT ON `{name}`.hidden TO tester")
    source.sql(f"GRANT SELECT ON `{name}`.t TO tester")

    checkup = source.examine(**tester)
    closed = about(checkup, f"Table {name}-hidden: the user may not read any column")

    assert dict(checkup.facts)["tables"] == "1 readable (0 views), 1 not readable"
    assert closed.statements == (f"GRANT SELECT ON `{name}`.`hidden` TO 'tester'@'%';",)
    source.sql(*closed.statements)
    assert about(source.examine(**tester), "may not read any column") is None
    source.sql("REVOKE ALL PRIVILEGES, GRANT OPTION FROM tester")
    source.sql(*dark.statements)
    assert about(source.examine(**tester), "filter_dbs") is None


def test_locks_are_wanted_for_chunks(source, tester):
    """The privilege is asked for where it is used, and no lock stays."""
    name = source.database.name
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        f"GRANT SELECT ON `{name}`.* TO tester",
    )
    words = f"Database {name} in which the user may lock no table"
    assert about(source.examine(**tester), words) is None

    found = about(source.examine(parallel_chunks=2, **tester), words)
    source.sql(*found.statements)

    with source.session() as writer:
        writer("BEGIN")
        writer("INSERT INTO t VALUES (1)")
        # Who may lock has to wait for the writer, and is not taken for who may not.
        assert about(source.examine(parallel_chunks=2, **tester), words) is None
        writer("COMMIT")
    source.sql("SET lock_wait_timeout = 0; INSERT INTO t VALUES (2)")


def test_the_catalog_decides_what_is_examined(source, tester):
    """What it deselects is left out; what it selects and nobody sees is named."""
    name = source.database.name
    source.sql(
        "CREATE TABLE gone (id int PRIMARY KEY, at timestamp(6) NOT NULL)",
        "CREATE TABLE keyless (id int)",
        f"GRANT SELECT ON `{name}`.keyless TO tester",
    )
    catalog = source.catalog("gone", key="at")

    found = about(source.examine(catalog, **tester), "of the catalog without a table")

    assert found.what.startswith(f"Stream {name}-gone of")
    source.sql(*found.statements)
    checkup = source.examine(catalog, **tester)
    assert about(checkup, "of the catalog") is about(checkup, "without a key") is None
    assert about(checkup, f"Table {name}-gone without an index")


def test_tables_are_put_right_by_the_statements(source):
    """Without a key, without a snapshot, and without an index for the cursor."""
    name = source.database.name
    source.sql(
        "CREATE TABLE good (id int PRIMARY KEY, at timestamp(6) NOT NULL)",
        "CREATE TABLE `od``d` (id int, part int NOT NULL) ENGINE = MyISAM",
        "CREATE VIEW v AS SELECT * FROM good",
        "CREATE TABLE half (word varchar(9) NOT NULL, PRIMARY KEY (word(3)))",
        "CREATE TABLE real_key (id float PRIMARY KEY)",
    )
    catalog = source.catalog("good", key="at")
    slow = about(source.examine(catalog), f"Table {name}-good without an index")
    source.sql(*slow.statements)
    assert about(source.examine(catalog), "without an index") is None

    checkup = source.examine()
    keyless = about(checkup, f"Table {name}-od`d without a key")
    loose = about(checkup, f"Table {name}-od`d without a snapshot")
    _, _, advice = keyless.what.partition("make one: ")
    source.sql(advice.replace("(...)", "(part)"), *loose.statements)
    checkup = source.examine()

    assert about(checkup, "without a key") is about(checkup, "a snapshot") is None
    assert about(checkup, f"Tables {name}-half, {name}-real_key with a key of a type")


def test_a_view_that_cannot_be_read_is_named(source, tester):
    """Its table is gone, or is not for who reads the view: asking for rows shows it."""
    name = source.database.name
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE TABLE gone (id int PRIMARY KEY)",
        "CREATE VIEW broken AS SELECT * FROM gone",
        "CREATE SQL SECURITY INVOKER VIEW strict AS SELECT * FROM t",
        "CREATE VIEW fine AS SELECT * FROM t",
        "CREATE VIEW hidden AS SELECT * FROM t",
        "DROP TABLE gone",
        *(
            f"GRANT SELECT, SHOW VIEW ON `{name}`.{view} TO tester"
            for view in ("broken", "strict", "fine")
        ),
        f"GRANT SHOW VIEW ON `{name}`.hidden TO tester",
    )

    checkup = source.examine(**tester)

    for view in ("broken", "strict"):
        found = about(checkup, f"Table {name}-{view} cannot be read.")
        assert f"View '{name}.{view}' references invalid table" in found.what
    hidden = about(checkup, f"Table {name}-hidden: the user may not read any column")
    assert hidden.statements == (f"GRANT SELECT ON `{name}`.`hidden` TO 'tester'@'%';",)
    assert about(checkup, "-fine") is None
    told = dict(checkup.facts)["tables"]
    assert told == "1 readable (1 views), 3 not readable"


def test_a_transaction_that_never_ends_is_ended_by_its_statement(source):
    """Age counts in the server's zone; a test cannot wait for an hour."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")
    with source.session() as writer, source.tap().connections.lend() as client:
        writer("BEGIN")
        writer("INSERT INTO t VALUES (1)")
        [[session]] = client.ask(
            "SELECT id FROM information_schema.processlist "
            f"WHERE db = '{source.database.name}'"
        )
        facts = examining.ask(client, is_local=True)
        assert facts.oldest == session
        assert 0 <= facts.oldest_seconds < 1800
        old = dataclasses.replace(facts, oldest_seconds=3601)
        [found] = [
            each
            for each in preflight.complaints(old)
            if "A transaction is open for 3601 seconds" in each.what
        ]
        source.sql(*found.statements)
        left = client.ask(
            "SELECT id FROM information_schema.processlist "
            f"WHERE id = {session} AND command <> 'Killed'"
        )

    assert left == []


def test_encryption_is_seen(source, secure):
    """A plain connection only matters where somebody is between."""
    for server, version in ((source.database, ""), (secure.database(), "TLS")):
        tap = TapMySQL(config=server.tap_config(), setup_mapper=False)
        with tap.connections.lend() as client:
            facts = examining.ask(client, is_local=False)
        words = [each.what for each in preflight.complaints(facts)]
        assert facts.encryption.startswith(version)
        assert bool(version) != any("set ssl to true" in word for word in words)


def test_missing_time_zones_are_noticed(secure):
    """CONVERT_TZ would return null without a word."""
    database = secure.create_database("zones")

    checkup = TapMySQL(config=database.tap_config(), setup_mapper=False).examine()

    assert about(checkup, "Names of time zones mean nothing")


def test_the_connection_test_says_the_same(source, tester, tmp_path):
    """The user lacks a privilege, and tables lack a key or a snapshot."""
    name = source.database.name
    source.sql(
        "CREATE TABLE good (id int PRIMARY KEY)",
        "CREATE TABLE loose (id int PRIMARY KEY) ENGINE = MyISAM",
        *(f"CREATE TABLE k{n} (id int)" for n in range(7)),
        "CREATE VIEW v AS SELECT * FROM good",
        f"GRANT SELECT, SHOW VIEW ON `{name}`.* TO tester",
    )

    done = source.cli(tmp_path, "--test", **tester)

    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    found = [
        entry["message"]
        for entry in entries
        if entry["level"] == "warning" and entry["logger_name"] != "py.warnings"
    ]
    assert any("GRANT PROCESS ON *.* TO 'tester'@'%';" in line for line in found)
    assert any(f"k0, {name}-k1" in line and "and 2 more" in line for line in found)
    assert any(f"`{name}`.`loose` ENGINE = InnoDB" in line for line in found)
    assert found == [str(each) for each in source.examine(**tester).complaints]
