"""A load of a database dies at random moments, goes on, and ends as the source is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).with_name("chaos") / "kills.py"
ROWS, CHUNK_ROWS, COMMIT_ROWS = 200_000, 5_000, 20_000
DEATHS, SEED = 6, 7
PATIENCE_SECONDS = 500


# `nox -s kills` loads ten million rows and kills fifty times.
@pytest.mark.parametrize("way", ["records", "files"])
@pytest.mark.parametrize("source", ["mariadb", "postgres"])
def test_what_a_kill_cuts_comes_again_and_nothing_else(source, way, record_property):
    """No row lost, none twice, and none read again that a STATE covers."""
    done = subprocess.run(
        [
            *(sys.executable, KILLS, f"--source={source}", f"--way={way}"),
            *(f"--rows={ROWS}", f"--kills={DEATHS}", f"--seed={SEED}"),
            *(f"--chunk-rows={CHUNK_ROWS}", f"--commit-rows={COMMIT_ROWS}"),
        ],
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *costs, totals = map(json.loads, done.stdout.splitlines())
    record_property("kills", totals)
    assert len(costs) == totals["kills"] == DEATHS
    assert all(cost["read_again"] <= cost["in_flight"] for cost in costs)
    # Not one row went through tap and target that is not counted here.
    assert totals["sent"] == ROWS + totals["read_again"]
    assert totals["rows_in_table"] == totals["distinct_keys"] == ROWS
    assert totals["other_values"] == 0
