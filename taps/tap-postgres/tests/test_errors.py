"""Failures: an exit code to route on, and a sentence that says what to do."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys

import pytest
from dativo_core.errors import (
    ConfigurationError,
    CredentialsError,
    ExitCode,
    TryLaterError,
)
from dativo_sandbox.certificates import make_certificates
from dativo_sandbox.postgres import PostgresServer
from dativo_sandbox.tap_runs import about
from tap_postgres import connection, failures
from tap_postgres.tap import TapPostgres


def last_message(done):
    """Return the last thing that was logged."""
    return json.loads(done.stderr.splitlines()[-1])["message"]


def free_port():
    """Return a port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"password": "wr0ng pass"}, ExitCode.CREDENTIALS, "password authentication"),
        ({"user": "nobody_here"}, ExitCode.CREDENTIALS, "nobody_here"),
        ({"database": "nowhere"}, ExitCode.CONFIGURATION, '"nowhere" does not exist'),
        ({"port": free_port()}, ExitCode.TRY_LATER, "refused"),
        ({"host": "no.such.host.invalid"}, ExitCode.TRY_LATER, "no.such.host.invalid"),
        ({"ssl_enable": True, "ssl_mode": "require"}, ExitCode.CONFIGURATION, "SSL"),
        ({"passwort": "x"}, ExitCode.CONFIGURATION, "Did you mean 'password'"),
        ({"filter_schemas": ["x"]}, ExitCode.CONFIGURATION, "schemas: public"),
        ({"state_interval_rows": 0}, ExitCode.CONFIGURATION, "state_interval_rows"),
    ],
)
def test_a_failure_to_connect_has_its_code(source, tmp_path, change, code, words):
    """One line names the place and the remedy, never the password."""
    done = source.cli(tmp_path, "--discover", **change)

    assert done.returncode == code, done.stderr
    assert words in last_message(done)
    assert "wr0ng" not in done.stderr
    assert source.database.password not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("clause", ["no_such_column = 1", "id ==== 1", "id = 'x'"])
def test_a_wrong_where_clause_is_named(source, clause):
    """With its stream, and without what it compares with."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")
    options = {"public-t": {"custom_where_clauses": [clause]}}

    with pytest.raises(ConfigurationError) as caught:
        source.run(stream_options=options)

    assert "public-t" in str(caught.value)
    assert clause.replace("'x'", "'***'") in str(caught.value)


def test_a_row_that_fails_while_it_is_read_stops_the_run(source):
    """The server may fail after it has sent rows already."""
    source.sql(
        "CREATE TABLE t (id int)", "INSERT INTO t SELECT generate_series(0, 99999)"
    )
    source.sql("CREATE VIEW v AS SELECT 1 / (id - 99999) AS q FROM t")

    with pytest.raises(ConfigurationError, match="division by zero"):
        source.run(source.catalog("public-v"))


def test_a_lost_grant_names_the_one_to_give(source):
    """Permission may go between discovery and the run."""
    source.sql(
        "CREATE TABLE t (id int)",
        "DROP ROLE IF EXISTS loser",
        "CREATE ROLE loser LOGIN PASSWORD 'secret'",
        "GRANT SELECT ON t TO loser",
    )
    source.config |= {"user": "loser", "password": "secret"}
    tap = TapPostgres(config=source.config)
    stream = tap.streams["public-t"]
    source.sql("REVOKE SELECT ON t FROM loser")

    with pytest.raises(CredentialsError, match="GRANT SELECT"):
        list(stream.get_records(None))
    source.sql("DROP OWNED BY loser", "DROP ROLE loser")


def test_a_table_dropped_after_discovery_is_a_clear_error(source):
    """The catalog must be made again."""
    source.sql("CREATE TABLE t (id int)")
    stream = TapPostgres(config=source.config).streams["public-t"]
    source.sql("DROP TABLE t")

    with pytest.raises(ConfigurationError, match="Discover again"):
        list(stream.get_records(None))


def test_a_lost_connection_may_be_tried_again(source):
    """The administrator may end a session at any time."""
    source.sql("CREATE TABLE t (id int)")
    stream = TapPostgres(config=source.config).streams["public-t"]
    source.database.query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name = 'tap-postgres' AND datname = current_database()"
    )

    with pytest.raises(TryLaterError):
        list(stream.get_records(None))


def test_a_statement_that_an_administrator_cancels_may_be_tried_again(source):
    """Among rows too, where the driver gives no SQLSTATE: they are all right."""
    source.sql(
        "CREATE VIEW w AS SELECT i AS id, repeat('x', 1000) AS v "
        "FROM generate_series(1, 99999) i"
    )
    events = source.tap().streams["public-w"]._events()
    next(events)
    source.database.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'tap-postgres' AND datname = current_database()"
    )

    with pytest.raises(TryLaterError, match="user request"):
        list(events)


@pytest.mark.parametrize("key", [None, "id"])
def test_a_materialized_view_that_was_never_filled_is_named(source, key):
    """Made by `WITH NO DATA`, it cannot be read: not even that it is empty."""
    source.sql("CREATE MATERIALIZED VIEW m AS SELECT 1 AS id WITH NO DATA")

    with pytest.raises(ConfigurationError, match="REFRESH"):
        source.run(source.catalog("public-m", key=key))
    assert "been populated" in about(source.examine(), "Table public-m cannot").what


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"replication_method": "LOG_BASED"}, "LOG_BASED"),
        ({"replication_method": "INCREMENTAL"}, "replication-key"),
        ({"replication_method": "INCREMENTAL", "replication_key": "gone"}, "'id'"),
        ({"replication_method": "INCREMENTAL", "replication_key": "doc"}, "order"),
    ],
)
def test_a_method_that_cannot_work_is_refused(source, entry, words):
    """Instead of a load that is not what was asked for."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY, doc jsonb)")
    catalog = source.catalog("public-t")
    catalog["streams"][0] |= entry

    with pytest.raises(ConfigurationError, match=words):
        source.run(catalog)


def test_a_default_method_holds_for_streams_without_their_own(source):
    """By setting; it then needs a replication key in the catalog."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")

    found = source.discover(default_replication_method="INCREMENTAL")["streams"]

    assert found[0]["replication_method"] == "INCREMENTAL"


def test_the_connection_test_reads_one_row_of_each_stream(source, tmp_path):
    """--test ends well, and soon."""
    source.sql(
        "CREATE TABLE t (id int)", "INSERT INTO t SELECT generate_series(1, 9999)"
    )

    done = source.cli(tmp_path, "--test")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"RECORD"') == 1


def test_a_reader_that_leaves_is_not_a_success(source, tmp_path):
    """A target that dies closes the pipe in the midst of a block."""
    source.sql("CREATE TABLE t (v text)")
    source.sql("INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(source.config))
    command = [sys.executable, "-m", "tap_postgres", "--config", str(path)]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tap:
        tap.stdout.readline()
        tap.stdout.close()
        tap.stderr.read()

    assert tap.returncode == ExitCode.TRY_LATER


def test_about_and_version_need_no_server(source, tmp_path):
    """They only describe the plugin."""
    about = json.loads(source.cli(tmp_path, "--about", "--format", "json").stdout)

    expected = {"batch", "catalog", "discover", "state", "test"}
    assert expected <= set(about["capabilities"])
    assert source.cli(tmp_path, "--version").stdout.startswith("tap-postgres v")


@pytest.mark.parametrize(
    ("sqlstate", "text", "kind"),
    [
        (
            None,
            "FATAL:  no pg_hba.conf entry for host, no encryption",
            ConfigurationError,
        ),
        (None, "FATAL:  no pg_hba.conf entry for host, SSL off", CredentialsError),
        (None, "FATAL:  sorry, too many clients already", TryLaterError),
        (None, "FATAL:  the database system is starting up", TryLaterError),
        (None, 'server certificate for "a" does not match host', ConfigurationError),
        ("40001", "could not serialize access", TryLaterError),
        ("0A000", "cannot access temporary or unlogged relations", ConfigurationError),
        ("21000", "more than one row returned by a subquery", ConfigurationError),
        ("P0001", "raised by a function", ConfigurationError),
        ("55P03", "could not obtain lock on relation", TryLaterError),
        ("58P01", "could not open file", TryLaterError),
        ("72000", "snapshot too old", TryLaterError),
        (None, "ERROR:  out of memory PGRES_FATAL_ERROR", TryLaterError),
        ("57P01", "terminating connection", TryLaterError),
    ],
)
def test_what_postgres_says_is_sorted_by_remedy(sqlstate, text, kind):
    """Also what a test server cannot be brought to say."""
    assert type(failures.explain(sqlstate, text, "Asking")) is kind


def test_what_no_rule_knows_is_not_explained_away():
    """It is a bug, and keeps its traceback."""
    assert failures.explain("XX000", "internal error", "Asking") is None


def test_messages_are_one_line():
    """The driver's wrapping and the statement are left out."""
    text = (
        "INVALID_DATA: [libpq] Failed to execute query: could not begin COPY: "
        "ERROR:  division by zero\\n\\nQuery was: COPY (x). SQLSTATE: 22012"
    )

    assert failures.plain(text) == "division by zero"


def test_tls_is_verified_against_the_authority_given(tmp_path):
    """Its certificate may be a path or PEM text; without it nobody is trusted."""
    with PostgresServer(ssl=True) as server:
        database = server.database()
        config = database.tap_config()
        as_text = database.certificate_authority.read_text()
        for authority in (config["ssl_certificate_authority"], as_text):
            config["ssl_certificate_authority"] = authority
            tap = TapPostgres(config=config)
            assert list(tap.streams) == []
            tap.connections.close()

        other = make_certificates(tmp_path)
        for change in (
            {"ssl_certificate_authority": str(other)},
            {"ssl_mode": "disable"},
        ):
            with pytest.raises(ConfigurationError, match="ssl_mode"):
                TapPostgres(config={**config, **change})


PEM = "-----BEGIN CERTIFICATE-----\nx\n"


def test_pem_text_goes_to_a_private_file_and_paths_stay_paths():
    """Nobody else can read the key."""
    folder = connection.PrivateFolder()
    config = {
        "host": "h",
        "port": 1,
        "password": "it's \\ secret",
        "ssl_enable": True,
        "ssl_mode": "verify-full",
        "ssl_certificate_authority": "/ca.pem",
        "ssl_client_private_key": PEM,
    }

    found = connection.conninfo(config, folder)

    assert "password='it\\'s \\\\ secret'" in found
    assert "sslrootcert='/ca.pem'" in found
    path = folder.write("again", PEM)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert f"sslkey='{path.parent}/sslkey'" in found
    assert "secret" not in connection.place(config)


def test_tls_is_decided_by_settings_only_if_asked():
    """Any of the settings asks for it, unless it is switched off."""

    def mode(**config):
        tap = TapPostgres(config=config, setup_mapper=False)
        return "sslmode" in connection.conninfo(tap.config, connection.PrivateFolder())

    assert not mode()
    assert mode(ssl_certificate_authority="/ca.pem")
    assert not mode(ssl_enable=False, ssl_mode="require")
