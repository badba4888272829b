"""Malformed input never stops a run, and nothing of it is lost or quoted in a log."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import typing as t
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from target_parquet_iceberg.catalogs import open_catalog

HERE = Path(__file__).resolve().parent
TARGET = Path(sys.executable).parent / "target-dativo"
PATIENCE_SECONDS = 240


def _cases() -> t.Any:
    path = HERE / "corpus/cases.py"
    spec = importlib.util.spec_from_file_location("corpus_cases", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["corpus_cases"] = module
    spec.loader.exec_module(module)
    return module


CORPUS = _cases()
BY_NAME = {case.name: case for case in CORPUS.CASES}


def load(folder: Path, data: t.Any, **settings: t.Any) -> tuple[int, str, bytes]:
    """Run the target as a process; return exit code, log and states."""
    config = folder / "config.json"
    config.write_text(json.dumps({"warehouse": str(folder / "lake"), **settings}))
    command = [TARGET, "--config", config]
    done = subprocess.run(
        command, input=data, check=False, capture_output=True, timeout=PATIENCE_SECONDS
    )
    return done.returncode, done.stderr.decode(), done.stdout


def rows(folder: Path) -> dict[str, list[t.Any]]:
    """Return every table's rows, as PyIceberg reads them."""
    catalog = open_catalog({"warehouse": str(folder / "lake")})
    found = {}
    for name in catalog.list_tables("lake") if catalog.list_namespaces() else ():
        table = catalog.load_table(name).scan().to_arrow()
        found[name[1]] = _sorted(table.to_pylist())
    return found


def _sorted(found: list[t.Any]) -> list[str]:
    # By their text: NaN does not equal itself, nor one name of UTC the other.
    return sorted(
        repr([(name, _text(part)) for name, part in sorted(row.items())])
        for row in found
    )


def _text(part: t.Any) -> t.Any:
    return part.isoformat() if isinstance(part, datetime) else part


def letters(folder: Path) -> list[dict[str, t.Any]]:
    """Return the dead letters."""
    files = sorted((folder / "lake/_dead_letters").glob("*/*.jsonl"))
    return [json.loads(x) for file in files for x in file.read_bytes().splitlines()]


def lay_out(folder: Path, case: t.Any, data: bytes) -> bytes:
    """Make the files that a case needs; return its bytes with their place in them."""
    for path, content in case.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            file.symlink_to(content)
        else:
            file.write_bytes(content())
    return data.replace(b"{folder}", str(folder).encode())


@pytest.mark.parametrize("name", BY_NAME)
def test_case(tmp_path, name) -> None:
    """Good rows are stored, bad ones are dead letters once; the log is clean."""
    case = BY_NAME[name]
    data = case.data if case.is_built else case.file.read_bytes()
    data = lay_out(tmp_path, case, data)
    code, log, _ = load(tmp_path, data, **case.settings)
    dead = letters(tmp_path)
    places = [(d["stream"], d["stage"], d["path"]) for d in dead]
    assert (case.code, Counter(case.dead)) == (code, Counter(places)), log
    assert len(dead) == len({letter["id"] for letter in dead})
    wanted = {table: _sorted(found) for table, found in case.rows.items()}
    assert wanted == {k: v for k, v in rows(tmp_path).items() if k in wanted}
    for line in log.splitlines():
        said = json.loads(line)["message"]
        assert "\n" not in said
    assert "Traceback" not in log
    assert CORPUS.CANARY not in log
    assert all(words in log for words in case.told)
    assert not any((tmp_path / path).exists() for path in case.absent)


def test_every_refused_text_is_kept_whole(tmp_path) -> None:
    """A dead letter holds the record itself, or the line if it is no message."""
    case = BY_NAME["log-noise"]
    load(tmp_path, case.data)
    kept = {letter["record"].strip() for letter in letters(tmp_path)}
    assert {"INFO starting s3cr3t-canary", "42"} < kept


def test_bookmark_of_a_refused_stream_stays(tmp_path) -> None:
    """What was refused comes again when the SCHEMA is right."""
    _, _, states = load(tmp_path, BY_NAME["schema-broken-type"].data)
    assert [json.loads(line) for line in states.splitlines()] == [
        {"bookmarks": {"s": {"at": 1}}}
    ]


def test_bookmark_of_a_refused_batch_stays(tmp_path) -> None:
    """Rows that nobody has read are not skipped; another stream's bookmark moves."""
    case = BY_NAME["batch-outside"]
    _, _, states = load(tmp_path, lay_out(tmp_path, case, case.data))
    assert json.loads(states) == {"bookmarks": {"other": {"at": 1}}}
    assert not (tmp_path / "lake/_staging").exists()


def test_files_are_what_the_generator_writes() -> None:
    """The committed corpus is up to date, and nothing else lies about."""
    found = {
        path.stem: path.read_bytes() for path in (HERE / "corpus").glob("*.singer")
    }
    assert found == {c.name: c.data for c in CORPUS.CASES if not c.is_built}


PEAK = """
import resource, subprocess, sys
quiet = subprocess.DEVNULL
target = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stderr=quiet)
size = int(sys.argv[1])
head = b'{"type":"RECORD","stream":"s","record":{"v":"'
target.stdin.write(head)
for _ in range(size):
    target.stdin.write(b"x" * 2**20)
target.stdin.close()
code = target.wait()
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def _peak(folder: Path, megabytes: int) -> tuple[int, int]:
    config = folder / "config.json"
    config.write_text(json.dumps({"warehouse": str(folder / "lake")}))
    command = [sys.executable, "-c", PEAK, str(megabytes), TARGET, "--config", config]
    done = subprocess.run(
        command, check=True, capture_output=True, timeout=PATIENCE_SECONDS
    )
    code, peak = done.stdout.split()
    return int(code), int(peak)


def test_endless_line_needs_no_endless_memory(tmp_path) -> None:
    """300 MB without a newline cost what the limit of 64 MiB costs, and no more."""
    (tmp_path / "short").mkdir()
    code, floor = _peak(tmp_path / "short", 0)
    assert code == 75
    code, peak = _peak(tmp_path, 300)
    assert code == 0
    (letter,) = letters(tmp_path)
    assert f"{300 * 2**20 + 45} bytes with SHA-256" in letter["found"]
    assert len(letter["record"]) == 2**16
    assert peak - floor < 2.5 * 64
