"""Signals and closed pipes at every moment: code, STATE and rows fit, always.

A cell is consistent if the run does not end with 0, every STATE that came out is
covered by the table, and the next run makes the table whole with no row twice.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from target_parquet_iceberg.catalogs import open_catalog

PROGRAMS = Path(sys.executable).parent
PATIENCE_SECONDS = 240
# Holds the target where it is told to, until the gate, a named pipe, is opened.
LAUNCH = """
import sys
from target_parquet_iceberg.data_files import DataFileWriter
from target_parquet_iceberg.snapshots import SnapshotWriter
from target_parquet_iceberg.__main__ import main
moment, gate = sys.argv[1:3]
del sys.argv[1:3]

def hold(kind, name):
    ordinary = getattr(kind, name)
    def held(self, *arguments):
        print('{"message": "held"}', file=sys.stderr, flush=True)
        open(gate).read()
        return ordinary(self, *arguments)
    setattr(kind, name, held)

if moment == "writing files":
    hold(DataFileWriter, "_write_window")
if moment == "committing":
    hold(SnapshotWriter, "send")
main()
"""
TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
HELD = ("writing files", "committing")
MOMENTS = ("idle", "reading", *HELD, "after commit")
SENT = {"TERM": [TERM], "INT": [INT], "INT twice": [INT, INT], "KILL": [KILL]}
CODES = {"TERM": 143, "INT": 130, "INT twice": 130, "KILL": 137, "PIPE": 75}
ALWAYS = {
    *(("TERM", moment) for moment in MOMENTS),
    ("INT twice", "committing"),
    ("PIPE", "committing"),
    ("KILL", "committing"),
}
CELLS = [
    pytest.param(how, moment, marks=() if (how, moment) in ALWAYS else pytest.mark.slow)
    for how in CODES
    for moment in MOMENTS
]
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
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, moment, self.gate, "--config", config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.folder / "spill")},
        )
        (self.folder / "spill").mkdir()
        getattr(self, f"_{moment.replace(' ', '_')}")()

    def _idle(self):
        self.hear("message")

    def _reading(self):
        # More than the pipe holds: when it is written, the target has read of it.
        self.write(line(HEAD) + rows(1, BULK, width=1000) + b'{"type": "REC')

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
        data = told + rows(begin + 1, WHOLE) + line(state(WHOLE))
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


@pytest.mark.parametrize(("how", "moment"), CELLS)
def test_signal_to_the_target(scene, how, moment):
    """No cell ends with 0, loses a row, or says more than the table holds."""
    scene.start(moment)
    if how == "PIPE":
        close_pipe(scene, moment)
    else:
        send(scene, how, moment)
    assert scene.end() == CODES[how], scene.said
    is_done = how in {"TERM", "INT", "PIPE"} if moment in HELD else how == "PIPE"
    is_stored = is_done or moment == "after commit"
    expected = list(range(1, FIRST + 1)) if is_stored else []
    if how == "PIPE" and moment in {"reading", "after commit"}:
        expected = list(range(1, (BULK if moment == "reading" else WHOLE) + 1))
    assert scene.numbers() == expected
    is_told = moment == "after commit" or (is_stored and how != "PIPE")
    assert scene.states == [state(FIRST)["value"]] * is_told
    if how != "KILL":
        assert b"Traceback" not in scene.said
        assert list((scene.folder / "spill").iterdir()) == []
    scene.completes()


def send(scene, how, moment):
    """Send the signals; a target that is held gets the next one when it noticed."""
    for number in SENT[how]:
        scene.process.send_signal(number)
        if moment in HELD and number != KILL:
            is_first = b"ends first" not in scene.said
            scene.hear("ends first" if is_first else "Stopped by")
    if moment in HELD and how in {"TERM", "INT"}:
        scene.release()


def close_pipe(scene, moment):
    """Let nobody read STATE any more, then let the target go on to its next one."""
    scene.process.stdout.close()
    if moment in HELD:
        scene.release()
    elif moment == "after commit":
        scene.write(rows(FIRST + 1, WHOLE) + line(state(WHOLE)))
    elif moment == "idle":
        scene.write(line(HEAD) + rows(1, FIRST) + line(state(FIRST)))
    else:
        # Ends the line that it is reading: one dead letter, and the rows are in.
        scene.write(b"\n" + line(state(BULK)))


STOPPED_TAP = [
    "TERM",
    "PIPE",
    *(
        pytest.param(how, marks=pytest.mark.slow)
        for how in ("INT", "INT twice", "KILL")
    ),
]


@pytest.mark.parametrize("method", ["append-only", "upsert", "overwrite"])
@pytest.mark.parametrize("how", STOPPED_TAP)
def test_signal_to_the_tap(pipeline, how, method):
    """The tap leaves with its code; the target knows that the stream was cut: 75."""
    pipeline.source.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, v text);"
        "INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n"
    )
    full = method == "overwrite"
    pipeline.choose("public-orders", key=None if full else "id")
    pipeline.target["load_method"] = method
    with subprocess.Popen(
        pipeline.tap_command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tap:
        said = b""
        while b'"STATE"' not in said:
            said += tap.stdout.readline()
        for number in SENT.get(how, []):
            tap.send_signal(number)
        # The rest of what is in the pipe, unless nobody reads it.
        said += b"" if how == "PIPE" else tap.stdout.read()
        tap.stdout.close()
        tap.stderr.read()
    code = tap.returncode
    assert (128 - code if code < 0 else code) == CODES[how]
    done = subprocess.run(
        pipeline.target_command(), input=said, check=False, capture_output=True
    )
    assert done.returncode == 75, done.stderr
    pipeline.run()
    check = "SELECT count(*), count(DISTINCT id) FROM lake.public_orders"
    assert pipeline.rows(check) == [(50_000, 50_000)]
