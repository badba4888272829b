"""Secrets and personal data are in nothing that a run says or leaves but the table.

The programs run at DEBUG with every library's log on; servers repeat what they were
sent in their errors. All that comes out is searched for every spelling of the canaries.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dativo_core.redaction import spellings

PROGRAMS = Path(sys.executable).parent
PATIENCE_SECONDS = 240
# With all that escapes differently in URLs, JSON, Python and base64.
SECRET = 's3cr3t"c&n/ry?\\é%'
TOKEN = "eyJcanary.refreshed-Token_1234"
EMAIL = "canary.person@example.org"
PHONE = 4915112345678


class Echo(BaseHTTPRequestHandler):
    """Repeats requests in errors, as servers should not; it gives tokens, though."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode("utf8", "replace")
        if self.path.endswith("/oauth/tokens") and not self.server.is_strict:
            answer = {"access_token": TOKEN, "token_type": "bearer", "expires_in": 60}
            self._send(200, answer)
            return
        said = f"{self.path} {dict(self.headers)} {body}"
        error = {"message": said, "type": "ForbiddenException", "code": 403}
        described = {"error": "invalid_client", "error_description": said}
        is_token = self.path.endswith("/oauth/tokens")
        self._send(403, described if is_token else {"error": error})

    def _send(self, code: int, content: t.Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: t.Any) -> None:
        """Say nothing."""


@pytest.fixture
def echo():
    """A server that repeats what it is sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.is_strict = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def closed_port():
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def run(command: list[t.Any], **options: t.Any) -> subprocess.CompletedProcess:
    """Run a program at DEBUG to its end."""
    return subprocess.run(
        list(map(str, command)),
        env={**os.environ, "LOGLEVEL": "debug"},
        check=False,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        **options,
    )


def assert_silent(output: bytes, *canaries: str) -> None:
    """No spelling of a canary is in the bytes."""
    text = output.decode("utf8", "replace")
    for canary in canaries:
        for form in spellings(canary):
            at = text.find(form)
            assert at < 0, f"{form!r} in ...{text[max(0, at - 300) : at + 100]}"


def files_of(folder: Path) -> bytes:
    """Return all that lies in a folder, but the rows."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in found if path.suffix != ".parquet")


def test_the_check_finds_what_it_should() -> None:
    """A canary that is spelt in any of these ways is found."""
    basic = base64.b64encode(f"me:{SECRET}".encode())
    for said in (SECRET.encode(), json.dumps(SECRET).encode(), basic):
        with pytest.raises(AssertionError):
            assert_silent(b"... " + said + b" ...", SECRET)


def test_wrong_password_of_the_tap(pipeline) -> None:
    """Neither the tap's settings nor the server's answer show it."""
    pipeline.tap["password"] = SECRET
    done = run(pipeline.tap_command())
    assert done.returncode == 77
    assert b"DEBUG" in done.stderr.upper()
    assert_silent(done.stdout + done.stderr, SECRET)


@pytest.fixture
def people(pipeline):
    """A table of people, with a view that fails on one of them."""
    pipeline.source.execute(
        "CREATE TABLE people (phone bigint PRIMARY KEY, email text, age int);"
        f"INSERT INTO people VALUES ({PHONE}, '{EMAIL}', 41);"
        "CREATE VIEW broken AS SELECT phone, email::int AS age FROM people"
    )
    return pipeline


def test_rows_of_the_tap(people) -> None:
    """The log has neither values of rows nor those of bookmarks and conditions."""
    people.choose("public-people", key="phone")
    people.tap["stream_options"] = {
        "public-people": {"custom_where_clauses": [f"email = '{EMAIL}'"]}
    }
    for _ in range(2):  # the second run compares with the first one's bookmark
        done = run(people.tap_command())
        assert done.returncode == 0
        lines = done.stdout.splitlines()
        assert str(PHONE).encode() in done.stdout
        assert b"Reading Sql" in done.stderr or b"SELECT" in done.stderr
        assert_silent(done.stderr, EMAIL, str(PHONE), people.tap["password"])
        people.state = json.loads(lines[-1])["value"]
    assert str(PHONE) in json.dumps(people.state)


def test_a_row_in_the_error_of_a_server(people) -> None:
    """Postgres quotes the value on which a cast fails; the log does not."""
    people.choose("public-broken")
    done = run(people.tap_command())
    assert done.returncode == 78
    assert b"invalid input syntax for type integer" in done.stderr
    assert_silent(done.stderr, EMAIL)


def test_personal_data_in_dead_letters(pipeline) -> None:
    """They are masked at every stage, whatever is wrong with the record."""
    private = {"type": ["string", "null"], "x-pii": True}
    schema = {
        "properties": {
            "id": {"type": "integer"},
            "email": private,
            "sex": {**private, "enum": ["f", "m", None]},
            "at": {"type": ["string", "null"], "format": "date"},
            "home": {"type": "object", "properties": {"street": private}},
        },
        "required": ["id"],
    }
    head = {"type": "SCHEMA", "stream": "s", "schema": schema, "key_properties": ["id"]}
    bad = {**head, "stream": "bad", "key_properties": ["nowhere"]}
    records = [
        {"id": "x", "email": EMAIL},
        {"id": 1, "sex": EMAIL},
        {"id": 2, "email": EMAIL, "at": EMAIL},
        {"id": 3, "home": {"street": EMAIL}, "at": "x"},
        {"id": 4, "home": EMAIL},
        {"email": EMAIL},
        {"id": 5, "email": [EMAIL]},
    ]
    lines = [
        *map(json.dumps, (head, bad)),
        *(json.dumps({"type": "RECORD", "stream": "s", "record": r}) for r in records),
        json.dumps({"type": "RECORD", "stream": "bad", "record": {"email": EMAIL}}),
        f'{{"type": "RECORD", "stream": "s", "record": {{"email": "{EMAIL}"',
        f"INFO reading {EMAIL}",
        json.dumps({"type": "STATE", "value": {"bookmarks": {}}}),
    ]
    pipeline.target["storage_options"] = {"secret_access_key": SECRET}
    done = run(pipeline.target_command(), input="\n".join(lines).encode())
    assert done.returncode == 78, done.stderr
    letters = pipeline.dead_letters()
    assert len(letters) == len(records) + 3
    everything = done.stdout + done.stderr + files_of(pipeline.warehouse)
    # In a column without a mark it is what the source says that it is.
    unmarked = [letter for letter in letters if EMAIL in letter["record"]]
    assert [json.loads(letter["record"])["at"] for letter in unmarked] == [EMAIL]
    kept = json.dumps(EMAIL).encode()
    assert everything.count(kept[1:-1]) == 1
    assert_silent(everything, SECRET)


def settings_with_secrets(url: str, port: int) -> dict[str, dict[str, t.Any]]:
    """Return settings of the target whose servers fail, by name."""
    keys = {"access_key_id": f"id-{SECRET}", "secret_access_key": SECRET}
    keys |= {"session_token": f"session-{SECRET}", "region": "x"}
    s3 = {"warehouse": "s3://lake/x", "storage_options": {**keys, "endpoint": url}}
    rest = {"type": "rest", "uri": url, "warehouse": "x"}
    password = "s3cr3tc%26n%2Fry"
    return {
        "s3": {**s3, "format": "parquet"},
        "oauth": {"catalog": {**rest, "credential": f"me:{SECRET}"}},
        "token": {"catalog": {**rest, "token": SECRET}},
        "header": {"catalog": {**rest, "header.X-Api-Key": "plain-canary-key"}},
        "url": {"catalog": {**rest, "uri": url.replace("//", f"//me:{password}@")}},
        "sql": {
            "catalog": {
                "type": "sql",
                "uri": f"postgresql+psycopg2://me:{password}@127.0.0.1:{port}/x",
            }
        },
    }


@pytest.mark.parametrize(
    "name", ["s3", "oauth", "no oauth", "token", "header", "url", "sql"]
)
def test_servers_that_repeat_what_they_are_sent(
    tmp_path, echo, closed_port, name
) -> None:
    """Target and `dativo` fail, and show nothing of it at any level."""
    config = tmp_path / "config.json"
    settings = {"warehouse": str(tmp_path / "lake")}
    echo.is_strict = name == "no oauth"
    url = f"http://127.0.0.1:{echo.server_address[1]}"
    settings |= settings_with_secrets(url, closed_port)[name.removeprefix("no ")]
    config.write_text(json.dumps(settings))
    record = {"type": "RECORD", "stream": "s", "record": {"id": 1}}
    schema = {"properties": {"id": {"type": "integer"}}}
    head = {"type": "SCHEMA", "stream": "s", "schema": schema, "key_properties": ["id"]}
    state = {"type": "STATE", "value": {}}
    lines = "\n".join(map(json.dumps, (head, record, state))).encode()
    commands = (
        ["target-dativo"],
        ["dativo", "state", "show"],
        ["dativo", "doctor", "s"],
    )
    for program, *words in commands:
        command = [PROGRAMS / program, *words, "--config", config]
        done = run(command, input=lines)
        assert done.returncode not in {0, 1}, done.stderr
        assert_silent(
            done.stdout + done.stderr,
            *(SECRET, TOKEN, "s3cr3tc&n/ry", "s3cr3tc%26n%2Fry", "plain-canary-key"),
        )
