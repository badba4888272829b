"""Secrets stay out of logs, and logs stay JSON."""

from __future__ import annotations

import base64
import io
import json
import logging
import sys
import threading

import pytest
from dativo_core import logs
from dativo_core.redaction import SecretFilter, secret_values
from hypothesis import given
from hypothesis import strategies as st

CANARY = 'ca"nary\\é'
SCHEMA = {
    "properties": {
        "password": {"secret": True},
        "token": {"writeOnly": True},
        "keys": {"secret": True},
        "port": {},
        "catalog": {"secret": True, "type": "object"},
        "storage": {"properties": {"known": {"secret": True}, "plain_token": {}}},
        "streams": {"additionalProperties": {"properties": {"key_properties": {}}}},
        "nested": {"additionalProperties": {"properties": {"pw": {"secret": True}}}},
    }
}
CONFIG = {
    "password": "hunter2!",
    "token": 123456,
    "keys": ["first-key", "2nd"],
    "port": 5432,
    "dsn": "postgresql://me:s3cr3t@host/db",
    "catalog": {
        "type": "rest",
        "uri": "http://u:pass-word@h",
        "s3.session-token": "session",
        "header.Authorization": "Bearer x",
        "deep": {"client_secret": "inner"},
        "s3.path-style-access": "true",
    },
    "storage": {
        "known": "known-value",
        "s3.secret-access-key": "s3key",
        "region": "eu",
    },
    "streams": {"x": {"key_properties": ["order_id"]}, "token": {"table": "not-me"}},
    "nested": {"a": {"pw": "in additional"}, "b": None},
}


def test_what_is_secret() -> None:
    """Marked settings, telling names beside them, passwords in URLs: nothing else."""
    expected = {"hunter2!", "123456", "first-key", "s3cr3t", "pass-word", "session"}
    expected |= {"Bearer x", "inner", "known-value", "s3key", "in additional"}
    assert expected == secret_values(CONFIG, SCHEMA)


SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=12)


@given(SECRETS, SECRETS)
def test_no_form_of_a_secret_survives(secret, around) -> None:
    """Masked text does not hold the secret, wherever it stood."""
    mask = SecretFilter([secret])
    for text in (secret, around + secret, f"{secret}{secret} {around}"):
        assert "***" in mask.mask(text)
    found = mask.mask_all({"a": [secret, 1, None, {"b": f"x{secret}"}]})
    assert "***" in found["a"][0]
    assert found["a"][1:3] == [1, None]


@pytest.mark.parametrize("user", ["", "a", "ab", "abc"])
def test_base64_beside_anything(user) -> None:
    """As in `Authorization: Basic`, where a name comes first."""
    secret = "correct horse"
    text = base64.b64encode(f"{user}:{secret}:more".encode()).decode()
    left = SecretFilter([secret]).mask(text)
    assert base64.b64encode(secret.encode()).decode()[4:-4] not in left
    assert "***" in left


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ('{"access_token": "ey123456", "x": 1}', '{"access_token": "***", "x": 1}'),
        ("client_secret=abcd1234&x=1", "client_secret=***&x=1"),
        ("Signature=0a1b2c3d4e5f", "Signature=***"),
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("the bearer of news", "the bearer of news"),
    ],
)
def test_what_nobody_told(said, left) -> None:
    """Tokens and passwords are known by where they stand, too."""
    assert SecretFilter().mask(said) == left


def test_a_secret_that_comes_later() -> None:
    """A token that was refreshed is masked from then on, short ones never."""
    mask = SecretFilter(["first-token"])
    assert mask.mask("second-token no") == "second-token no"
    mask.add(["second-token", "no"])
    assert mask.mask("second-token no") == "*** no"


@pytest.fixture
def stderr(monkeypatch):
    """Configure the logs with a secret, on a stderr that can be read."""
    for hook in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, getattr(sys, hook))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logs, "SECRETS", SecretFilter([CANARY, "info", "true"]))
    monkeypatch.setenv("LOGLEVEL", "debug")
    logs.configure("tap-x")
    yield stream
    root.handlers[:], root.level = before
    logging.captureWarnings(capture=False)


def test_log_lines_stay_json_without_the_secret(stderr) -> None:
    """Messages, arguments, extras and tracebacks are masked, keys are not."""
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("a.b").exception(
            "a %s", CANARY, extra={"more": {"x": CANARY}, "ok": True}
        )
    logging.getLogger("quiet").info("plain")
    text = stderr.getvalue()
    first, second = map(json.loads, text.splitlines())
    assert (
        first["message"],
        first["exception"]["message"],
        first["app_name"],
    ) == ("a ***", "***", "tap-x")
    assert first["extra"] == {"more": {"x": "***"}, "ok": True}
    assert (second["message"], second["level"]) == ("plain", "info")
    assert "nary" not in text
    assert logs.is_debug()


@pytest.mark.parametrize(
    ("env", "level"),
    [
        ({}, logging.INFO),
        ({"LOGLEVEL": "warning"}, logging.WARNING),
        ({"LOGLEVEL": "nonsense"}, logging.INFO),
        ({"LOGLEVEL": "error", "TAP_X_LOGLEVEL": "debug"}, logging.DEBUG),
    ],
)
def test_level(monkeypatch, env, level) -> None:
    """The plugin's own variable wins; nonsense means INFO."""
    for name in ("LOGLEVEL", "TAP_X_LOGLEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert level == logs._level("tap-x")


def test_a_broken_log_call_shows_no_argument(stderr) -> None:
    """Logging itself would print them."""
    logging.getLogger("x").error("%d is %s", *[CANARY])
    assert json.loads(stderr.getvalue())["message"] == "%d is %s"


def test_what_nobody_catches_is_masked(stderr) -> None:
    """In a thread, in the main one, and in a clean-up."""

    def fail():
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    sys.excepthook(ValueError, ValueError(CANARY), None)
    said = [json.loads(line)["message"] for line in stderr.getvalue().splitlines()]
    assert said == ["ValueError in a thread: ***", "ValueError in the main thread: ***"]
    assert "nary" not in stderr.getvalue()


def test_lines_for_people_are_masked(stderr, monkeypatch) -> None:
    """Their tracebacks, too."""
    monkeypatch.setattr(sys, "stderr", stderr)  # pytest has put its own back
    logs.configure_for_people()
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("a").exception("a %s", CANARY)
    assert stderr.getvalue().startswith("a ***\nTraceback")
    assert "nary" not in stderr.getvalue()


def test_orchestrator_config_wins(tmp_path, monkeypatch, stderr) -> None:
    """The log configuration that Meltano hands over is applied, in our format."""
    monkeypatch.setattr(sys, "stderr", stderr)
    file = tmp_path / "log.yaml"
    file.write_text("version: 1\nroot: {level: ERROR}\n")
    monkeypatch.setenv("SINGER_SDK_LOG_CONFIG", str(file))
    logs.configure("tap-x")
    logging.getLogger("x").warning("hidden")
    assert "hidden" not in stderr.getvalue()


def test_handlers_of_single_loggers_are_masked(tmp_path, monkeypatch, stderr) -> None:
    """A logging configuration may send some logs elsewhere, in its own format."""
    log, file = tmp_path / "own.log", tmp_path / "logging.yaml"
    own = {"class": "logging.FileHandler", "filename": str(log)}
    loggers = {"own": {"handlers": ["a"], "level": "INFO"}}
    chosen = {"version": 1, "handlers": {"a": own}, "loggers": loggers}
    file.write_text(json.dumps(chosen))
    monkeypatch.setenv("SINGER_SDK_LOG_CONFIG", str(file))
    logs.configure("tap-x")
    logs.SECRETS.add(["canary-of-one-logger"])
    logging.getLogger("own").info("it is canary-of-one-logger")
    logging.getLogger("own").handlers.pop().close()
    assert json.loads(log.read_text())["message"] == "it is ***"
    assert "canary" not in stderr.getvalue()


def test_percent_codes_in_small_letters() -> None:
    """Some servers spell them so."""
    masked = SecretFilter(["p@ss/wörd"]).mask("x=p%40ss%2fw%c3%b6rd&y=p%40ss/w%C3%B6rd")
    assert masked == "x=***&y=***"
