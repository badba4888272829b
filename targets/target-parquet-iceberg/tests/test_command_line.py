"""The installed command: exit codes, one clear error line, no secrets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = Path(sysconfig.get_path("scripts")) / "target-dativo"
SECRET = 'canary"é\\s3cret'
SCHEMA = (
    b'{"type":"SCHEMA","stream":"s","key_properties":["id"],'
    b'"schema":{"properties":{"id":{"type":"integer"}}}}\n'
)
RECORD = b'{"type":"RECORD","stream":"s","record":{"id":1}}\n'
BAD = b'{"type":"RECORD","stream":"s","record":{"id":"x"}}\n'
STATE = b'{"type":"STATE","value":{"bookmarks":{"s":{"v":1}}}}\n'


@dataclass(frozen=True)
class Run:
    """What a process said."""

    code: int
    stdout: str
    stderr: str

    @property
    def logs(self) -> list[dict[str, t.Any]]:
        """Every line of stderr, which must be JSON."""
        return [json.loads(line) for line in self.stderr.splitlines()]

    @property
    def errors(self) -> list[str]:
        """The messages of level error."""
        return [line["message"] for line in self.logs if line["level"] == "error"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder, with a configuration of these settings."""
    monkeypatch.chdir(tmp_path)

    def run(data: bytes, *arguments: str, level: str = "INFO", **config: t.Any) -> Run:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        done = subprocess.run(
            [COMMAND, *(arguments or ("--config", str(file)))],
            input=data,
            capture_output=True,
            check=False,
            env={**os.environ, "LOGLEVEL": level},
        )
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def test_success(run) -> None:
    """Exit code 0, and nothing but STATE on stdout."""
    done = run(b"\xef\xbb\xbf" + SCHEMA + RECORD + STATE)
    assert (done.code, done.stdout) == (0, '{"bookmarks": {"s": {"v": 1}}}\n')
    assert done.errors == []
    assert "stored" in done.logs[-1]["message"]
    assert "FileIO" not in done.stderr


FAILURES = {
    "unknown setting": (78, {"load_methd": "x"}, SCHEMA, "Did you mean 'load_method'"),
    "unknown part": (78, {"dead_letter": {"paht": "x"}}, SCHEMA, "'dead_letter.path'"),
    "wrong type": (78, {"commit_max_rows": "x"}, SCHEMA, "must be of type integer"),
    "wrong choice": (78, {"format": "csv"}, SCHEMA, "one of: iceberg or parquet"),
    "too small": (78, {"commit_max_rows": 0}, SCHEMA, "at least 1"),
    "unwritable": (78, {"warehouse": "file/below"}, SCHEMA, "cannot be written"),
    "a file": (78, {"warehouse": "file"}, SCHEMA, "cannot be written"),
    "dead letters": (78, {"dead_letter": {"path": "file"}}, SCHEMA + BAD, "written"),
    "no catalog": (78, {"warehouse": "s3://b/p"}, SCHEMA, "has no catalog"),
    "batch": (78, {}, b'{"type":"BATCH","stream":"s"}\n', "a BATCH is refused"),
    "bad data": (65, {"dead_letter": {"max_records": 0}}, SCHEMA + BAD, "found str"),
    "cut": (
        75,
        {"load_method": "append-only"},
        SCHEMA + STATE + RECORD,
        "ended in the middle of s",
    ),
    "catalog down": (
        75,
        {"catalog": {"type": "rest", "uri": "http://127.0.0.1:9"}},
        SCHEMA,
        "Check the catalog's uri",
    ),
    "sqlite folder": (
        78,
        {"catalog": {"type": "sql", "uri": "sqlite:////nowhere/x.db"}},
        SCHEMA,
        "unable to open",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failure_is_one_line_and_a_code(run, failure, tmp_path) -> None:
    """A failure has its code and one line that says what to do, and no traceback."""
    code, config, data, text = FAILURES[failure]
    (tmp_path / "file").touch()
    done = run(data, **config)
    assert (code, 1) == (done.code, len(done.errors)), done.stderr
    assert text in done.errors[0]
    assert "Traceback" not in done.stderr
    assert "traceback" not in done.stderr


def test_debug_shows_where(run) -> None:
    """With LOGLEVEL=debug the error carries its traceback."""
    done = run(SCHEMA, level="debug", format="csv")
    (line,) = [line for line in done.logs if line["level"] == "error"]
    assert line["exception"]["type"] == "ConfigurationError"


def test_missing_and_broken_config_files(run, tmp_path) -> None:
    """A config that is not there or no JSON is a configuration error."""
    (tmp_path / "broken.json").write_text("{")
    for name in ("missing.json", "broken.json"):
        done = run(b"", "--config", name)
        assert (done.code, len(done.errors)) == (78, 1)
    assert run(b"", "--nonsense").code == 78


@pytest.fixture
def s3(seaweed):
    """Settings for plain Parquet in a bucket."""
    return {
        "warehouse": f"s3://{seaweed.bucket}/cli",
        "format": "parquet",
        "load_method": "append-only",
        "storage_options": seaweed.storage_options(),
    }


def test_s3_failures(run, s3) -> None:
    """Wrong keys are 77, a bucket that is not there 78, a dead endpoint 75."""
    keys = {**s3["storage_options"], "s3.secret-access-key": SECRET}
    done = run(SCHEMA + RECORD, **{**s3, "storage_options": keys}, level="debug")
    assert (done.code, len(done.errors)) == (77, 1), done.stderr
    assert SECRET not in done.stderr
    done = run(SCHEMA + RECORD, **{**s3, "warehouse": "s3://nowhere/x"})
    assert (done.code, len(done.errors)) == (78, 1), done.stderr
    dead = {**s3["storage_options"], "s3.endpoint": "http://127.0.0.1:9"}
    done = run(SCHEMA + RECORD, **{**s3, "storage_options": dead})
    assert (done.code, len(done.errors)) == (75, 1), done.stderr


def test_secrets_never_reach_the_log(run) -> None:
    """Not at debug level, not in tracebacks, not as part of a URL."""
    catalog = {
        "type": "rest",
        "uri": f"http://user:{SECRET.encode().hex()}@127.0.0.1:9",
        "credential": f"id:{SECRET}",
        "token": f"token-{SECRET}",
    }
    options = {"s3.session-token": f"session-{SECRET}", "secret_access_key": SECRET}
    done = run(SCHEMA, level="debug", catalog=catalog, storage_options=options)
    assert done.code == 75
    said = json.dumps(done.logs, ensure_ascii=False)
    for form in (SECRET, json.dumps(SECRET)[1:-1], SECRET.encode().hex(), "canary"):
        assert form not in said
        assert form not in done.stderr
    assert '"rest"' in said or "127.0.0.1" in said


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_signals_end_without_uncovered_state(tmp_path, number, code) -> None:
    """A stopped run says so, has the signal's code and emits no STATE for the rest."""
    with subprocess.Popen(
        [COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as process:
        process.stdin.write(SCHEMA + RECORD + STATE)
        process.stdin.flush()
        process.stderr.readline()
        process.send_signal(number)
        stdout, stderr = process.stdout.read(), process.stderr.read()
        assert (code, b"") == (process.wait(), stdout), stderr
    assert b"before the end" in stderr


def test_closed_output_is_no_success(tmp_path) -> None:
    """When nobody reads the STATE any more, the run ends with 75, without noise."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [COMMAND],
        input=SCHEMA + RECORD + STATE,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        cwd=tmp_path,
    )
    os.close(writer)
    assert done.returncode == 75
    assert b"closed the pipe" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("option", ["--about", "--version", "--help"])
def test_start_up_is_light(option) -> None:
    """What needs no data loads no data libraries."""
    code = (
        "import sys; from target_parquet_iceberg.__main__ import main\n"
        f"sys.argv = ['target-dativo', {option!r}]\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'pyarrow', 'pyiceberg', 'duckdb', 'sqlalchemy', 's3fs'}\n"
        "print(code, sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "0 []"
    assert done.stdout
