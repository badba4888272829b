"""`make demo` does what it says, from beginning to end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROGRAMS
from dativo_sandbox import nycflights

PATIENCE_SECONDS = 600


def test_demo(project):
    """Every table arrives whole, the second run moves the changes, nothing stays."""
    done = subprocess.run(
        [sys.executable, "-m", "dativo_sandbox.demo"],
        cwd=project,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r"^  (\w+) +([\d,]+) +([\d,]+)$", done.stdout, re.MULTILINE)
    tables = {name: (source, lake) for name, source, lake in counts}
    assert tables["flights"] == ("336,776", "336,776")
    assert len(tables) == 5
    assert all(source == lake for source, lake in tables.values())
    assert 'replication_key: "updated_at"' in done.stdout
    assert "The second run moved 712 rows of flights." in done.stdout
    assert re.search(r"^ +712 +712 +0$", done.stdout, re.MULTILINE)
    check_stripe(done.stdout)
    port = re.search(r"on port (\d+)", done.stdout)[1]
    assert f"-p {port}" not in command_lines()


@pytest.mark.parametrize(
    ("server", "tap"), [("postgres", "tap-postgres"), ("mariadb", "tap-mysql")]
)
def test_sandbox_with_flights(server, tap, tmp_path):
    """What the command prints is all that the tap needs to find the five tables."""
    config = tmp_path / "tap.json"
    sandbox = [PROGRAMS / "dativo", "sandbox", server, "--flights"]
    with subprocess.Popen(sandbox, stdout=subprocess.PIPE, text=True) as process:
        config.write_text(process.stdout.readline())
        discover = [PROGRAMS / tap, "--config", config, "--discover"]
        done = subprocess.run(discover, check=False, capture_output=True, text=True)
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert done.returncode == 0, done.stderr
    found = {stream["table_name"] for stream in json.loads(done.stdout)["streams"]}
    assert found == set(nycflights.TABLES)


def check_stripe(shown):
    """Two failures cost two requests; one record of four thousand is a dead letter."""
    row = re.compile(r"^  (\w+) +([\d,]+) +([\d,]+) +(\d+)$", re.MULTILINE)
    found = [[int(n.replace(",", "")) for n in row[1:]] for row in row.findall(shown)]
    assert len(found) == 4
    assert all(source == lake + dead for source, lake, dead in found)
    assert sum(dead for _, _, dead in found) == 1
    assert re.search(r"^2 of \d+ requests were sent again", shown, re.MULTILINE)
    for path, status in (("charges", 429), ("invoices", 500)):
        assert re.search(rf"^  /v1/{path} +{status} ", shown, re.MULTILINE)
    listed = shown.partition("$ dativo dlq list")[2]
    assert re.search(r"^  charges +\S+ +cast +amount +.* 1$", listed, re.MULTILINE)


def command_lines():
    """Return the command lines of all processes, on Linux."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended
            continue
    return "\n".join(found)
