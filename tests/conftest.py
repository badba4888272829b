"""What these tests share: pipes of two programs, a lake to read, and peers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from dativo_sandbox import lake
from uv import find_uv_bin

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dativo_sandbox.database import Database
    from dativo_sandbox.mariadb_database import MariaDatabase
    from dativo_sandbox.seaweedfs import SeaweedServer

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
PEERS = ROOT / ".dativo" / "peers"
PATIENCE_SECONDS = 240

# A stock SDK tap and engines that read Iceberg, with all that decides what they do;
# the Hub's default variants are pinned where they are measured.
MEASURED_PEERS = ROOT / "bench" / "peers.json"
PEER_PINS = {
    # GPL-3.0: it only ever runs as a process of its own.
    "localstripe": ["localstripe==1.15.10"],
    "readers": [
        "chdb==4.4.0",
        "chdb-core==26.9.0",
        "polars==2.1.0",
        "pyarrow==26.0.1",
        "pyiceberg==0.12.0",
    ],
    "spark": [
        "py4j==0.10.9.9",
        "pyspark==3.5.9",
        "snowpark-connect-deps-iceberg==1.0.3",
    ],
    "tap-jsonl": ["tap-jsonl==0.3.1", "singer-sdk==0.53.7"],
}


def pytest_terminal_summary(terminalreporter):
    """Print what tests have recorded, whichever worker ran them."""
    for report in terminalreporter.getreports("passed"):
        for title, line in report.user_properties if report.when == "call" else ():
            terminalreporter.section(title)
            terminalreporter.write_line(str(line))


@dataclass(frozen=True)
class Ended:
    """A program that has ended: its exit code, and all that it said on stderr."""

    code: int
    stderr: str

    @property
    def log(self) -> list[dict[str, t.Any]]:
        """The lines of stderr, each of which must be JSON."""
        return [json.loads(line) for line in self.stderr.splitlines()]

    @property
    def errors(self) -> list[dict[str, t.Any]]:
        """The lines that tell of a failure."""
        return [line for line in self.log if line["level"] in {"error", "critical"}]


@dataclass(frozen=True)
class Flow:
    """A pipe that has run dry: both programs, what went through, what came out."""

    tap: Ended
    target: Ended
    states: list[dict[str, t.Any]]
    messages: list[dict[str, t.Any]] = field(repr=False)

    @property
    def records(self) -> list[dict[str, t.Any]]:
        """The records that the tap sent."""
        return [m["record"] for m in self.messages if m["type"] == "RECORD"]


def run_pipe(
    folder: Path, tap: Sequence[str | Path], target: Sequence[str | Path]
) -> Flow:
    """Run `tap | tee | target` as a shell would, each a process of its own."""
    copy, states = folder / "through.jsonl", folder / "states.jsonl"
    said = [folder / "tap.log", folder / "target.log"]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in (*said, states)]
        first = stack.enter_context(_started(tap, None, subprocess.PIPE, files[0]))
        tee = stack.enter_context(
            _started(["tee", copy], first.stdout, subprocess.PIPE, None)
        )
        last = stack.enter_context(_started(target, tee.stdout, files[2], files[1]))
        # The readers hold the pipes now; who writes must notice if they end.
        for process in (first, tee):
            process.stdout.close()
        for process in (last, tee, first):
            process.wait(PATIENCE_SECONDS)
    return Flow(
        Ended(first.returncode, said[0].read_text()),
        Ended(last.returncode, said[1].read_text()),
        _lines(states),
        _whole_lines(copy),
    )


def run_alone(command: Sequence[str | Path], *, loglevel: str = "info") -> Ended:
    """Run one program that reads nothing, to its end."""
    done = subprocess.run(
        command,
        env={**os.environ, "LOGLEVEL": loglevel},
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    return Ended(done.returncode, done.stderr)


@contextlib.contextmanager
def _started(
    command: Sequence[str | Path], stdin: t.Any, stdout: t.Any, stderr: t.Any
) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _lines(path: Path) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _whole_lines(path: Path) -> list[dict[str, t.Any]]:
    # A target that ends early breaks the pipe in the middle of a line.
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


class Pipeline:
    """A tap | target-dativo from one database to one lake, run by run.

    Attributes:
        programs: What runs as tap and as target.
        catalog: What the tap is told to read; None for everything.
        state: What the last run reached, handed to the next.
    """

    def __init__(self, folder: Path, source: t.Any, tap: str = "tap-postgres") -> None:
        self.folder = folder
        self.source = source
        self.warehouse = folder / "lake"
        self.programs = [PROGRAMS / tap, PROGRAMS / "target-dativo"]
        self.tap = source.tap_config()
        self.target: dict[str, t.Any] = {"warehouse": str(self.warehouse)}
        self.storage: dict[str, str] = {}
        self.catalog: dict[str, t.Any] | None = None
        self.state: dict[str, t.Any] | None = None

    def move_to_s3(self, seaweed: SeaweedServer, prefix: str) -> None:
        """Keep files in a bucket, and the names of the tables on disk."""
        self.storage = seaweed.storage_options()
        self.warehouse.mkdir()
        self.target = {
            "warehouse": prefix,
            "catalog": {"type": "sql", "uri": f"sqlite:///{self.warehouse}/catalog.db"},
            "storage_options": {
                "endpoint": seaweed.endpoint,
                "access_key_id": seaweed.access_key,
                "secret_access_key": seaweed.secret_key,
                "region": seaweed.region,
            },
        }

    def tap_command(self, *options: str | Path) -> list[str | Path]:
        """Return the tap's command with the present settings, catalog and state."""
        files = {"config": self.tap, "catalog": self.catalog, "state": self.state}
        command: list[str | Path] = [self.programs[0], *options]
        for name, content in files.items():
            if content is not None:
                command += [f"--{name}", self.write(f"tap-{name}.json", content)]
        return command

    def target_command(self) -> list[str | Path]:
        """Return the target's command with the present settings."""
        config = self.write("target-config.json", self.target)
        return [self.programs[1], "--config", config]

    def write(self, name: str, content: t.Any) -> Path:
        """Write a file of JSON beside the lake."""
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path

    def discover(self) -> dict[str, t.Any]:
        """Return the tap's catalog."""
        self.catalog = None
        done = subprocess.run(
            self.tap_command("--discover"),
            check=True,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )
        return json.loads(done.stdout)

    def choose(self, stream: str, *, key: str | None = None) -> None:
        """Read this stream only, incrementally if a key is given."""
        [entry] = [
            entry
            for entry in self.discover()["streams"]
            if entry["tap_stream_id"] == stream
        ]
        [root] = [item for item in entry["metadata"] if not item["breadcrumb"]]
        # Some taps of others have no method of their own.
        root["metadata"] |= {"selected": True, "replication-method": "FULL_TABLE"}
        if key:
            root["metadata"] |= {
                "replication-method": "INCREMENTAL",
                "replication-key": key,
            }
        self.catalog = {"streams": [entry]}

    def flow(self) -> Flow:
        """Run once, however it ends; keep the last state, as Meltano does."""
        flow = run_pipe(self.folder, self.tap_command(), self.target_command())
        if flow.states:
            self.state = flow.states[-1]
        return flow

    def run(self) -> Flow:
        """Run once; both programs must succeed."""
        flow = self.flow()
        assert (flow.tap.code, flow.target.code) == (0, 0), flow
        return flow

    def rows(self, sql: str) -> list[tuple[t.Any, ...]]:
        """Return what DuckDB reads from the lake."""
        with lake.lake(self.warehouse, self.storage) as engine:
            return engine.execute(sql).fetchall()

    def commits(self, table: str) -> list[dict[str, str]]:
        """Return the summaries of a table's snapshots."""
        return lake.commits(self.warehouse, "lake", table)

    def dead_letters(self) -> list[dict[str, t.Any]]:
        """Return all that was refused, and why."""
        files = sorted(self.warehouse.glob("_dead_letters/*/*.jsonl"))
        return [letter for file in files for letter in _lines(file)]


@pytest.fixture
def pipeline(tmp_path: Path, database: Database) -> Pipeline:
    """A pipeline from an empty database to a lake that does not exist yet."""
    return Pipeline(tmp_path, database)


@pytest.fixture
def mysql_pipeline(tmp_path: Path, mariadb: MariaDatabase) -> Pipeline:
    """The same from a database of MariaDB."""
    return Pipeline(tmp_path, mariadb, "tap-mysql")


@pytest.fixture(scope="session")
def odcs() -> jsonschema.protocols.Validator:
    """The official JSON Schema of the Open Data Contract Standard v3.0.2."""
    file = resources.files("open_data_contract_standard") / "schema.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    assert schema["properties"]["apiVersion"]["default"] == "v3.0.2"
    return jsonschema.validators.validator_for(schema)(
        schema, format_checker=jsonschema.FormatChecker()
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Flow]:
    """Run a pipe of two commands."""
    return lambda tap, target: run_pipe(tmp_path, tap, target)


@pytest.fixture
def alone() -> Callable[..., Ended]:
    """Run one program."""
    return run_alone


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Meltano project that installs the plugins of this checkout."""
    for name in ("taps", "targets", "libs", "pyproject.toml", "uv.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "meltano.yml", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def peer() -> Callable[[str], Path]:
    """Install another project's plugin for itself; return where its commands are.

    It is kept between runs, in `.dativo/`, until its pins or the Python change.
    """
    return _peer


def _peer(name: str) -> Path:
    pins = {**json.loads(MEASURED_PEERS.read_text()), **PEER_PINS}[name]
    venv = PEERS / name
    complete, made_of = venv / "made-of.json", [sys.version, *pins]
    PEERS.mkdir(parents=True, exist_ok=True)
    with (PEERS / f"{name}.lock").open("w") as lock:  # another worker may want it too
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists() or json.loads(complete.read_text()) != made_of:
            _uv("venv", "--clear", "--python", sys.executable, venv)
            _uv("pip", "install", "--python", venv / "bin" / "python", *pins)
            complete.write_text(json.dumps(made_of))
    return venv / "bin"


def _uv(*arguments: str | Path) -> None:
    done = subprocess.run(
        [find_uv_bin(), *arguments],
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    if done.returncode:
        pytest.fail(f"This test needs a peer from PyPI. {done.stderr}", pytrace=False)
