"""Tap and target die at random moments, and the table is still the source."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).with_name("chaos")
PATIENCE_SECONDS = 500
SEED = 7


# `nox -s chaos` kills a thousand times, and with the REST catalog too.
@pytest.mark.parametrize(
    ("catalog", "kills"),
    [
        ("sqlite", 24),
        ("parquet", 9),
        ("files", 12),
        pytest.param("rest", 6, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_and_nothing_comes_twice(catalog, kills, tmp_path, capfd):
    """SIGKILLs, two copies at once, lost state stores: 0 lost, 0 duplicate."""
    done = subprocess.run(
        [
            *(sys.executable, CHAOS, f"--kills={kills}", f"--catalog={catalog}"),
            f"--seed={SEED}",
            f"--keep={tmp_path / 'tables'}",
        ],
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    with capfd.disabled():
        sys.stdout.write(f"\nchaos, {catalog}: {done.stdout.splitlines()[-1:]}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    totals = json.loads(done.stdout.splitlines()[-1])
    assert totals["kills"] >= kills
    assert (totals["lost"], totals["duplicate"]) == (0, 0)
    assert totals["comparisons"] >= 4
