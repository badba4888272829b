"""The parts of the demo that need no server; tests/test_demo.py runs it whole."""

from __future__ import annotations

import typing as t

import pytest
from dativo_sandbox import demo, demo_stripe, stage
from dativo_sandbox.database import Database

if t.TYPE_CHECKING:
    from pathlib import Path

SOURCE = Database("127.0.0.1", 5, "postgres", "secret", "flights")


def test_numbers_stand_right_and_texts_left() -> None:
    """A table is read at a glance."""
    shown = stage.table(("airline", "flights"), [("United", 58665), ("Sky", 32)])
    assert shown.splitlines() == [
        "  airline  flights",
        "  United    58,665",
        "  Sky           32",
    ]


def test_meltano_gets_the_source_and_leaves_the_project_alone() -> None:
    """Settings and state come from the environment, not from the user's project."""
    environment = stage.as_environment("tap-postgres", SOURCE.tap_config())
    assert environment["TAP_POSTGRES_PORT"] == "5"
    assert environment["TAP_POSTGRES_SSL_MODE"] == "disable"
    assert stage.ours()["MELTANO_DATABASE_URI"].endswith(".dativo/demo/meltano.db")


def test_what_moved_is_what_the_target_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figure is read from the log of the last run."""
    monkeypatch.setattr(stage, "LOG", tmp_path / "meltano.log")
    line = "target-dativo Stream 'public-flights': 712 records read, 712 stored"
    (tmp_path / "meltano.log").write_text(f"one\n{line} in public_flights\n")
    assert demo.moved_by_last_run() == "The second run moved 712 rows of flights."


def test_a_failing_command_shows_its_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever sees the demo fail sees why."""
    program = tmp_path / "meltano"
    program.write_text("#!/bin/sh\necho No such plugin; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(stage, "LOG", tmp_path / "meltano.log")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(SystemExit, match="meltano install ended with 3"):
        stage.meltano({}, "install")
    assert "No such plugin" in capsys.readouterr().out


def test_retries_are_told_in_one_line_each(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was asked and answered, the pause, the rule: from the log of the tap."""
    log = tmp_path / "meltano.log"
    log.write_text(
        "2026-11-26T12:00:00Z [warning ] tap-stripe GET http://127.0.0.1:5/v1/charges "
        "answered 429 (rate_limit): Request rate limit exceeded. Attempt 1; the next "
        "one is in 1.1 seconds (stripe_rate_limit).\n"
        "2026-11-26T12:00:01Z [info ] Nothing to tell of.\n"
    )
    monkeypatch.setattr(stage, "LOG", log)
    demo_stripe.show_retries(93)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "1 of 93 requests were sent again, as the tap tells:",
        "",
        "  path         answer  pause s  rule",
        "  /v1/charges  429     1.1      stripe_rate_limit",
    ]
