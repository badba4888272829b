"""Secrets stay out of logs, and logs stay JSON."""

from __future__ import annotations

import io
import json
import logging
import sys

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


@pytest.fixture
def stderr(monkeypatch):
    """Configure the logs with a secret, on a stderr that can be read."""
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


def test_orchestrator_config_wins(tmp_path, monkeypatch, stderr) -> None:
    """The log configuration that Meltano hands over is applied, in our format."""
    file = tmp_path / "log.yaml"
    file.write_text("version: 1\nroot: {level: ERROR}\n")
    monkeypatch.setenv("SINGER_SDK_LOG_CONFIG", str(file))
    logs.configure("tap-x")
    logging.getLogger("x").warning("hidden")
    assert "hidden" not in stderr.getvalue()
