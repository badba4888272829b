"""`nox -s soak` counts what it sends and finds it; CI has no time for gigabytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).with_name("soak")
PATIENCE_SECONDS = 240


def test_a_little_of_it():
    """Every good row is stored, every bad one a dead letter; the peak is printed."""
    done = subprocess.run(
        [sys.executable, SOAK, "--gigabytes", "0.01"],
        capture_output=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["dead_letters"] == figures["bad"] == figures["rows"] // 100
    assert figures["stored"] + figures["bad"] == figures["rows"]
    assert figures["peak_mb"] > 0
