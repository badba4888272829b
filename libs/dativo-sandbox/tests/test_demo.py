"""The parts of the demo that need no server; tests/test_demo.py runs it whole."""

from __future__ import annotations

import typing as t

import pytest
from dativo_sandbox import demo
from dativo_sandbox.database import Database

if t.TYPE_CHECKING:
    from pathlib import Path

SOURCE = Database("127.0.0.1", 5, "postgres", "secret", "flights")


def test_numbers_stand_right_and_texts_left() -> None:
    """A table is read at a glance."""
    shown = demo.table(("airline", "flights"), [("United", 58665), ("Sky", 32)])
    assert shown.splitlines() == [
        "  airline  flights",
        "  United    58,665",
        "  Sky           32",
    ]


def test_meltano_gets_the_source_and_leaves_the_project_alone() -> None:
    """Settings and state come from the environment, not from the user's project."""
    environment = demo.environment(SOURCE)
    assert environment["TAP_POSTGRES_PORT"] == "5"
    assert environment["TAP_POSTGRES_SSL_MODE"] == "disable"
    assert environment["MELTANO_DATABASE_URI"].endswith(".dativo/demo/meltano.db")


def test_what_moved_is_what_the_target_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figure is read from the log of the last run."""
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
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
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(SystemExit, match="meltano install ended with 3"):
        demo.meltano(SOURCE, "install")
    assert "No such plugin" in capsys.readouterr().out
