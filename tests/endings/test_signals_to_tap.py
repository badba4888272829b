"""Signals to tap-postgres, and its pipe closed, at every moment of a run."""

from __future__ import annotations

import contextlib
import json
import subprocess

import pytest
from endings.held import (
    PATIENCE_SECONDS,
    SENT,
    Held,
    assert_completes,
    assert_covered,
    cells,
    code,
    held_target,
    popen,
    stored,
)


@pytest.mark.parametrize("cell", cells("tap"))
def test_signal_to_the_tap(source, cell):
    """The tap leaves with its code; the target knows that the stream was cut: 75."""
    with Held(source, cell.moment) as held, contextlib.ExitStack() as running:
        tap = running.enter_context(
            popen(source.tap_command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        )
        target = running.enter_context(
            popen(
                held_target(source, cell.moment),
                stdin=tap.stdout,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        tap.stdout.close()
        held.reach(tap.stderr, target.stderr)
        for number in SENT.get(cell.how, []):
            tap.send_signal(number)
        if cell.how == "PIPE":
            target.kill()
            target.wait()
        elif cell.moment in {"idle", "reading"}:
            tap.wait(PATIENCE_SECONDS)
        held.release(is_dead=cell.how == "PIPE")
        states, said = target.communicate(timeout=PATIENCE_SECONDS)
        said += tap.communicate(timeout=PATIENCE_SECONDS)[1]
    assert (code(tap), code(target)) == cell.codes, said
    told = [json.loads(line_) for line_ in states.splitlines()]
    assert_covered(source, cell, told)
    source.state = told[-1] if told else None
    assert_completes(source)


@pytest.mark.parametrize("method", ["upsert", "overwrite"])
@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_what_a_cut_stream_leaves(source, how, method):
    """An upsert has what came, a full load is invisible; the next run is whole."""
    source.choose("public-orders", key=None if method == "overwrite" else "id")
    source.target["load_method"] = method
    with popen(
        source.tap_command(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tap:
        said = b""
        while said.count(b'"STATE"') < 2:  # the first covers nothing
            said += tap.stdout.read(2**16)
        [number] = SENT[how]
        tap.send_signal(number)
        said += tap.stdout.read()
    done = subprocess.run(
        source.target_command(), input=said, check=False, capture_output=True
    )
    assert done.returncode == 75, done.stderr
    count, distinct, _ = stored(source)
    assert count == distinct
    assert (count > 0) == (method == "upsert")
    assert_completes(source)
