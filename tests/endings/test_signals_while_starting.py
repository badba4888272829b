"""Signals to programs that have not begun yet: their imports take a second."""

from __future__ import annotations

import subprocess
import sys

import pytest
from endings.held import INT, PATIENCE_SECONDS, TERM, code, hear, popen

PROGRAMS = [
    "tap_postgres",
    "tap_mysql",
    "tap_stripe",
    "target_parquet_iceberg",
    "dativo_cli",
]
# What a program needs of the SDK is the larger part of what it imports.
HELD = """
import runpy, signal, sys

class Held:
    def find_spec(self, name, path=None, target=None):
        if name == "singer_sdk":
            print("held", file=sys.stderr, flush=True)
            signal.pause()

sys.meta_path.insert(0, Held())
program = sys.argv.pop(1)
runpy.run_module(program, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("number", "wanted"), [(INT, 130), (TERM, 143)])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_signal_while_a_program_starts(program, number, wanted):
    """It leaves with its code, at once, and without a traceback."""
    command = [sys.executable, "-c", HELD, program, "--help"]
    with popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as starting:
        hear(starting.stderr, "held")
        starting.send_signal(number)
        said = starting.communicate(timeout=PATIENCE_SECONDS)

    assert (code(starting), *said) == (wanted, b"", b"")
