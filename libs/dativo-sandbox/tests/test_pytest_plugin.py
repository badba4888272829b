"""The fixtures cost nothing unless used, and never skip in silence."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t

import pytest

if t.TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("adbc_driver_manager", "pyarrow", "pyiceberg", "subprocess", "dativo_core")


def test_import_is_light() -> None:
    """Loading the plugin loads nothing beyond pytest itself."""
    code = (
        "import sys, pytest; before = set(sys.modules);"
        " import dativo_sandbox.pytest_plugin;"
        " print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not set(HEAVY) & set(loaded)


def test_missing_server_fails_with_the_reason(tmp_path: Path) -> None:
    """A test that cannot have its server fails and says what to do."""
    (tmp_path / "test_a.py").write_text("def test_a(database): pass")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "DATIVO_POSTGRES_BIN": "/nowhere"},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 error" in done.stdout
    reason = "This test needs postgres. There is no initdb in /nowhere. Correct"
    assert reason in done.stdout
