"""Failures: an exit code to route on, and a sentence that says what to do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pymysql
import pytest
from dativo_core.errors import (
    ConfigurationError,
    CredentialsError,
    DativoError,
    ExitCode,
    TryLaterError,
)
from dativo_sandbox.certificates import make_certificates
from dativo_sandbox.mariadb import MariaServer
from dativo_sandbox.tap_runs import about
from tap_mysql import connection, failures
from tap_mysql.tap import TapMySQL


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
        ({"password": "wr0ng pass"}, ExitCode.CREDENTIALS, "Access denied"),
        ({"user": "nobody_here"}, ExitCode.CREDENTIALS, "nobody_here"),
        ({"database": "nowhere"}, ExitCode.CONFIGURATION, "'nowhere'"),
        ({"port": free_port()}, ExitCode.TRY_LATER, "refused"),
        ({"host": "no.such.host.invalid"}, ExitCode.TRY_LATER, "no.such.host.invalid"),
        ({"ssl": True}, ExitCode.CONFIGURATION, "SSL is required"),
        ({"ssl_ca": "/no/such.pem"}, ExitCode.CONFIGURATION, "Check ssl_ca"),
        ({"passwort": "x"}, ExitCode.CONFIGURATION, "Did you mean 'password'"),
        ({"filter_dbs": "x"}, ExitCode.CONFIGURATION, " information_schema, "),
        ({"state_interval_rows": 0}, ExitCode.CONFIGURATION, "state_interval_rows"),
        ({"session_sqls": ["SET a = 1"]}, ExitCode.CONFIGURATION, "session_sqls"),
    ],
)
def test_a_failure_to_connect_has_its_code(source, change, code, words):
    """One sentence names the place and the remedy, never the password."""
    with pytest.raises(DativoError) as caught:
        source.discover(**change)

    assert caught.value.exit_code == code
    assert words in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    assert source.database.password not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"password": "wr0ng pass"}, ExitCode.CREDENTIALS, "Access denied"),
        # In a process of its own, since PyMySQL leaves such a socket to the collector.
        ({"unix_socket": "/no/such"}, ExitCode.TRY_LATER, "/no/such"),
    ],
)
def test_a_failure_is_the_last_line_of_the_command(
    source, tmp_path, change, code, words
):
    """With its code, and nothing on stdout."""
    done = source.cli(tmp_path, "--discover", **change)

    assert done.returncode == code, done.stderr
    assert words in last_message(done)
    assert "wr0ng" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "clause",
    ["no_such_column = 1", "id ==== 1", "id = NO_SUCH('x')", 'id = NO_SUCH("x")'],
)
@pytest.mark.parametrize("reader", ["arrow", "pymysql"])
def test_a_wrong_where_clause_is_named(source, clause, reader):
    """With its stream, and without what it compares with."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")
    options = {source.stream("t"): {"custom_where_clauses": [clause]}}

    with pytest.raises(ConfigurationError) as caught:
        source.run(stream_options=options, row_reader=reader)

    assert source.stream("t") in str(caught.value)
    masked = clause.replace("'x'", "'***'").replace('"x"', "'***'")
    assert masked in str(caught.value)


@pytest.mark.parametrize(
    "clause",
    [
        "id = (SELECT 1 UNION SELECT 2)",
        "id REGEXP '['",
        "id = (1, 2)",
        "SUM(id) > 1",
        "id IN (SELECT 1, 2)",
        "id = 'x' COLLATE latin1_bin",
        "id = CAST('a' AS nosuch)",
        "id > 1e999",
    ],
)
def test_what_the_server_does_not_do_is_not_called_a_bug(source, clause):
    """It is for who wrote the clause, or the view, to correct."""
    source.sql("CREATE TABLE t (id int)", "INSERT INTO t VALUES (1), (2)")
    options = {source.stream("t"): {"custom_where_clauses": [clause]}}

    with pytest.raises(ConfigurationError, match="Check the view, or custom_where"):
        source.run(stream_options=options)


def test_a_view_whose_definer_is_gone_is_named(source):
    """To the run, and to the doctor, who goes on."""
    source.sql(
        "CREATE USER gone",
        "CREATE DEFINER = gone SQL SECURITY DEFINER VIEW w AS SELECT 1 AS id",
        "DROP USER gone",
    )

    with pytest.raises(ConfigurationError, match="a definer that exists"):
        source.run()
    assert about(source.examine(), "cannot be read. Asking")


def test_a_lost_grant_names_the_one_to_give(source):
    """Permission may go between discovery and the run."""
    source.sql(
        "CREATE TABLE t (id int)",
        "CREATE OR REPLACE USER loser IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON `{source.database.name}`.t TO loser",
    )
    stream = source.tap(user="loser", password="secret").streams[source.stream("t")]
    source.sql(f"REVOKE SELECT ON `{source.database.name}`.t FROM loser")

    with pytest.raises(CredentialsError, match="GRANT SELECT"):
        list(stream.get_records(None))
    source.sql("DROP USER loser")


def test_a_table_dropped_after_discovery_is_a_clear_error(source):
    """The catalog must be made again."""
    source.sql("CREATE TABLE t (id int)")
    stream = source.tap().streams[source.stream("t")]
    source.sql("DROP TABLE t")

    with pytest.raises(ConfigurationError, match="Discover again"):
        list(stream.get_records(None))


@pytest.mark.parametrize("reader", ["arrow", "pymysql"])
def test_a_lost_connection_may_be_tried_again(source, reader):
    """The administrator may end a session at any time, also among rows."""
    source.sql(
        "CREATE TABLE t (id int, v varchar(200))",
        "INSERT INTO t SELECT seq, REPEAT('x', 200) FROM seq_1_to_150000",
    )
    tap = source.tap(row_reader=reader)
    records = tap.streams[source.stream("t")].get_records(None)
    next(records)
    [[session]] = source.database.query(
        "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT%`t`%'"
        " AND id <> CONNECTION_ID()"
    )
    source.database.execute(f"KILL {session}")

    with pytest.raises(TryLaterError):
        list(records)

    # And the tap connects anew.
    assert next(tap.streams[source.stream("t")].get_records(None))


def test_a_session_that_ended_between_two_questions_is_replaced(source):
    """One question fails, and the next one has another connection."""
    source.sql("CREATE TABLE t (id int)")
    tap = source.tap()
    with tap.connections.lend() as client:
        [[session]] = client.ask("SELECT CONNECTION_ID()")
        source.database.execute(f"KILL {session}")

        with pytest.raises(TryLaterError):
            client.ask("SELECT 1")

        [[other]] = client.ask("SELECT CONNECTION_ID()")
    assert other != session


def test_rows_that_nobody_reads_do_not_disturb_what_follows(source):
    """A consumer may stop in the midst of an answer."""
    source.sql(
        "CREATE TABLE t (id int, v varchar(200))",
        "INSERT INTO t SELECT seq, REPEAT('x', 200) FROM seq_1_to_150000",
    )
    tap = source.tap()
    records = tap.streams[source.stream("t")].get_records(None)
    next(records)
    records.close()

    with tap.connections.lend() as client:
        assert client.ask("SELECT 42") == [(42,)]


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
    source.sql("CREATE TABLE t (id int PRIMARY KEY, doc json)")
    catalog = source.catalog("t")
    catalog["streams"][0] |= entry

    with pytest.raises(ConfigurationError, match=words):
        source.run(catalog)


def test_text_that_is_not_utf8_stops_the_run(source):
    """A server should not send any, and nothing is guessed."""
    source.sql(
        "CREATE TABLE t (id int)",
        "INSERT INTO t VALUES (1)",
        "CREATE VIEW v AS SELECT CAST(x'ff' AS BINARY) AS b FROM t",
    )
    tap = source.tap(source.catalog("v"))
    stream = tap.streams[source.stream("v")]
    described = stream._reader.table.described
    described["b"] = type(described["b"])(
        described["b"].value, "text", cursor=False, keyed=False
    )

    with pytest.raises(ConfigurationError, match="Column 'b' has a value that is no"):
        list(stream.get_records(None))


def test_the_connection_test_reads_one_row_of_each_stream(source, tmp_path):
    """--test ends well, and soon."""
    source.sql("CREATE TABLE t (id int)", "INSERT INTO t SELECT seq FROM seq_1_to_9999")

    done = source.cli(tmp_path, "--test")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"RECORD"') == 1


def test_a_reader_that_leaves_is_not_a_success(source, tmp_path):
    """A target that dies closes the pipe in the midst of a block."""
    source.sql("CREATE TABLE t (v text)")
    source.sql("INSERT INTO t SELECT REPEAT('x', 1000) FROM seq_1_to_5000")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(source.config))
    command = [sys.executable, "-m", "tap_mysql", "--config", str(path)]

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
    assert source.cli(tmp_path, "--version").stdout.startswith("tap-mysql v")


def test_the_tap_writes_nothing(source):
    """Its transactions are read-only, whatever a clause may call."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
        "CREATE FUNCTION f() RETURNS int BEGIN DELETE FROM t; RETURN 1; END",
    )
    name = source.database.name
    options = {source.stream("t"): {"custom_where_clauses": [f"`{name}`.f() = 1"]}}

    with pytest.raises((ConfigurationError, pymysql.MySQLError), match=r"READ ONLY|t'"):
        source.run(stream_options=options)
    assert source.database.query("SELECT COUNT(*) FROM t") == [(1,)]


def test_tls_is_verified_against_the_authority_given(tmp_path):
    """Its certificate may be a path or PEM text; without it nobody is trusted."""
    with MariaServer(ssl=True) as server:
        server.create_database("a").execute("CREATE TABLE t (id int)")
        config = server.database("a").tap_config()
        as_text = server.certificate_authority.read_text()
        for authority in (config["ssl_ca"], as_text):
            tap = TapMySQL(config={**config, "ssl_ca": authority})
            assert list(tap.streams) == ["a-t"]
            with tap.connections.lend() as client:
                [[_, cipher]] = client.ask("SHOW STATUS LIKE 'Ssl_cipher'")
            assert cipher
            tap.connections.close()

        other = str(make_certificates(tmp_path))
        for change in (
            {"ssl_ca": other},
            {"ssl_ca": None, "ssl_mode": "verify-ca"},
            {"internal_hostname": "db.example.com"},
        ):
            with pytest.raises(ConfigurationError, match="ssl_mode"):
                TapMySQL(config={**config, **change})
        for change in (
            {"ssl_ca": other, "ssl_mode": "require"},
            {"internal_hostname": "db.example.com", "ssl_mode": "verify-ca"},
            {"internal_hostname": "localhost"},
            {"ssl": None, "ssl_ca": None},
        ):
            tap = TapMySQL(config={**config, **change})
            assert list(tap.streams) == ["a-t"]
            tap.connections.close()


def test_a_socket_stands_in_for_host_and_port(mariadb_server, source):
    """Its path is also how messages name the server."""
    source.sql("CREATE TABLE t (id int)")
    path = str(mariadb_server.socket)

    tap = source.tap(unix_socket=path, port=1)

    assert list(tap.streams) == [source.stream("t")]
    assert path in tap.place


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (1040, "Too many connections", TryLaterError),
        (1213, "Deadlock found when trying to get lock", TryLaterError),
        (1049, "Unknown database 'x'", ConfigurationError),
        (2013, "[SSL] certificate verify failed", ConfigurationError),
        (1021, "Disk full; waiting for someone to free some space", TryLaterError),
        (1065, "Query was empty", ConfigurationError),
        (1195, "Table 't' is marked as crashed", ConfigurationError),
        (4038, "Syntax error in JSON text in argument 1", ConfigurationError),
        (3159, "Connections using insecure transport are prohibited", None),
        (None, "Authentication plugin 'x' not configured", ConfigurationError),
        (None, "'cryptography' package is required for sha256", ConfigurationError),
        (None, "The read operation timed out", TryLaterError),
    ],
)
def test_what_mysql_says_is_sorted_by_remedy(code, text, kind):
    """Also what a test server cannot be brought to say."""
    assert type(failures.explain(code, text, "Asking")) is (kind or ConfigurationError)


def test_what_no_rule_knows_is_not_explained_away():
    """It is a bug, and keeps its traceback."""
    assert failures.explain(1815, "Internal error", "Asking") is None


def test_values_stay_out_of_messages():
    """What a server quotes of the data is masked."""
    text = "Incorrect datetime value: 'ada@example.com' for column `a`.`t`.`at`"

    assert "ada" not in failures.plain(text)
    assert failures.parts(pymysql.err.OperationalError(1292, text)) == (1292, text)
    assert failures.parts(ConnectionResetError(104, "reset"))[0] is None


def test_arguments_follow_the_settings():
    """A password never gets into the words for a place."""
    config = {"host": "h", "port": 1, "user": "u", "password": "secret"}

    assert "secret" not in connection.place(config)
    assert "ssl" not in connection.arguments(config)
    assert connection.arguments({**config, "ssl": False})["ssl_disabled"]
    assert not connection.arguments(config)["local_infile"]
