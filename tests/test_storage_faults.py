"""Storage and catalogs that fail: the right exit code, one line, nothing lost.

Each fault meets a run in the middle of a stream whose beginning is in the table. The
run ends as it must; then the fault is gone, the tap goes on from the last STATE that
came out, and the table has every row once.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import typing as t
import urllib.parse
from dataclasses import dataclass, field

import pyarrow.fs as pafs
import pytest
from dativo_sandbox.seaweedfs import SeaweedServer
from target_parquet_iceberg.catalogs import open_catalog

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMPLETE, TRY_LATER, CREDENTIALS, CONFIGURATION = 0, 75, 77, 78
# Without the pauses between attempts: the servers of these tests recover by command.
LAUNCH = """
from target_parquet_iceberg import wiring
wiring.LONGEST_PAUSE_SECONDS = 0.01
from target_parquet_iceberg.__main__ import main
main()
"""
BEGINNING, WHOLE, COMMIT_ROWS = 20, 60, 10
Settings: t.TypeAlias = "dict[str, t.Any]"


@dataclass
class Story:
    """A stream of numbered rows into one table, run by run.

    Attributes:
        settings: The target's settings while nothing is wrong.
        method: How it loads; without keys for append-only.
        state: The last STATE that came out.
    """

    folder: Path
    run: Callable[..., t.Any]
    settings: Settings
    method: str = "append-only"
    environment: dict[str, str] = field(default_factory=dict)
    width: int = 10
    state: t.Any = None

    def lines(self, until: int) -> Iterator[Settings]:
        """Yield what a tap sends that goes on from the state."""
        begin = 0
        if self.state is not None:
            yield {"type": "STATE", "value": self.state}
            begin = self.state["bookmarks"]["s"]["id"]
        properties = {"id": {"type": "integer"}, "v": {"type": "string"}}
        keys = ["id"] if self.method == "upsert" else []
        schema = {"properties": properties}
        head = {"type": "SCHEMA", "stream": "s", "schema": schema}
        yield {**head, "key_properties": keys}
        # With a key the row at the bookmark comes again, as taps send it.
        for number in range(begin if keys and begin else begin + 1, until + 1):
            text = random.Random(number).randbytes(self.width).hex()  # noqa: S311 not a secret
            row = {"id": number, "v": text}
            yield {"type": "RECORD", "stream": "s", "record": row}
            if number % COMMIT_ROWS == 0:
                yield {"type": "STATE", "value": {"bookmarks": {"s": {"id": number}}}}

    def load(self, until: int = WHOLE, **changed: t.Any) -> t.Any:
        """Run the target; keep the last state, as Meltano does."""
        settings = {
            "load_method": self.method,
            "commit_max_rows": COMMIT_ROWS,
            "dead_letter": {"path": str(self.folder / "letters")},
            **self.settings,
            **changed,
        }
        config = self.folder / "config.json"
        config.write_text(json.dumps(settings))
        source = self.folder / "source.jsonl"
        source.write_text("".join(json.dumps(x) + "\n" for x in self.lines(until)))
        target = [sys.executable, "-c", LAUNCH, "--config", config]
        flow = self.run(["cat", source], ["env", *self._variables(), *target])
        if flow.states:
            self.state = flow.states[-1]
        return flow

    def _variables(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.environment.items()]

    def begin(self) -> None:
        """Load the beginning of the stream."""
        assert self.load(BEGINNING).target.code == COMPLETE

    def fails(
        self, code: int, *words: str, is_readable: bool = True, **changed: t.Any
    ) -> None:
        """Load the rest, which must end with the code, one line and no secret."""
        flow = self.load(**changed)
        assert flow.target.code == code, flow.target.stderr
        [error] = flow.target.errors
        assert "\n" not in error["message"]
        assert "Traceback" not in flow.target.stderr
        for word in words:
            assert word in error["message"]
        if is_readable:
            assert self.covered <= set(self.numbers())

    @property
    def covered(self) -> set[int]:
        """The rows that the last STATE says are stored."""
        known = self.state["bookmarks"]["s"]["id"] if self.state else 0
        return set(range(1, known + 1))

    def completes(self) -> None:
        """Load the rest; nothing is lost and nothing is there twice."""
        flow = self.load()
        assert flow.target.code == COMPLETE, flow.target.stderr
        self.is_whole()

    def is_whole(self) -> None:
        """The table has every row once."""
        found = self.numbers()
        lost, twice = (
            set(range(1, WHOLE + 1)) - set(found),
            len(found) - len(set(found)),
        )
        assert (len(lost), twice) == (0, 0)

    def numbers(self) -> list[int]:
        """Return the rows of the table, by whoever is well."""
        with open_catalog(self.settings) as catalog:
            identifier = (self.settings.get("namespace", "lake"), "s")
            if not catalog.table_exists(identifier):
                return []
            return catalog.load_table(identifier).scan().to_arrow()["id"].to_pylist()


@pytest.fixture(params=["append-only", "upsert"])
def method(request: pytest.FixtureRequest) -> str:
    """Both ways to load a stream in parts."""
    return request.param


@pytest.fixture
def on_s3(tmp_path, run, seaweed, bucket_prefix, method) -> Story:
    """A table in a bucket, its catalog a SQLite file."""
    return Story(tmp_path, run, beside(tmp_path, bucket_prefix, seaweed), method)


def beside(folder: Path, warehouse: str, server: SeaweedServer) -> Settings:
    """Return the settings of a bucket with its catalog in a file."""
    return {
        "warehouse": warehouse,
        "catalog": {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db"},
        "storage_options": server.storage_options(),
    }


@pytest.fixture
def on_rest(tmp_path, run, seaweed, method) -> Story:
    """A table of the REST catalog."""
    return Story(tmp_path, run, behind(seaweed), method)


def behind(server: SeaweedServer) -> Settings:
    """Return the settings of the REST catalog, with a namespace of its own."""
    storage = server.storage_options()
    known = server.rest_catalog_properties().items()
    return {
        "warehouse": server.warehouse,
        "catalog": {name: value for name, value in known if name not in storage},
        "storage_options": storage,
        "namespace": f"n{secrets.token_hex(4)}",
    }


def test_wrong_secret(on_s3) -> None:
    """S3 refuses the signature: 77, and the secret is not in the log."""
    on_s3.begin()
    options = on_s3.settings["storage_options"]
    wrong = {**options, "s3.secret-access-key": "open sesame"}
    on_s3.fails(CREDENTIALS, "storage_options", storage_options=wrong)
    on_s3.completes()


def test_wrong_secret_behind_rest(on_rest) -> None:
    """The catalog lets the run in, the bucket does not: 77."""
    on_rest.begin()
    options = on_rest.settings["storage_options"]
    wrong = {**options, "s3.secret-access-key": "open sesame"}
    on_rest.fails(CREDENTIALS, "storage_options", storage_options=wrong)
    on_rest.completes()


def test_missing_bucket(tmp_path, run, seaweed, method) -> None:
    """A bucket that is not there is a setting to correct: 78; made, it is used."""
    bucket = f"missing-{secrets.token_hex(4)}"
    story = Story(tmp_path, run, beside(tmp_path, f"s3://{bucket}/x", seaweed), method)
    story.fails(CONFIGURATION, bucket, "Create the bucket")
    options = seaweed.storage_options()
    pafs.S3FileSystem(
        endpoint_override=options["s3.endpoint"],
        access_key=options["s3.access-key-id"],
        secret_key=options["s3.secret-access-key"],
        region=options["s3.region"],
        allow_bucket_creation=True,
    ).create_dir(bucket)
    story.completes()


class SharedServer(SeaweedServer):
    """A server with a second identity, which may read and list only."""

    reader: t.ClassVar = {
        "s3.access-key-id": "reader",
        "s3.secret-access-key": secrets.token_hex(16),
    }

    def _places(self, home: Path) -> list[str]:
        keys = {
            "admin": (self.access_key, self.secret_key, ["Admin"]),
            "reader": (*self.reader.values(), ["Read", "List"]),
        }
        identities = [
            {
                "name": name,
                "credentials": [{"accessKey": key, "secretKey": secret}],
                "actions": actions,
            }
            for name, (key, secret, actions) in keys.items()
        ]
        path = home / "identities.json"
        path.write_text(json.dumps({"identities": identities}))
        return [*super()._places(home), f"-s3.config={path}"]


@pytest.fixture(scope="module")
def shared() -> Iterator[SharedServer]:
    """Run a server with an identity that may only read."""
    with SharedServer() as server:
        yield server


@pytest.mark.parametrize("catalog", ["sqlite", "rest"])
def test_read_only_key(tmp_path, run, shared, method, catalog) -> None:
    """A key that may read but not write: 77."""
    bucket = f"s3://{shared.bucket}/{method}"
    settings = (
        beside(tmp_path, bucket, shared) if catalog == "sqlite" else behind(shared)
    )
    story = Story(tmp_path, run, settings, method)
    story.begin()
    reader = {**settings["storage_options"], **shared.reader}
    story.fails(CREDENTIALS, "what they may do", storage_options=reader)
    story.completes()


def test_wrong_catalog_credential(on_rest) -> None:
    """The catalog gives no token: 77."""
    on_rest.begin()
    wrong = {**on_rest.settings["catalog"], "credential": "nobody:open sesame"}
    on_rest.fails(CREDENTIALS, "credential", catalog=wrong)
    on_rest.completes()


def test_catalog_is_down(on_rest) -> None:
    """Nobody listens: 75."""
    on_rest.begin()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        down = {"uri": uri, "oauth2-server-uri": f"{uri}/v1/oauth/tokens"}
        catalog = {**on_rest.settings["catalog"], **down}
        on_rest.fails(TRY_LATER, "run again later", catalog=catalog)
    on_rest.completes()


class Proxy(http.server.ThreadingHTTPServer):
    """Stands before a REST catalog and spoils what it answers to commits.

    Attributes:
        fault: What happens to the next commit: one of `FAULTS`, or None.
        times: How many commits it happens to.
        is_dead: Whether everything is answered with 503.
        released: Lets go of the requests that get no answer.
        spoilt: How many commits were spoilt.
    """

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Spoiler)
        self.upstream = urllib.parse.urlsplit(upstream).netloc
        self.fault: str | None = None
        self.times = 1
        self.is_dead = False
        self.released = threading.Event()
        self.spoilt = 0

    @property
    def uri(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: t.Any) -> None:
        """Say nothing of clients that have gone."""


class _Spoiler(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        proxy = self.server
        # .../tables makes a table, .../tables/<name> commits to one.
        is_commit = self.command == "POST" and "/tables/" in self.path
        if proxy.is_dead:
            self._answer(503)
        elif not (is_commit and proxy.fault and proxy.spoilt < proxy.times):
            self._answer(*self._forwarded(body))
        else:
            proxy.spoilt += 1
            self._spoil(proxy.fault, body)

    do_GET = do_HEAD = do_DELETE = do_POST  # noqa: N815 as the base class wants them

    def _spoil(self, fault: str, body: bytes) -> None:
        what, _, when = fault.partition(" ")
        if when != "before":
            self._forwarded(body)
        self.server.is_dead = "for good" in when
        if what == "silence":
            self.server.released.wait()
        if what in {"silence", "hang-up"}:
            self.close_connection = True
            return
        self._answer(int(what))

    def _forwarded(self, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.server.upstream)
        with contextlib.closing(connection):
            headers = dict(self.headers.items())
            connection.request(self.command, self.path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()

    def _answer(self, status: int, body: bytes = b"{}") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: t.Any) -> None:
        """Say nothing."""


@pytest.fixture
def proxy(seaweed) -> Iterator[Proxy]:
    """A proxy before the REST catalog."""
    with Proxy(seaweed.rest_uri) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


@pytest.fixture
def through(on_rest, proxy) -> Story:
    """A table of the REST catalog, which is reached through the proxy."""
    on_rest.settings["catalog"] |= {
        "uri": proxy.uri,
        "oauth2-server-uri": f"{proxy.uri}/v1/oauth/tokens",
        "rest.client.socket-timeout-ms": "500",
    }
    on_rest.begin()
    return on_rest


ANSWERS = [
    "500",
    "hang-up",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("502", "504", "silence")),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_one_bad_answer(through, proxy, answer, when) -> None:
    """Whether the commit landed or not, the run finds out and goes on: 0."""
    proxy.fault = f"{answer} {when}"
    through.completes()
    assert proxy.spoilt == 1


def test_commits_that_never_land(through, proxy) -> None:
    """A catalog that answers every commit with 500, before it did anything: 75."""
    proxy.fault, proxy.times = "500 before", sys.maxsize
    through.fails(TRY_LATER, "commits failed")
    assert len(through.numbers()) == BEGINNING
    proxy.fault = None
    through.completes()


@pytest.mark.parametrize("answer", ANSWERS)
def test_catalog_dies_after_the_commit(through, proxy, answer) -> None:
    """A commit lands and nobody ever says so: 75, no STATE for it, no row twice."""
    proxy.fault = f"{answer} after, for good"
    with pytest.MonkeyPatch.context() as patch:
        # Whoever looks meanwhile would get no answer either.
        patch.setattr(Story, "numbers", lambda self: list(self.covered))
        through.fails(TRY_LATER, "commits failed")
    proxy.is_dead, proxy.fault = False, None
    assert len(through.covered) == BEGINNING
    assert len(through.numbers()) == BEGINNING + COMMIT_ROWS
    through.completes()


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A disk of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("Only root may mount a disk.")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("This root may not mount a disk.")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize(
    "free_kilobytes",
    [0, 64, *(pytest.param(room, marks=pytest.mark.slow) for room in (4, 16, 128))],
)
@pytest.mark.parametrize("catalog", ["beside", "elsewhere"])
def test_full_disk(tmp_path, run, method, disk, free_kilobytes, catalog) -> None:
    """The disk fills up while data, manifests, metadata or catalog is written: 75."""
    settings: Settings = {"warehouse": str(disk / "lake")}
    if catalog == "elsewhere":
        uri = f"sqlite:///{tmp_path}/catalog.db"
        settings["catalog"] = {"type": "sql", "uri": uri}
    story = Story(tmp_path, run, settings, method, width=1000)
    story.begin()
    filler = disk / "filler"
    fill(filler, os.statvfs(disk), free_kilobytes * 1024)
    # SQLite cannot even be opened on a disk without room for its shared memory.
    story.fails(TRY_LATER, "full", is_readable=catalog == "elsewhere")
    filler.unlink()
    assert story.covered <= set(story.numbers())
    story.completes()


def test_full_temporary_folder(tmp_path, run, method, disk) -> None:
    """Rows that are too many for memory have no place to wait: 75, and which it is."""
    settings: Settings = {"warehouse": str(tmp_path / "lake")}
    settings |= {"streams": {"s": {"sort_by": ["v"]}}, "buffer_max_bytes": 1}
    settings |= {"commit_max_rows": 1000}
    story = Story(tmp_path, run, settings, method, width=200_000)
    story.begin()
    # A folder in which nothing can be written is passed over by Python.
    fill(disk / "filler", os.statvfs(disk), 64 * 1024)
    story.environment["TMPDIR"] = str(disk)
    story.fails(TRY_LATER, f"The temporary folder {disk} is full")
    story.environment.clear()
    story.completes()


def fill(path: Path, place: os.statvfs_result, leave: int) -> None:
    """Write a file that leaves no more than that free."""
    with path.open("wb") as file:
        file.write(b"\0" * (place.f_bavail * place.f_bsize - leave))


def test_limited_file_size(tmp_path, run, method) -> None:
    """A user whose files may not grow is told so, as on a full disk: 75."""
    settings: Settings = {"warehouse": str(tmp_path / "lake")}
    settings["catalog"] = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db"}
    story = Story(tmp_path, run, settings, method, width=200_000)
    story.begin()
    story.run = limited(run, 2**19)
    story.fails(TRY_LATER, "full")
    story.run = run
    story.completes()


def limited(run: Callable[..., t.Any], size: int) -> Callable[..., t.Any]:
    """Return `run` with a target whose files may have so many bytes."""
    return lambda tap, target: run(tap, ["prlimit", f"--fsize={size}", *target])
