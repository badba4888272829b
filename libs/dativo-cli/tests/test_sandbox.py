"""`dativo sandbox` serves until it is told to stop, and then leaves nothing."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from dativo_sandbox.database import Database

DATIVO = Path(sys.executable).with_name("dativo")
PATIENCE_SECONDS = 60


def children(pid):
    """Return the ids of a process's children, on Linux."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_postgres_serves_until_a_signal(stop):
    """The printed settings reach a server, which is gone after the signal."""
    with subprocess.Popen(
        [DATIVO, "sandbox", "postgres"], stdout=subprocess.PIPE, text=True
    ) as process:
        config = json.loads(process.stdout.readline())
        words = ("host", "port", "user", "password")
        database = Database(*(config[word] for word in words), config["database"])
        assert database.query("SELECT 1") == [(1,)]
        servers = [os.pidfd_open(pid) for pid in children(process.pid)]
        assert servers
        process.send_signal(stop)
        assert process.wait(PATIENCE_SECONDS) == 0
    for server in servers:
        assert select.select([server], [], [], PATIENCE_SECONDS)[0]
        os.close(server)


def test_s3_prints_the_targets_settings():
    """The settings are those that target-dativo takes."""
    with subprocess.Popen(
        [DATIVO, "sandbox", "s3"], stdout=subprocess.PIPE, text=True
    ) as process:
        config = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert set(config) == {"warehouse", "catalog", "storage_options"}
    assert config["catalog"]["type"] == "rest"


def test_stripe_prints_the_taps_settings(tmp_path):
    """The printed key opens the printed URL, and faults come as scheduled."""
    schedule = tmp_path / "schedule.json"
    schedule.write_text('[{"action": "server_error", "nth": 2}]')
    options = ["--customers", "3", "--seed", "7", "--schedule", schedule]
    with subprocess.Popen(
        [DATIVO, "sandbox", "stripe", *options], stdout=subprocess.PIPE, text=True
    ) as process:
        config = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Bearer {config['api_key']}"}
        url = f"{config['api_url']}/v1/customers"
        first, second = (requests.get(url, headers=headers, timeout=60) for _ in "12")
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert len(first.json()["data"]) == 3
    assert second.status_code == 500


def test_an_impossible_fault_is_refused(tmp_path):
    """A rule that could never fire is an error, not silence."""
    schedule = tmp_path / "schedule.json"
    schedule.write_text('[{"action": "earthquake"}]')
    done = subprocess.run(
        [DATIVO, "sandbox", "stripe", "--schedule", schedule],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 78
    assert "There is no action 'earthquake'" in " ".join(done.stderr.split())
