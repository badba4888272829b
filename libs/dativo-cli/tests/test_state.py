"""`dativo state show` reads what the target committed, or says that it is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DATIVO = Path(sys.executable).with_name("dativo")
TARGET = Path(sys.executable).with_name("target-dativo")
BOOKMARK = {"replication_key": "id", "replication_key_value": 2}
MESSAGES = [
    {
        "type": "SCHEMA",
        "stream": "shop-orders",
        "schema": {"properties": {"id": {"type": "integer"}}},
        "key_properties": ["id"],
    },
    {"type": "RECORD", "stream": "shop-orders", "record": {"id": 2}},
    {"type": "STATE", "value": {"bookmarks": {"shop-orders": BOOKMARK}}},
]


def dativo(*arguments):
    """Run the command to its end."""
    command = [DATIVO, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """A warehouse with one table and its bookmark."""
    folder = tmp_path_factory.mktemp("state")
    config = folder / "target.json"
    config.write_text(json.dumps({"warehouse": str(folder / "lake")}))
    lines = "\n".join(map(json.dumps, MESSAGES))
    subprocess.run(
        [TARGET, "--config", config], input=lines.encode(), check=True, timeout=60
    )
    return folder / "lake"


def test_help_names_every_command():
    """Somebody who knows nothing finds the way."""
    done = dativo("--help")
    assert done.returncode == 0
    assert {"state", "dlq", "sandbox"} <= set(done.stdout.split())


def test_version():
    """The version is that of the package."""
    assert dativo("--version").stdout.startswith("dativo 0.")


def test_state_is_what_the_target_committed(warehouse):
    """The output is a Singer state that a tap accepts."""
    shown = dativo("state", "show", "--warehouse", warehouse)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout) == {"bookmarks": {"shop-orders": BOOKMARK}}


def test_settings_of_the_target_will_do(warehouse):
    """Whoever has a settings file need not repeat it."""
    shown = dativo("state", "show", "--config", warehouse.parent / "target.json")
    assert json.loads(shown.stdout) == {"bookmarks": {"shop-orders": BOOKMARK}}


def test_one_stream(warehouse):
    """A stream that has a bookmark is shown alone."""
    shown = dativo("state", "show", "--warehouse", warehouse, "--stream", "shop-orders")
    assert list(json.loads(shown.stdout)["bookmarks"]) == ["shop-orders"]


def test_a_warehouse_without_tables_has_no_state(tmp_path):
    """Nothing is an answer."""
    shown = dativo("state", "show", "--warehouse", tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout) == {"bookmarks": {}}


def test_a_warehouse_that_is_not_there_is_a_plain_line(tmp_path):
    """A mistyped name is told, and does not make a folder."""
    shown = dativo("state", "show", "--warehouse", tmp_path / "none")
    assert shown.returncode == 78
    assert shown.stderr == (
        f"There is no warehouse at {tmp_path / 'none'}. "
        "Name it with --warehouse or --config.\n"
    )
    assert not (tmp_path / "none").exists()


def test_an_unknown_stream_is_a_plain_line(warehouse):
    """The line says which streams there are; the code says who must act."""
    shown = dativo("state", "show", "--warehouse", warehouse, "--stream", "orders")
    assert shown.returncode == 78
    assert shown.stdout == ""
    assert shown.stderr == (
        "No table holds a bookmark of stream 'orders'. "
        "Streams with a bookmark: shop-orders.\n"
    )


def test_a_wrong_option_is_a_plain_line():
    """Mistakes on the command line are configuration, too."""
    shown = dativo("state", "show", "--warehous", "x")
    assert shown.returncode == 78
    assert len(shown.stderr.splitlines()) == 1
