"""A tap that makes rows.

`generator.py MODE COUNT EVERY PHASE VERSION STATE [FOLDER]`

It tells its start state first, as taps of the SDK do, and sends a STATE after every
EVERY rows. A few records are bad. With a folder the rows before a STATE go into a
Parquet file there, and a BATCH names it, as those of tap-postgres do. Mode `versions`
makes full loads that go on after a cut, as tap-postgres.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from source import bad, row

STREAM = "t"
STAGING = sys.argv[7] if sys.argv[7:] else ""
waiting: list[t.Any] = []


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
        _send(row(mode, number, phase))
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
        _send(row("versions", number, phase), version=version)
        if (number + 1) % every == 0:
            marker = {"version": version, "next_row": number + 1, "phase": phase}
            _state({"full_table": marker})
    _file()
    _say("ACTIVATE_VERSION", stream=STREAM, version=version)
    _state({})


def _send(record: dict[str, t.Any], **more: t.Any) -> None:
    if STAGING:
        waiting.append(record)
    else:
        _say("RECORD", stream=STREAM, record=record, **more)


def _file() -> None:
    if not waiting:
        return
    import pyarrow as pa  # noqa: PLC0415 the other way starts without site-packages
    from dativo_core.arrow_types import file_schema  # noqa: PLC0415
    from dativo_core.batch_files import BatchConfig, BatchFiles  # noqa: PLC0415

    names = ["v", "id"] if "id" in waiting[0] else ["v"]
    schema = file_schema({name: {"type": ["integer", "null"]} for name in names})
    files = BatchFiles(BatchConfig(STAGING), schema)
    files.write(pa.RecordBatch.from_pylist(waiting, schema))
    waiting.clear()
    encoding = {"format": "parquet", "compression": "zstd"}
    _say("BATCH", stream=STREAM, encoding=encoding, manifest=[files.finish()])


def _refused(record: dict[str, t.Any] | None, **content: t.Any) -> None:
    if record is not None:
        _say("RECORD", stream=STREAM, record=record, **content)


def _state(bookmark: dict[str, t.Any]) -> None:
    _file()
    _say("STATE", value={"bookmarks": {STREAM: bookmark} if bookmark else {}})


def _say(kind: str, **content: t.Any) -> None:
    sys.stdout.write(json.dumps({"type": kind, **content}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _, name, *numbers, start = sys.argv[:7]
    main(name, *map(int, numbers), json.loads(start))
