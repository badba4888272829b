"""A tap that makes rows: `generator.py MODE COUNT EVERY PHASE VERSION STATE`.

It tells its start state first, as taps of the SDK do, and sends a STATE after every
EVERY rows. A few records are bad. Mode `versions` makes full loads that go on after a
cut, as tap-postgres.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from source import bad, row

STREAM = "t"


def main(
    mode: str, count: int, every: int, phase: int, version: int, state: t.Any
) -> None:
    """Send everything that the state does not cover."""
    bookmark = state.get("bookmarks", {}).get(STREAM, {})
    _state(bookmark)
    keys = [] if mode == "keyless" else ["id"]
    names = ["v", *keys]
    schema = {"properties": {name: {"type": ["integer", "null"]} for name in names}}
    _say("SCHEMA", stream=STREAM, schema=schema, key_properties=keys)
    if mode == "versions":
        _full(count, every, phase, version, bookmark.get("full_table") or {})
        return
    reached = bookmark.get("replication_key_value", 0)
    # With keys the row at the bookmark comes again, as it does from most taps.
    for number in range(max(reached - 1, 0) if keys else reached, count):
        _refused(bad(mode, number, phase))
        _say("RECORD", stream=STREAM, record=row(mode, number, phase))
        if (number + 1) % every == 0 and number >= reached:
            _state({"replication_key": "n", "replication_key_value": number + 1})
    _state({"replication_key": "n", "replication_key_value": count})


def _full(
    count: int, every: int, phase: int, version: int, marker: dict[str, t.Any]
) -> None:
    next_row = 0
    if marker.get("phase") == phase:
        version, next_row = marker["version"], marker["next_row"]
    _say("ACTIVATE_VERSION", stream=STREAM, version=version)
    for number in range(max(next_row - 1, 0), count):
        _refused(bad("versions", number, phase), version=version)
        record = row("versions", number, phase)
        _say("RECORD", stream=STREAM, record=record, version=version)
        if (number + 1) % every == 0:
            marker = {"version": version, "next_row": number + 1, "phase": phase}
            _state({"full_table": marker})
    _say("ACTIVATE_VERSION", stream=STREAM, version=version)
    _state({})


def _refused(record: dict[str, t.Any] | None, **content: t.Any) -> None:
    if record is not None:
        _say("RECORD", stream=STREAM, record=record, **content)


def _state(bookmark: dict[str, t.Any]) -> None:
    _say("STATE", value={"bookmarks": {STREAM: bookmark} if bookmark else {}})


def _say(kind: str, **content: t.Any) -> None:
    sys.stdout.write(json.dumps({"type": kind, **content}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _, name, *numbers, start = sys.argv
    main(name, *map(int, numbers), json.loads(start))
