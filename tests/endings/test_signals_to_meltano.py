"""Signals to `meltano run` at every moment of its plugins."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
from endings.held import (
    IN_COMMIT,
    INT,
    PATIENCE_SECONDS,
    ROWS,
    SENT,
    Held,
    cells,
    code,
    hear,
    held_target,
    popen,
    reached_by,
    stored,
)

PROGRAMS = Path(sys.executable).parent


@dataclass
class Project:
    """`meltano run tap-postgres target-dativo`, its target held at a moment."""

    source: t.Any
    moment: str

    def __post_init__(self):
        """Write a project that installs nothing."""
        self.folder = self.source.folder / "project"
        self.folder.mkdir()
        self.alive = self.folder / "alive"
        os.mkfifo(self.alive)
        self.write(self.moment)

    def write(self, moment):
        """Write the project file; both plugins hold the pipe `alive` open."""
        command = held_target(self.source, moment)
        target = self.script("target", command[: command.index("--config")])
        tap = self.script("tap", [PROGRAMS / "tap-postgres"])
        catalog = self.source.write("catalog.json", self.source.catalog)
        loader = plugin("target-dativo", target, self.source.target)
        extractor = plugin("tap-postgres", tap, self.source.tap)
        extractor |= {
            "catalog": str(catalog),
            "capabilities": ["catalog", "discover", "state"],
        }
        plugins = {"extractors": [extractor], "loaders": [loader]}
        project = {"environments": [{"name": "dev"}], "default_environment": "dev"}
        text = json.dumps({"project_id": "x", **project, "plugins": plugins})
        (self.folder / "meltano.yml").write_text(text)

    def script(self, name, command):
        """Write a program that becomes the command."""
        path = self.folder / name
        words = shlex.join(map(str, command))
        path.write_text(f'#!/bin/sh\nexec 9>{self.alive}\nexec {words} "$@"\n')
        path.chmod(0o700)
        return path

    def command(self, *options):
        """Return a command of Meltano, and how to start it."""
        environment = {
            **os.environ,
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "NO_COLOR": "1",
        }
        settings = {"cwd": self.folder, "env": environment}
        return [PROGRAMS / "meltano", *options], settings

    def start(self):
        """Start the run, in a group of its own as a terminal does."""
        command, settings = self.command("run", *PLUGINS)
        return popen(
            command,
            **settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def ask(self, *options):
        """Run a command to its end, which must be a good one."""
        command, settings = self.command(*options)
        with self.reading():
            done = subprocess.run(
                command,
                **settings,
                check=False,
                capture_output=True,
                timeout=PATIENCE_SECONDS,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def reading(self):
        """Let the plugins open the pipe `alive`; yield what ends when they have."""
        with os.fdopen(os.open(self.alive, os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:
            os.set_blocking(pipe.fileno(), True)
            yield pipe


PLUGINS = ("tap-postgres", "target-dativo")


def plugin(name, executable, config):
    """Return the definition of a plugin that is not installed."""
    settings = [{"name": n, "kind": _kind(value)} for n, value in config.items()]
    return {
        "name": name,
        "namespace": name.replace("-", "_"),
        "executable": str(executable),
        "settings": settings,
        "config": config,
    }


def _kind(value):
    return "integer" if isinstance(value, int) else "string"


@pytest.mark.parametrize("cell", cells("meltano"))
def test_signal_to_meltano(source, cell):
    """Meltano does not end with 0, and the next run makes the table whole."""
    with Held(source, cell.moment) as held:
        project = Project(source, cell.moment)
        with project.reading() as alive, project.start() as meltano:
            held.reach(meltano.stderr, meltano.stderr)
            for number, word in told_by(cell):
                if cell.how == "KILL":
                    meltano.kill()
                else:
                    # Ctrl-C is for all of a terminal, SIGTERM for who was started.
                    group = os.killpg if number == INT else os.kill
                    group(meltano.pid, number)
                if word:
                    hear(meltano.stderr, word)
            is_dead = cell.how == "INT twice" or cell.moment == "after commit"
            held.release(is_dead=is_dead and cell.how != "KILL")
            said = meltano.stderr.read()
            meltano.wait(PATIENCE_SECONDS)
            alive.read()
    assert (code(meltano),) == cell.codes, said
    count, distinct, _ = stored(source)
    assert (count > 0) == (cell.rows == "covered")
    assert count == distinct
    project.write("never")
    state_id = "dev:tap-postgres-to-target-dativo"
    told = json.loads(project.ask("state", "get", state_id))
    # A target whose Meltano is killed may still commit what it has read.
    assert reached_by(told.get("singer_state", {})) <= count
    project.ask("run", "--force", *PLUGINS)
    assert stored(source) == (ROWS, ROWS, ROWS)


def told_by(cell):
    """Return the signals, and what the target says when it has heard it."""
    is_said = cell.moment in IN_COMMIT and cell.how != "KILL"
    # Meltano does not live to repeat what follows a second Ctrl-C.
    words = ("ends first", "") if is_said else ("", "")
    return zip(SENT[cell.how], words, strict=False)
