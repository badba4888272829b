"""How many requests a small commit makes: object stores bill, and answer, by them."""

from __future__ import annotations

import http.client
import http.server
import secrets
import threading
import typing as t
from collections import Counter
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from dativo_core.dead_letters import DeadLetter, DeadLetterOffice, Limits
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.file_io import FrugalFileIO, Kept
from target_parquet_iceberg.iceberg import (
    TABLE_PROPERTIES,
    IcebergTable,
    IcebergWarehouse,
)
from target_parquet_iceberg.letter_tables import LetterTables
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.storage import dead_letter_folder
from target_parquet_iceberg.table import Commit

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST = 15
COLUMNS = {"id": {"type": "integer"}, "text": {"type": "string"}}


class Counting(http.server.ThreadingHTTPServer):
    """Stands before S3 and counts the requests."""

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.upstream = urlsplit(endpoint).netloc
        self.requests: list[tuple[str, str]] = []

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def taken(self) -> Counter[str]:
        """Return the requests since the last look, by method."""
        requests, self.requests = self.requests, []
        return Counter(method for method, _ in requests)


class _Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counting

    def forward(self) -> None:
        self.server.requests.append((self.command, self.path))
        body = self._body()
        upstream = http.client.HTTPConnection(self.server.upstream)
        # As it came, host included: the signature covers it.
        upstream.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            if name.lower() != "transfer-encoding":
                upstream.putheader(name, value)
        if "Transfer-Encoding" in self.headers:
            upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward  # noqa: N815 by the base

    def log_message(self, *_: t.Any) -> None:
        """Say nothing."""


@pytest.fixture
def storage(seaweed) -> Iterator[Counting]:
    """Count what S3 is asked for."""
    with Counting(seaweed.endpoint) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()


@pytest.fixture(params=["sqlite", "rest"])
def table(request, seaweed, storage, tmp_path: Path) -> IcebergTable:
    """Open a table whose catalog and storage are those of a first run."""
    options = {**seaweed.storage_options(), "s3.endpoint": storage.endpoint}
    settings = {
        "warehouse": f"s3://{seaweed.bucket}/{secrets.token_hex(4)}",
        "catalog": {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db"},
        "storage_options": options,
        "namespace": f"n{secrets.token_hex(4)}",
    }
    if request.param == "rest":
        known = seaweed.rest_catalog_properties()
        settings |= {
            "warehouse": seaweed.warehouse,
            "catalog": {**known, "s3.endpoint": storage.endpoint},
        }
    return opened(settings)


def opened(settings: dict[str, t.Any]) -> IcebergTable:
    """Open the table of a stream in a run of its own."""
    settings = with_defaults(settings)
    schema = Schema("events", {"properties": COLUMNS}, ("id",))
    run = secrets.token_hex(4)
    warehouse = IcebergWarehouse(
        open_catalog(settings), settings["namespace"], run, lambda _: None
    )
    return warehouse.table(plan(schema, settings))


def upsert(table: IcebergTable, *numbers: int) -> None:
    """Store rows by key."""
    texts = [f"text {number}" * 10 for number in numbers]
    rows = pa.table({"id": pa.array(numbers, pa.int64()), "text": texts})
    table.commit(Commit(rows, Method.UPSERT, ("id",), {"id": numbers[-1]}))


def test_new_rows(table, storage) -> None:
    """New keys: data file, manifest, manifest list, and the catalog's own file."""
    upsert(table, *range(10_000))
    for number in range(10_000, 10_020):
        storage.taken()
        upsert(table, number)
        assert storage.taken().total() <= 6


def test_changed_rows(table, storage) -> None:
    """A row in a small file costs that file's reading and writing, too."""
    upsert(table, *range(10_000))
    upsert(table, *range(10_000, 20_000))
    storage.taken()
    upsert(table, 5)
    assert storage.taken().total() <= 9
    upsert(table, 6, 10_006)
    assert storage.taken().total() <= MOST


def test_next_run(table, storage, monkeypatch) -> None:
    """A run that knows nothing yet reads the metadata, too."""
    upsert(table, *range(10_000))
    monkeypatch.setattr(FrugalFileIO, "kept", Kept())
    monkeypatch.setattr(table, "_staging", _staging_anew(table))
    storage.taken()
    upsert(table, 5)
    assert storage.taken().total() <= MOST


def _staging_anew(table: IcebergTable) -> t.Any:
    present = table._staging
    return type(present)("events", table.present, present._layout, present._room)


def test_many_commits(table, storage) -> None:
    """The fortieth commit asks for no more than the tenth, although all are merged."""
    costs = []
    for number in range(40):
        upsert(table, *range(1_000 * number, 1_000 * (number + 1)))
        costs.append(storage.taken().total())
    assert max(costs[10:]) <= max(costs[1:10]) + 1


def test_commit_with_dead_letters(table, storage, seaweed) -> None:
    """Letters cost their own small commit, and without any nothing is asked."""
    upsert(table, *range(10_000))
    tables = LetterTables(
        table.present.catalog, table.present.name()[0], TABLE_PROPERTIES, lambda _: None
    )
    options = {**seaweed.storage_options(), "s3.endpoint": storage.endpoint}
    place = f"s3://{seaweed.bucket}/{secrets.token_hex(4)}"
    office = DeadLetterOffice(
        dead_letter_folder(place, options), "run", Limits(), mirror=tables
    )
    storage.taken()
    office.accept("events", "events", [], 1)
    office.settle()
    assert storage.taken().total() == 0
    costs = []
    for number in range(10_000, 10_006):
        letter = DeadLetter("events", "cast", "id", "integer", "str", b"%d" % number)
        office.accept("events", "events", [letter], 1)
        office.settle()
        upsert(table, number)
        costs.append(storage.taken().total())
    assert max(costs[1:]) <= MOST
