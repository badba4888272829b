"""Files that are private, names that are quoted, and folders that nobody made."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from dativo_core.dead_letters import LocalFolder
from dativo_core.scratch import Scratch
from tap_postgres.connection import PrivateFolder
from target_parquet_iceberg.stage import POSITION, Stage

TARGET = Path(sys.executable).parent / "target-dativo"


@pytest.fixture
def open_to_all():
    """A umask that leaves every file as it was made."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path):
    """Return the bits of access."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_to_all")
def test_dead_letters_are_for_their_owner(tmp_path):
    """Whatever the umask is, file and folders."""
    file = Path(LocalFolder(tmp_path / "dead").append("s/run.jsonl", b"{}\n"))
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert mode(tmp_path / "dead") == 0o700


@pytest.mark.usefixtures("open_to_all")
def test_spilled_rows_are_for_their_owner(tmp_path, monkeypatch):
    """They wait in a folder that nobody else can enter, and leave none behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scratch = Scratch()
    stage = Stage(scratch)
    stage.add(pa.table({"a": ["x" * 100], POSITION: [0]}))
    stage.spill()
    [folder] = tmp_path.iterdir()
    assert mode(folder) == 0o700
    assert list(folder.iterdir())
    stage.clear()
    assert list(folder.iterdir()) == []
    scratch.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("open_to_all")
def test_keys_of_the_tap_are_for_their_owner():
    """PEM text of the settings goes to a private file."""
    folder = PrivateFolder()
    file = folder.write("sslkey", "-----BEGIN")
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)


HOSTILE = 'a"; DROP TABLE b; --'


def test_identifiers_are_quoted(pipeline):
    """Tables and columns of any name are read, also where they are a key."""
    quoted = HOSTILE.replace('"', '""')
    pipeline.source.execute(
        "CREATE TABLE b (id int);"
        f'CREATE TABLE "{quoted}" ("{quoted}" int PRIMARY KEY);'
        f'INSERT INTO "{quoted}" VALUES (7)'
    )
    pipeline.choose(f"public-{HOSTILE}", key=HOSTILE)
    for _ in range(2):  # the second one compares with the bookmark
        flow = pipeline.run()
        assert [record[HOSTILE] for record in flow.records] in ([7], [])
    assert pipeline.source.query("SELECT count(*) FROM b") == [(0,)]
    [name] = [path.name for path in (pipeline.warehouse / "lake").iterdir()]
    assert name == "public_a_drop_table_b"


@pytest.mark.parametrize("table", ["../../x", "a/b", "", ".", "x" * 128, "a\0b", "a b"])
def test_a_table_cannot_leave_the_warehouse(tmp_path, table):
    """Neither by the name of a stream nor by that of the settings."""
    config = tmp_path / "config.json"
    home = tmp_path / "in/it"
    settings = {"warehouse": str(home), "streams": {"s": {"table": table}}}
    config.write_text(json.dumps(settings))
    schema = {"properties": {"id": {"type": "integer"}}}
    head = {"type": "SCHEMA", "stream": "s", "schema": schema, "key_properties": ["id"]}
    record = {"type": "RECORD", "stream": "s", "record": {"id": 1}}
    lines = "\n".join(map(json.dumps, (head, record, {"type": "STATE", "value": {}})))
    command = [TARGET, "--config", config]
    done = subprocess.run(
        command, input=lines.encode() + b"\n", check=False, capture_output=True
    )
    # No name at all means that of the stream.
    assert done.returncode == (78 if table else 0), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "in"}
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["it"]
