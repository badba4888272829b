"""Signals to tap-postgres, and its pipe closed, at every moment of a run."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

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
from target_parquet_iceberg.catalogs import open_catalog

PROGRAMS = Path(sys.executable).parent


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


@pytest.fixture
def two(source):
    """A pipeline of two streams; the first is small, and read first."""
    source.source.execute("CREATE TABLE a AS SELECT 1 AS id")
    source.catalog = source.discover()
    assert [s["tap_stream_id"] for s in source.catalog["streams"]] == [
        "public-a",
        "public-orders",
    ]
    for entry in source.catalog["streams"]:
        [root] = [item for item in entry["metadata"] if not item["breadcrumb"]]
        root["metadata"]["selected"] = True
    del source.target["load_method"]
    return source


def test_a_tap_that_is_killed_between_two_streams(two):
    """Each STATE but the last names the stream that comes next."""
    whole = subprocess.run(two.tap_command(), check=True, capture_output=True).stdout
    lines = whole.splitlines(keepends=True)
    states = [n for n, said in enumerate(lines) if b'"type":"STATE"' in said]
    ends = [n for n in states if b'"currently_syncing":"public-a"' not in lines[n]]
    cut = b"".join(lines[: ends[0] + 1])
    assert b'"stream":"public-orders"' not in cut
    done = subprocess.run(
        two.target_command(), input=cut, check=False, capture_output=True
    )
    assert done.returncode == 75
    assert b"in the middle of public-orders" in done.stderr
    assert b"currently_syncing" not in lines[-1]


@pytest.mark.parametrize("tables", [1, 2])
def test_a_tap_that_is_killed_as_it_goes_on(two, tables):
    """The first STATE of a run, which says where it begins, names a stream too."""
    command = two.tap_command()
    first = subprocess.run(command, check=True, capture_output=True).stdout
    said = next(line for line in first.splitlines() if b'"full_table"' in line)
    two.state = json.loads(said)["value"]
    two.tap["parallel_tables"] = tables

    tap = subprocess.Popen(two.tap_command(), stdout=subprocess.PIPE)
    line = tap.stdout.readline()
    tap.kill()
    tap.communicate()
    done = subprocess.run(
        two.target_command(), input=line, check=False, capture_output=True
    )

    [begun] = json.loads(line)["value"]["bookmarks"].values()
    assert begun == two.state["bookmarks"]["public-orders"]
    assert done.returncode == 75
    assert b"in the middle of public-a" in done.stderr


FEEDS = {
    "exits 1": "exit 1",
    "is killed": "exec sh -c 'kill -9 $$'",
    "exits 0 early": "exit 0",
}


@pytest.mark.parametrize("how", FEEDS)
def test_a_foreign_tap_that_ends_early(tmp_path, how):
    """A tap that has sent STATE before is cut where it sends rows and no STATE."""
    head, more, end = (tmp_path / name for name in ("head", "more", "end"))
    schema = {"properties": {"id": {"type": "integer"}}}
    head.write_text(
        json.dumps(
            {"type": "SCHEMA", "stream": "s", "schema": schema, "key_properties": []}
        )
        + "\n"
        + json.dumps({"type": "RECORD", "stream": "s", "record": {"id": 1}})
        + "\n"
    )
    end.write_text(
        json.dumps({"type": "STATE", "value": {"bookmarks": {"s": {"id": 1}}}}) + "\n"
    )
    more.write_text(head.read_text().replace('"id": 1', '"id": 2'))
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"warehouse": str(tmp_path / "lake")}))

    def load(script):
        target = f"{PROGRAMS / 'target-dativo'} --config {config}"
        command = ["sh", "-c", f"(cd {tmp_path}; {script}) | {target}"]
        done = subprocess.run(command, check=False, capture_output=True)
        with open_catalog({"warehouse": str(tmp_path / "lake")}) as catalog:
            found = catalog.load_table(("lake", "s")).scan().to_arrow()["id"]
        return done.returncode, sorted(found.to_pylist())

    assert load("cat head end") == (0, [1])
    assert load(f"cat more; {FEEDS[how]}") == (75, [1])
    assert load("cat more end") == (0, [1, 2])


def test_a_tap_that_hangs(tmp_path):
    """Its rows are durable up to the last STATE, and SIGTERM ends target and tap."""
    config = tmp_path / "config.json"
    settings = {"warehouse": str(tmp_path / "lake"), "commit_interval_seconds": 0}
    config.write_text(json.dumps(settings))
    schema = {"properties": {"id": {"type": "integer"}}}
    said = [
        {"type": "SCHEMA", "stream": "s", "schema": schema, "key_properties": []},
        {"type": "RECORD", "stream": "s", "record": {"id": 1}},
        {"type": "STATE", "value": {"bookmarks": {"s": {"id": 1}}}},
        {"type": "RECORD", "stream": "s", "record": {"id": 2}},
    ]
    with popen(
        [PROGRAMS / "target-dativo", "--config", config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as target:
        target.stdin.write("\n".join(map(json.dumps, said)).encode() + b"\n")
        assert json.loads(target.stdout.readline()) == said[2]["value"]
        target.terminate()
        target.stderr.read()
    assert target.returncode == 143
    with open_catalog(settings) as catalog:
        found = catalog.load_table(("lake", "s")).scan().to_arrow()["id"]
    assert found.to_pylist() == [1]
