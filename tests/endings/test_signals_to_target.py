"""Signals and closed pipes at every moment of the target: code, STATE and rows fit.

The cells are those of `cells.py`. A cell is consistent if the run does not end with 0,
every STATE that came out is covered by the table, and the next run makes the table
whole with no row twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from endings import cells as matrix
from endings.held import HELD_TARGET, IN_COMMIT, KILL, PATIENCE_SECONDS, SENT, cells
from target_parquet_iceberg.catalogs import open_catalog

PROGRAMS = Path(sys.executable).parent
HEAD = {"type": "SCHEMA", "stream": "s", "key_properties": []} | {
    "schema": {"properties": {"id": {"type": "integer"}, "v": {"type": "string"}}}
}
FIRST, WHOLE = 3, 600
BULK = 400


def line(message):
    """Return a message as a line."""
    return json.dumps(message).encode() + b"\n"


def state(number):
    """Return the STATE behind a row."""
    return {"type": "STATE", "value": {"bookmarks": {"s": {"id": number}}}}


def rows(first, last, width=1):
    """Return lines of numbered rows."""
    numbers = range(first, last + 1)
    records = [{"id": number, "v": "x" * width} for number in numbers]
    return b"".join(
        line({"type": "RECORD", "stream": "s", "record": record}) for record in records
    )


@dataclass
class Scene:
    """A target that a test feeds, signals and reads."""

    folder: Path
    states: list[t.Any] = field(default_factory=list)
    said: bytes = b""
    width: int = 1

    def start(self, moment):
        """Start the target, and bring it to the moment."""
        config = self.folder / "config.json"
        settings = {
            "warehouse": str(self.folder / "lake"),
            "commit_interval_seconds": 0,
        }
        config.write_text(json.dumps({**settings, "load_method": "append-only"}))
        self.gate = self.folder / "gate"
        os.mkfifo(self.gate)
        (self.folder / "spill").mkdir()
        held = moment if moment in IN_COMMIT else "never"
        self.process = subprocess.Popen(
            [sys.executable, HELD_TARGET, held, self.gate, "--config", config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.folder / "spill")},
        )
        getattr(self, f"_{moment.replace(' ', '_')}")()

    def _idle(self):
        self.hear("message")

    def _reading(self):
        # More than the pipe holds: when it is written, the target has read of it.
        self.width = 1000
        self.write(line(HEAD) + rows(1, BULK, self.width) + b'{"type": "REC')

    def _writing_files(self):
        self.write(line(HEAD) + rows(1, FIRST) + line(state(FIRST)))
        self.hear("held")

    _committing = _writing_files

    def _after_commit(self):
        self.write(line(HEAD) + rows(1, FIRST) + line(state(FIRST)))
        self.states.append(json.loads(self.process.stdout.readline()))

    def write(self, data):
        """Send all of it to the target."""
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    def hear(self, word):
        """Read the log up to a line with this word."""
        while True:
            said = self.process.stderr.readline()
            assert said, self.said
            self.said += said
            if word.encode() in said:
                return

    def release(self):
        """Let a target that is held go on."""
        self.gate.open("w").close()

    def end(self):
        """Return the exit code as a shell would, and take all that was said."""
        if not self.process.stdout.closed:
            self.states += map(json.loads, self.process.stdout.read().splitlines())
        self.said += self.process.stderr.read()
        code = self.process.wait(PATIENCE_SECONDS)
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        return 128 - code if code < 0 else code

    def numbers(self):
        """Return the rows of the table."""
        with open_catalog({"warehouse": str(self.folder / "lake")}) as catalog:
            if not catalog.table_exists(("lake", "s")):
                return []
            found = catalog.load_table(("lake", "s")).scan().to_arrow()
            return sorted(found["id"].to_pylist())

    def completes(self):
        """Load what is missing from the last STATE on; every row is there once."""
        value = self.states[-1] if self.states else {}
        begin = value.get("bookmarks", {}).get("s", {}).get("id", 0)
        told = line({"type": "STATE", "value": value}) + line(HEAD)
        data = told + rows(begin + 1, WHOLE, self.width) + line(state(WHOLE))
        command = [PROGRAMS / "target-dativo", "--config", self.folder / "config.json"]
        done = subprocess.run(command, input=data, check=False, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert self.numbers() == list(range(1, WHOLE + 1))


@pytest.fixture
def scene(tmp_path):
    """A target that has not started, in a folder of its own."""
    scene = Scene(tmp_path)
    yield scene
    if scene.process.poll() is None:
        scene.process.kill()
        scene.end()


@pytest.mark.parametrize("cell", cells("target"))
def test_signal_to_the_target(scene, cell):
    """No cell ends with 0, loses a row, or says more than the table holds."""
    scene.start(cell.moment)
    {"PIPE": close_output, "EOF": close_input}.get(cell.how, send)(scene, cell)
    assert (scene.end(),) == cell.codes, scene.said
    assert_rows(scene, cell)
    if cell.how != "KILL":
        assert b"Traceback" not in scene.said
        assert list((scene.folder / "spill").iterdir()) == []
    scene.completes()


def assert_rows(scene, cell):
    """Compare the table and the STATEs with the cell."""
    last = FIRST
    if cell.how == "PIPE" and cell.moment in {"reading", "after commit"}:
        last = BULK if cell.moment == "reading" else WHOLE
    is_stored = cell.rows == "covered"
    assert scene.numbers() == (list(range(1, last + 1)) if is_stored else [])
    is_told = cell.moment == "after commit" or (is_stored and cell.how != "PIPE")
    assert scene.states == [state(FIRST)["value"]] * is_told


def send(scene, cell):
    """Send the signals; a target that is held gets the next one when it noticed."""
    for number in SENT[cell.how]:
        scene.process.send_signal(number)
        if cell.moment in IN_COMMIT and number != KILL:
            is_first = b"ends first" not in scene.said
            scene.hear("ends first" if is_first else "Stopped by")
    if cell.moment in IN_COMMIT and cell.how in {"TERM", "INT"}:
        scene.release()


def close_output(scene, cell):
    """Let nobody read STATE any more, then let the target go on to its next one."""
    scene.process.stdout.close()
    if cell.moment in IN_COMMIT:
        scene.release()
    elif cell.moment == "after commit":
        scene.write(rows(FIRST + 1, WHOLE) + line(state(WHOLE)))
    elif cell.moment == "idle":
        scene.write(line(HEAD) + rows(1, FIRST) + line(state(FIRST)))
    else:
        # Ends the line that it is reading: one dead letter, and the rows are in.
        scene.write(b"\n" + line(state(BULK)))


def close_input(scene, cell):
    """End the input; behind the last STATE, if there was one, are more rows."""
    if cell.moment not in {"idle", "reading"}:
        scene.write(rows(FIRST + 1, FIRST + 2))
    scene.process.stdin.close()
    if cell.moment in IN_COMMIT:
        scene.release()


def test_no_cell_is_green():
    """Every signal at every moment has an outcome, and none of them is success."""
    assert len(matrix.CELLS) == len({cell.name for cell in matrix.CELLS}) == 75
    assert all(0 not in cell.codes for cell in matrix.CELLS)
