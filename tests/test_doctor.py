"""`dativo doctor tap-...`: what about a source will hurt, and what to paste."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner
from dativo_cli.doctor import doctor
from dativo_core.entrypoint import explain
from dativo_core.errors import ExitCode

TAPS = {"tap-postgres": "database", "tap-mysql": "mariadb"}


def ended(arguments):
    """Run the command; return its code, and all that it said."""
    done = CliRunner().invoke(doctor, list(map(str, arguments)))
    error = explain(done.exception) if done.exit_code else None
    code = done.exit_code if error is None else error.exit_code
    return code, f"{done.output}{error or ''}"


@pytest.fixture(params=TAPS)
def tap(request):
    """The name of a tap."""
    return request.param


@pytest.fixture
def server(request, tap):
    """The database that it reads."""
    return request.getfixturevalue(TAPS[tap])


@pytest.fixture
def examine(tap, server, tmp_path):
    """Examine the source; return the exit code, and what was said."""

    def run(*options, **settings):
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**server.tap_config(), **settings}))
        return ended([tap, "--config", path, *options])

    return run


@pytest.fixture
def reader(tap, server):
    """The settings of a user who may read a table of two."""
    server.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, at timestamp NOT NULL); "
        "CREATE TABLE hidden (id int PRIMARY KEY)"
    )
    if tap == "tap-postgres":
        server.execute("CREATE ROLE doctored LOGIN PASSWORD 'secret'")
        server.execute("GRANT SELECT ON orders TO doctored")
        server.execute("ALTER ROLE doctored SET statement_timeout = '1min'")
        yield {"user": "doctored", "password": "secret"}
        server.execute("DROP OWNED BY doctored; DROP ROLE doctored")
        return
    [[packet]] = server.query("SELECT @@GLOBAL.max_allowed_packet")
    server.execute(
        "CREATE USER doctored IDENTIFIED BY 'secret'; "
        "GRANT SELECT ON orders TO doctored; GRANT INSERT ON hidden TO doctored; "
        "SET GLOBAL max_allowed_packet = 1048576"
    )
    yield {"user": "doctored", "password": "secret"}
    server.execute(f"DROP USER doctored; SET GLOBAL max_allowed_packet = {packet}")


def test_what_is_said_can_be_pasted(server, examine, reader):
    """Each complaint has its statements; after them the doctor is content."""
    code, said = examine(**reader)

    assert code == 0
    assert re.search(r"^server           (PostgreSQL|MariaDB) \d+", said)
    assert re.search(r"^user             doctored", said, re.MULTILINE)
    assert "1 readable (0 views), 1 not readable" in said
    assert said.count("\n! ") == 3
    statements = re.findall(r"^  (.*;)$", said, re.MULTILINE)
    assert len(statements) == 3
    for statement in statements:
        server.execute(statement)

    code, said = examine(**reader)
    assert code == 0
    assert "!" not in said
    assert said.endswith(
        "2 readable (0 views), 0 not readable\nThe source is in good shape.\n"
    )


def test_a_catalog_says_what_matters(tap, server, examine, reader, tmp_path):
    """What it does not select is not complained of; what it reads by is."""
    stream = {"tap-postgres": "public-orders", "tap-mysql": f"{server.name}-orders"}
    entry = {
        "tap_stream_id": stream[tap],
        "stream": stream[tap],
        "replication_method": "INCREMENTAL",
        "replication_key": "at",
        "schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
    }
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"streams": [entry]}))

    code, said = examine("--catalog", path, **reader)

    assert code == 0
    assert "-hidden" not in said
    assert f"! Table {stream[tap]} without an index that begins with" in said


def test_settings_may_be_in_the_environment(tap, server, monkeypatch):
    """As Meltano puts them there."""
    server.execute("CREATE TABLE t (id int PRIMARY KEY)")
    prefix = tap.upper().replace("-", "_")
    for name, value in server.tap_config().items():
        monkeypatch.setenv(f"{prefix}_{name.upper()}", str(value))

    code, said = ended([tap])

    assert code == 0
    assert "tables           1 readable (0 views), 0 not readable" in said


def test_a_source_that_cannot_be_asked_ends_as_the_tap_does(tap, examine, tmp_path):
    """The code says who should act."""
    for settings, expected in (
        ({"password": "open sesame"}, ExitCode.CREDENTIALS),
        ({"port": 1}, ExitCode.TRY_LATER),
        ({"database": "no_such_one"}, ExitCode.CONFIGURATION),
        ({"port": "many"}, ExitCode.CONFIGURATION),
    ):
        code, said = examine(**settings)
        assert (code, "sesame" in said) == (expected, False), said
    path = tmp_path / "list.json"
    path.write_text("[]")
    code, said = ended([tap, "--config", path])
    assert code == ExitCode.CONFIGURATION
    assert "list.json holds no JSON object" in said


def test_other_taps_are_asked_by_themselves():
    """An API has no settings or grants of this kind."""
    code, said = ended(["tap-stripe"])

    assert code == ExitCode.CONFIGURATION
    assert "tap-stripe --config ... --test" in said
