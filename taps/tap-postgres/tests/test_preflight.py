"""What `--test` and `dativo doctor` say about a server before anything goes wrong."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
from dativo_sandbox.postgres import PostgresServer
from dativo_sandbox.tap_runs import about
from tap_postgres import examining, preflight
from tap_postgres.preflight import Facts
from tap_postgres.tap import TapPostgres

GOOD = {
    "version": "17.2",
    "numbers": (17,),
    "user": "reader",
    "database": "shop",
    "is_replica": False,
    "encryption": "TLSv1.3",
    "is_local": False,
    "sees_transactions": True,
    "settings": {
        "statement_timeout": "0",
        "transaction_timeout": "3600000",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "86400000",
        "hot_standby_feedback": "off",
        "max_standby_streaming_delay": "30000",
    },
}
ATTEMPTS = 10_000


@pytest.fixture
def reader(source):
    """The settings of a role that sees transactions, and owns nothing."""
    source.sql(
        "CREATE ROLE reader LOGIN PASSWORD 'secret'",
        "GRANT pg_read_all_stats TO reader",
    )
    yield {"user": "reader", "password": "secret"}
    source.sql("DROP OWNED BY reader", "DROP ROLE reader")


def test_a_good_server_needs_no_word():
    """Of the oldest version and the newest; a replica that waits is no worse."""
    for number in (13, 18):
        assert preflight.complaints(Facts(**{**GOOD, "numbers": (number,)})) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"numbers": (12,), "version": "12.9"}, "PostgreSQL 12.9 is older than 13"),
        ({"encryption": ""}, "set ssl_mode to verify-full"),
        ({"sees_transactions": False}, 'GRANT pg_read_all_stats TO "reader";'),
        ({"prepared": [("it's", 3601)]}, "ROLLBACK PREPARED 'it''s';"),
        ({"oldest": 7, "oldest_seconds": 3601}, "pg_terminate_backend(7);"),
        (
            {"settings": {"transaction_timeout": "5"}},
            'ALTER ROLE "reader" IN DATABASE "shop" SET transaction_timeout = 0;',
        ),
        (
            {"settings": {"old_snapshot_threshold": "0"}},
            "ALTER SYSTEM SET old_snapshot_threshold = -1;",
        ),
    ],
)
def test_what_will_hurt_comes_with_its_remedy(change, words):
    """One sentence each."""
    [found] = preflight.complaints(Facts(**{**GOOD, **change}))

    assert words in str(found)


@pytest.mark.parametrize(
    ("feedback", "delay", "complaints"),
    [("off", "30000", 2), ("on", "30000", 1), ("off", "-1", 1), ("off", "3600000", 1)],
)
def test_a_replica_may_be_patient(feedback, delay, complaints):
    """With one of two settings; that it is a replica is said in any case."""
    settings = {
        "hot_standby_feedback": feedback,
        "max_standby_streaming_delay": delay,
    }
    facts = Facts(**{**GOOD, "is_replica": True, "settings": settings})

    assert len(preflight.complaints(facts)) == complaints


@pytest.mark.parametrize(
    "name",
    [
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
    ],
)
@pytest.mark.parametrize("where", ["ROLE reader", 'DATABASE "{}"'])
def test_a_timeout_is_lifted_by_its_statement(source, reader, name, where):
    """Wherever it was set, and for the role alone."""
    source.sql(f"ALTER {where.format(source.database.name)} SET {name} = '59min'")
    words = f"{name} is 3540000 ms for this role"

    found = about(source.examine(**reader), words)
    source.sql(*found.statements)

    assert about(source.examine(**reader), words) is None


def test_rows_that_policies_hide_are_no_secret(source, reader):
    """A policy leaves rows out and says nothing: the tap would call it complete."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "INSERT INTO t VALUES (1), (2), (3)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY few ON t USING (id > 1)",
        "CREATE TABLE free (id int PRIMARY KEY)",
        "GRANT SELECT ON t, free TO reader",
    )
    words = "Table public-t with row level security"
    catalog = source.catalog("public-t")
    assert len(source.run(catalog, **reader).records) == 2
    assert about(source.examine(), words) is None

    found = about(source.examine(**reader), words)
    source.sql(*found.statements)

    assert about(source.examine(**reader), words) is None
    assert len(source.run(catalog, **reader).records) == 3


def test_rows_that_policies_hide_within_views_are_no_secret(source, reader):
    """From the view's owner, or from the reader if the view asks as who reads it."""
    source.sql(
        "CREATE ROLE owning",
        "CREATE TABLE t (id int PRIMARY KEY)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY few ON t USING (id > 1)",
        "GRANT SELECT ON t TO reader, owning",
        "CREATE VIEW whole AS SELECT * FROM t",
        "CREATE VIEW owned AS SELECT * FROM t",
        "ALTER VIEW owned OWNER TO owning",
        "CREATE VIEW asking WITH (security_invoker) AS SELECT * FROM t",
        "GRANT SELECT ON whole, owned, asking TO reader",
    )
    words = "over a table with row level security"

    found = about(source.examine(**reader), words)
    assert found.what.startswith("Tables public-asking, public-owned over")
    source.sql("ALTER ROLE reader BYPASSRLS", "ALTER ROLE owning BYPASSRLS")
    checkup = source.examine(**reader)
    source.sql("DROP OWNED BY owning", "DROP ROLE owning")

    assert about(checkup, words) is None


def test_what_was_not_granted_is_granted_by_the_statements(source, reader):
    """A schema, a table, and a column; who may read a column is not given more."""
    source.sql(
        'CREATE SCHEMA "o""dd"',
        'CREATE TABLE "o""dd".some (id int PRIMARY KEY, secret text)',
        'GRANT SELECT (id) ON "o""dd".some TO reader',
        "CREATE TABLE closed (id int PRIMARY KEY)",
    )
    found = about(source.examine(**reader), "the role may not read any column")
    assert found.what.startswith('Tables o"dd-some, public-closed: ')
    assert found.statements == (
        'GRANT USAGE ON SCHEMA "o""dd" TO "reader";',
        'GRANT SELECT ON "public"."closed" TO "reader";',
    )
    source.sql(*found.statements)

    checkup = source.examine(**reader)
    assert about(checkup, "may not read any column") is None
    assert dict(checkup.facts)["tables"] == "2 readable (0 views), 0 not readable"
    found = about(checkup, 'Table o"dd-some with columns that the role may not read')
    source.sql(*found.statements)
    assert about(source.examine(**reader), "may not read") is None


def test_only_the_schemas_that_are_read_are_examined(source, reader):
    """And only the streams that the catalog selects."""
    source.sql(
        "CREATE SCHEMA other",
        "CREATE TABLE other.closed (id int PRIMARY KEY)",
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE TABLE gone (id int PRIMARY KEY)",
        "GRANT SELECT ON t, gone TO reader",
    )
    assert about(source.examine(**reader), "other-closed")
    assert source.examine(filter_schemas=["public"], **reader).complaints == ()

    catalog = source.catalog("public-gone", **reader)
    assert source.examine(catalog, **reader).complaints == ()
    source.sql("DROP TABLE gone")
    [found] = source.examine(catalog, **reader).complaints
    assert found.what.startswith("Stream public-gone of the catalog without a table")


def test_an_index_for_the_cursor_is_made_by_the_statement(source, reader):
    """It counts if it begins with the cursor and has all rows."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, other int)",
        "CREATE INDEX ON t (other, at)",
        "CREATE INDEX ON t (at) WHERE at > '2024-01-01'",
        "CREATE INDEX ON t USING hash (at)",
        "CREATE TABLE parts (id int PRIMARY KEY, at timestamptz) "
        "PARTITION BY HASH (id)",
        "CREATE TABLE part PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "CREATE VIEW v AS SELECT * FROM t",
        "GRANT SELECT ON t, parts, v TO reader",
    )
    for table, how in (("t", "CONCURRENTLY "), ("parts", "")):
        catalog = source.catalog(f"public-{table}", key="at")
        [found] = source.examine(catalog, **reader).complaints
        assert f"Table public-{table} without an index" in found.what
        assert found.statements == (f'CREATE INDEX {how}ON "public"."{table}" ("at");',)
        source.sql(*found.statements)
        assert source.examine(catalog, **reader).complaints == ()
    for table, key in (("v", "at"), ("t", None)):
        catalog = source.catalog(f"public-{table}", key=key)
        assert source.examine(catalog, **reader).complaints == ()


def test_a_table_without_key_and_a_view_that_fails_are_named(source, reader):
    """Discovery offers both."""
    source.sql(
        "CREATE TABLE keyless (id int, part int)",
        "CREATE TABLE closed (id int PRIMARY KEY)",
        "CREATE VIEW strict WITH (security_invoker) AS SELECT * FROM closed",
        "GRANT SELECT ON keyless, strict TO reader",
    )

    checkup = source.examine(**reader)

    found = about(checkup, "Table public-keyless without a key")
    _, _, advice = found.what.partition("make one: ")
    source.sql(advice.replace("(...)", "(id, part)"))
    assert about(source.examine(**reader), "without a key") is None
    found = about(checkup, "Table public-strict cannot be read.")
    assert "permission denied for table closed" in found.what
    assert dict(checkup.facts)["tables"] == "1 readable (0 views), 2 not readable"


def test_transactions_that_never_end_are_ended_by_their_statements(source, reader):
    """Their age is asked for; a test cannot wait for an hour."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")
    tap = source.tap(**reader)
    with source.session() as leaving, source.session() as staying:
        leaving("BEGIN")
        leaving("INSERT INTO t VALUES (1)")
        leaving("PREPARE TRANSACTION 'le''ft'")
        staying("BEGIN")
        staying("SELECT 1")
        with tap.connections.lend() as client, client.transaction():
            facts = examining.ask(client, is_local=True)
        [(gid, seconds)] = facts.prepared
        assert gid == "le'ft"
        assert max(seconds, facts.oldest_seconds) < 1800
        old = dataclasses.replace(facts, oldest_seconds=3601, prepared=[(gid, 3601)])
        prepared, running = preflight.complaints(old)
        source.sql(*prepared.statements, *running.statements)
        # The server answers before the process has ended.
        ask = f"SELECT 1 FROM pg_stat_activity WHERE pid = {facts.oldest}"
        left = itertools.islice(iter(lambda: source.database.query(ask), []), ATTEMPTS)
        assert sum(1 for _ in left) < ATTEMPTS
    with tap.connections.lend() as client, client.transaction():
        facts = examining.ask(client, is_local=True)
    assert (facts.prepared, facts.oldest) == ([], None)


def test_a_role_that_sees_no_transactions_gets_the_grant(source):
    """The statement of the complaint."""
    source.sql("CREATE ROLE plain LOGIN PASSWORD 'x'")
    config = {"user": "plain", "password": "x"}

    found = about(source.examine(**config), "is hidden, so INCREMENTAL")
    source.sql(*found.statements)
    after = source.examine(**config).complaints
    source.sql("DROP ROLE plain")

    assert after == ()


def test_a_replica_is_asked():
    """A server in recovery, that takes the statements of the complaint."""
    with PostgresServer(standby=True) as server:
        database = server.database()
        tap = TapPostgres(config=database.tap_config(), setup_mapper=False)
        checkup = tap.examine()
        assert dict(checkup.facts)["replica"] == "yes"
        assert about(checkup, "Read from the primary")
        found = about(checkup, "as soon as the primary has cleaned up")
        for statement in found.statements:
            database.execute(statement)
        # The server answers before it has read its settings again.
        examined = (tap.examine() for _ in range(ATTEMPTS))
        assert any(about(each, "has cleaned up") is None for each in examined)


def test_encryption_is_seen(source):
    """A plain connection only matters where somebody is between."""
    with PostgresServer(ssl=True, settings={"old_snapshot_threshold": "59"}) as server:
        for database, encryption in ((source.database, ""), (server.database(), "TLS")):
            tap = TapPostgres(config=database.tap_config(), setup_mapper=False)
            with tap.connections.lend() as client, client.transaction():
                facts = examining.ask(client, is_local=False)
            words = " ".join(map(str, preflight.complaints(facts)))
            assert facts.encryption.startswith(encryption)
            assert bool(encryption) != ("set ssl_mode to verify-full" in words)
            assert bool(encryption) == ("old_snapshot_threshold is 59 minutes" in words)


def test_isolation_of_the_server_does_not_hold_for_the_tap(source, reader):
    """Nor do its formats: the transaction says what it is itself."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now())",
        "INSERT INTO t VALUES (1)",
        "GRANT SELECT ON t TO reader",
    )
    before = source.run(**reader).records
    for name, value in (
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_deferrable", "on"),
        ("default_transaction_read_only", "on"),
        ("DateStyle", "German"),
    ):
        source.sql(f"ALTER ROLE reader SET {name} = '{value}'")

    assert source.run(**reader).records == before
    assert source.examine(**reader).complaints == ()


def test_the_connection_test_says_the_same(source, reader, tmp_path):
    """As warnings, before a row of each stream."""
    source.sql(
        "CREATE TABLE t (id int)",
        "INSERT INTO t VALUES (1)",
        "GRANT SELECT ON t TO reader",
        *(f"CREATE TABLE c{n} (id int PRIMARY KEY)" for n in range(7)),
    )

    done = source.cli(tmp_path, "--test", **reader)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"RECORD"') == 1
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    found = [
        entry["message"]
        for entry in entries
        if entry["level"] == "warning" and entry["logger_name"] != "py.warnings"
    ]
    assert found == [str(each) for each in source.examine(**reader).complaints]
    assert "and 2 more" in found[0]
    assert found[0].endswith("And 2 more such statements.")
