"""Each failure is one line that says what, where and what to do, and one exit code."""

from __future__ import annotations

import socket

import pytest

TRY_LATER, CREDENTIALS, CONFIGURATION = 75, 77, 78


@pytest.fixture
def source(pipeline):
    """A database with one table."""
    pipeline.source.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    return pipeline


@pytest.fixture
def fails(alone):
    """Run a program that must fail; return its only line of error."""

    def run(command, code):
        ended = alone(command)
        assert ended.code == code, ended.stderr
        [error] = ended.errors
        assert "Traceback" not in ended.stderr
        assert "exception" not in error or not error["exception"]
        assert "\n" not in error["message"]
        return error["message"]

    return run


def place(config):
    """Return how a message of the tap names the database."""
    return (
        f"database '{config['database']}' on {config['host']}:{config['port']} "
        f"as user '{config['user']}'"
    )


def test_wrong_password(source, fails):
    """The line names server and user, never the password."""
    source.tap["password"] = "open sesame"
    line = fails(source.tap_command(), CREDENTIALS)
    assert place(source.tap) in line
    assert "password authentication failed" in line
    assert "Check the settings user and password" in line
    assert "sesame" not in line


def test_unreachable_host(source, fails):
    """A server that does not answer may do so later."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        source.tap["port"] = taken.getsockname()[1]
        line = fails(source.tap_command(), TRY_LATER)
    assert place(source.tap) in line
    assert "refused" in line
    assert "Check host and port" in line


def test_unknown_host(source, fails):
    """A name that nobody knows may be a mistake, or a name server that is down."""
    source.tap["host"] = "db.invalid"
    line = fails(source.tap_command(), TRY_LATER)
    assert place(source.tap) in line
    assert "Check host and port" in line


def test_missing_database(source, fails):
    """A database that is not there is a setting to correct."""
    source.tap["database"] = "nowhere"
    line = fails(source.tap_command(), CONFIGURATION)
    assert 'database "nowhere" does not exist' in line
    assert "Check the setting database" in line


def test_missing_table(source, fails):
    """A catalog may name a table that is gone."""
    source.choose("public-orders")
    source.source.execute("DROP TABLE orders")
    line = fails(source.tap_command(), CONFIGURATION)
    assert "'public-orders'" in line
    assert place(source.tap) in line
    assert "Check" in line


def test_missing_column(source, fails):
    """A replication key may be gone, too."""
    source.choose("public-orders", key="updated_at")
    line = fails(source.tap_command(), CONFIGURATION)
    assert "'public-orders'" in line
    assert "'updated_at'" in line
    assert "replication-key" in line


def test_filter_schemas_that_match_nothing(source, fails):
    """The line says which schemas there are."""
    source.tap["filter_schemas"] = ["pubic"]
    line = fails(source.tap_command("--discover"), CONFIGURATION)
    assert "filter_schemas ['pubic']" in line
    assert place(source.tap) in line
    assert "public" in line.split("schemas:")[1]


@pytest.mark.parametrize(
    ("side", "wrong", "right"),
    [("tap", "filter_schema", "filter_schemas"), ("target", "warehose", "warehouse")],
)
def test_bad_setting_name(source, fails, side, wrong, right):
    """A name that no setting has comes with the one that was meant."""
    getattr(source, side)[wrong] = "x"
    line = fails(getattr(source, f"{side}_command")(), CONFIGURATION)
    assert f"'{wrong}'" in line
    assert f"Did you mean '{right}'?" in line
    assert "--about" in line


def test_bad_setting_value(source, fails):
    """A value that a setting does not take comes with those that it takes."""
    source.target["load_method"] = "merge"
    line = fails(source.target_command(), CONFIGURATION)
    assert "'load_method' must be one of: upsert or append-only or overwrite" in line


def test_settings_that_are_not_there(source, fails, tmp_path):
    """A file that does not exist is named."""
    missing = tmp_path / "nowhere.json"
    command = [source.tap_command()[0], "--config", missing]
    assert str(missing) in fails(command, CONFIGURATION)


@pytest.mark.parametrize("table_format", ["iceberg", "parquet"])
def test_unwritable_warehouse(source, table_format):
    """A warehouse where nothing can be written stops the target, not with a bug."""
    blocked = source.folder / "a-file"
    blocked.touch()
    source.source.execute("INSERT INTO orders SELECT generate_series(1, 10)")
    source.target |= {"warehouse": str(blocked / "lake"), "format": table_format}
    source.target["load_method"] = "overwrite"
    flow = source.flow()
    assert flow.target.code == CONFIGURATION, flow.target.stderr
    [error] = flow.target.errors
    assert str(blocked) in error["message"]
    assert "Check" in error["message"]
    assert "Traceback" not in flow.target.stderr + flow.tap.stderr
    assert flow.states == []


def test_unreachable_storage(source):
    """An S3 server that does not answer may do so later."""
    source.source.execute("INSERT INTO orders SELECT generate_series(1, 10)")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        source.target = {
            "warehouse": "s3://lake/x",
            "format": "parquet",
            "load_method": "overwrite",
            "storage_options": {
                "endpoint": endpoint,
                "access_key_id": "nobody",
                "secret_access_key": "open sesame",
                "region": "us-east-1",
            },
        }
        flow = source.flow()
    assert flow.target.code == TRY_LATER, flow.target.stderr
    [error] = flow.target.errors
    assert "s3://lake/x" in error["message"]
    assert "sesame" not in flow.target.stderr
    assert flow.states == []


def test_tap_that_fails_leaves_no_state(source):
    """The target hands on no bookmark of what the tap did not finish."""
    source.source.execute("INSERT INTO orders SELECT generate_series(1, 10)")
    source.tap["stream_options"] = {
        "public-orders": {"custom_where_clauses": ["1 / (id - 10) < 5"]}
    }
    flow = source.flow()
    assert flow.tap.code == CONFIGURATION
    [error] = flow.tap.errors
    assert "division by zero" in error["message"]
    assert "public-orders" in error["message"]
    assert not any(state["bookmarks"]["public-orders"] for state in flow.states)


def test_tap_that_fails_does_not_empty_a_table(source):
    """A table without key is replaced as a whole, so only by a whole one."""
    source.source.execute("CREATE TABLE log AS SELECT generate_series(1, 10) AS n")
    source.choose("public-log")
    source.run()
    source.tap["stream_options"] = {"public-log": {"custom_where_clauses": ["1/0 = 1"]}}
    flow = source.flow()
    assert (flow.tap.code, flow.target.code) == (CONFIGURATION, TRY_LATER)
    [error] = flow.target.errors
    assert "The input ended in the middle of public-log" in error["message"]
    assert source.rows("SELECT count(*) FROM lake.public_log") == [(10,)]


def test_debug_shows_where(source, alone):
    """Whoever asks for it gets the traceback, without the password."""
    source.tap["password"] = "open sesame"
    ended = alone(source.tap_command(), loglevel="debug")
    assert ended.code == CREDENTIALS
    [error] = ended.errors
    assert "client.py" in str(error["exception"])
    assert "sesame" not in ended.stderr
