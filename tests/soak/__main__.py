"""`python tests/soak --gigabytes 10`: many RECORD lines, some bad, in flat memory.

It sends lines to `target-dativo`, prints the target's memory after each gigabyte, and
checks at the end that every good row is in the table and every bad one a dead letter.
The peak at the end is that of maintenance, which rewrites small files.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import typing as t
from pathlib import Path
from tempfile import TemporaryDirectory

TARGET = Path(sys.executable).parent / "target-dativo"
GIGABYTE = 10**9
BLOCK_ROWS = 1000
STATE_ROWS = 100_000
BAD_EVERY = 100  # one percent
SETTLED, GROWTH = 2, 1.25
TEXTS = [format(n * 2**1400 // 997, "x") for n in range(1, 998)]
SCHEMA = {
    "id": {"type": "integer"},
    "amount": {"type": ["number", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "note": {"type": ["string", "null"]},
}


def main() -> int:
    """Send the lines; return 0 if all of them arrived where they belong."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--method", default="upsert", help="upsert or append-only")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        started = time.monotonic()
        warehouse = Path(folder, "lake")
        config = _config(Path(folder), warehouse, options.method)
        peaks: list[int] = []
        rows, code = _load(config, round(options.gigabytes * GIGABYTE), peaks)
        seconds = round(time.monotonic() - started, 1)
        # Of children that have ended: the target is the only one.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 // 10**6
        stored, letters = _stored(warehouse), _letters(warehouse)
    bad = len(range(BAD_EVERY - 1, rows, BAD_EVERY))
    found = {"rows": rows, "stored": stored, "bad": bad, "dead_letters": letters}
    _tell(**found, exit_code=code, seconds=seconds, peak_mb=peak)
    is_whole = (stored, letters) == (rows - bad, bad)
    # The first gigabyte may not have filled a whole commit.
    is_flat = len(peaks) <= SETTLED or peaks[-1] <= GROWTH * peaks[SETTLED - 1]
    return int(not is_whole or not is_flat or code != 0)


def _config(folder: Path, warehouse: Path, method: str) -> Path:
    limits = {"max_ratio": 2 / BAD_EVERY, "max_records": 10**9}
    settings = {"warehouse": str(warehouse), "load_method": method}
    path = folder / "config.json"
    path.write_text(json.dumps({**settings, "dead_letter": limits}))
    return path


def _load(config: Path, size: int, peaks: list[int]) -> tuple[int, int]:
    """Send about so many bytes; return the number of rows, and the exit code.

    `peaks` gets the target's largest size in MB at each gigabyte, where /proc tells it.
    """
    target = subprocess.Popen(
        [TARGET, "--config", config], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    given = t.cast("t.IO[bytes]", target.stdin)
    rows = sent = told = 0
    _say(given, type="SCHEMA", stream="s", schema=_schema(), key_properties=["id"])
    while sent < size:
        sent += given.write(b"".join(map(_line, range(rows, rows + BLOCK_ROWS))))
        rows += BLOCK_ROWS
        if rows % STATE_ROWS == 0:
            _say(given, type="STATE", value={"bookmarks": {"s": {"id": rows}}})
        if sent // GIGABYTE > told:
            told = sent // GIGABYTE
            memory = _memory(target.pid)
            peaks += [memory["peak_mb"]] if memory else []
            _tell(gigabytes=told, **memory)
    _say(given, type="STATE", value={"bookmarks": {"s": {"id": rows}}})
    given.close()
    return rows, target.wait()


def _schema() -> dict[str, t.Any]:
    return {"properties": SCHEMA}


def _line(number: int) -> bytes:
    amount = '"much"' if number % BAD_EVERY == BAD_EVERY - 1 else number / 4
    return (
        f'{{"type":"RECORD","stream":"s","record":{{"id":{number},"amount":{amount},'
        f'"at":"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",'
        f'"note":"{TEXTS[number % 997]}"}}}}\n'
    ).encode()


def _say(given: t.IO[bytes], **message: t.Any) -> None:
    given.write(json.dumps(message).encode() + b"\n")


def _memory(pid: int) -> dict[str, int]:
    """Return the target's memory in MB: the most ever, now, and now without files."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():  # not Linux
        return {}
    lines = (line.split(":") for line in status.read_text().splitlines())
    found = {name: value.split()[0] for name, value in lines if value.strip()}
    names = {"peak_mb": "VmHWM", "now_mb": "VmRSS", "anonymous_mb": "RssAnon"}
    return {k: int(found[name]) * 1024 // 10**6 for k, name in names.items()}


def _stored(warehouse: Path) -> int:
    from target_parquet_iceberg.catalogs import open_catalog  # noqa: PLC0415 heavy

    with open_catalog({"warehouse": str(warehouse)}) as catalog:
        ids = catalog.load_table(("lake", "s")).scan(selected_fields=("id",))
        return len(ids.to_arrow()["id"].unique())


def _letters(warehouse: Path) -> int:
    files = warehouse.glob("_dead_letters/*/*.jsonl")
    return len({json.loads(line)["id"] for file in files for line in file.open("rb")})


def _tell(**figures: t.Any) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
