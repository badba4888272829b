"""What `storage_options` says reaches S3: Iceberg, plain Parquet and dead letters.

A recording proxy before SeaweedFS shows what is really sent; it can be as strict as
older MinIO, which refuses uploads without a length.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import ssl
import threading
import urllib.parse
from dataclasses import dataclass, field

import certifi
import pytest
from dativo_core.errors import ConfigurationError
from dativo_sandbox.certificates import make_certificates
from pyarrow.fs import FileSelector
from target_parquet_iceberg.file_io import SYSTEMS_KEPT, FrugalFileIO
from target_parquet_iceberg.object_storage import s3_filesystem, storage_properties
from target_parquet_iceberg.storage import filesystem

VARIABLE = "AWS_REQUEST_CHECKSUM_CALCULATION"
BODY_WORDS = ("x-amz-trailer", "x-amz-checksum", "x-amz-sdk-checksum")


@dataclass
class Request:
    """What a client sent, and what of it is about checksums."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def has_checksum(self) -> bool:
        names = self.headers.keys() - {"x-amz-checksum-mode"}
        return any(name.startswith(BODY_WORDS) for name in names)


@dataclass
class Proxy:
    """A server that keeps what it forwards."""

    upstream: str
    requests: list[Request] = field(default_factory=list)
    is_strict: bool = False
    url: str = ""

    def uploads(self):
        """Return the requests that carried a file, or a part of one."""
        return [r for r in self.requests if r.method == "PUT" and r.path[-1] != "/"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def do_PUT(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.proxy.requests.append(Request(self.command, self.path, {**headers}))
        body = self._chunks() if "transfer-encoding" in headers else self._whole()
        if self.proxy.is_strict and "transfer-encoding" in headers:
            self._answer(411, {}, b"")
            return
        headers.pop("transfer-encoding", None)
        headers["content-length"] = str(len(body))
        connection = http.client.HTTPConnection(self.proxy.upstream)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body, headers)
            reply = connection.getresponse()
            self._answer(reply.status, dict(reply.getheaders()), reply.read())

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815 as the base has them

    def _whole(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status, headers, body) -> None:
        self.send_response(status)
        length = str(len(body))
        if self.command == "HEAD":
            length = headers.get("Content-Length", length)
        for name, value in headers.items():
            if name not in {"Content-Length", "Transfer-Encoding", "Date"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments) -> None:
        """Say nothing on stderr."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, _request, _address) -> None:
        """Say nothing on stderr of clients that hang up."""


@contextlib.contextmanager
def serving(made: Proxy, secure=None):
    """Run a proxy on loopback, over TLS if there is a folder of certificates."""
    handler = type("Bound", (Handler,), {"proxy": made})
    with Server(("127.0.0.1", 0), handler) as server:
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(secure / "server.crt", secure / "server.key")
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        made.url = f"http{'s' if secure else ''}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(seaweed):
    """A proxy before SeaweedFS; signatures stay valid, since Host is passed on."""
    with serving(Proxy(urllib.parse.urlsplit(seaweed.endpoint).netloc)) as made:
        yield made


@pytest.fixture(autouse=True)
def environment(monkeypatch) -> None:
    """Leave to other tests what the AWS SDK reads as it was."""
    monkeypatch.setenv(VARIABLE, "when_supported")


def options(server, **more):
    """Return `storage_options` in our own names."""
    return {
        "endpoint": server.endpoint,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
        "region": server.region,
        **more,
    }


def load(lake, say, prefix, given, **more):
    """Load a row, and a record that is a dead letter."""
    lake.folder.mkdir(exist_ok=True)
    where = {
        "warehouse": prefix,
        "catalog": {"type": "sql", "uri": f"sqlite:///{lake.folder}/catalog.db"},
        "storage_options": given,
        **more,
    }
    lines = [say.schema("s", id="integer"), say.record("s", id=1)]
    return lake.load(*lines, say.record("s", id="x"), say.state(s={"v": 1}), **where)


FORMATS = pytest.mark.parametrize("form", ["iceberg", "parquet"])


@FORMATS
def test_checksums_are_sent_unless_told(lake, say, seaweed, bucket_prefix, proxy, form):
    """The AWS SDK adds a trailer without a length; with `when_required` neither."""
    given = options(seaweed, endpoint=proxy.url)
    assert load(lake, say, bucket_prefix, given, format=form).code == 0
    sent = proxy.uploads()
    assert {name for r in sent for name in r.headers} >= {"x-amz-trailer"}
    assert all(r.has_checksum for r in sent)
    streamed = [r for r in sent if "/_dativo/" not in r.path]
    assert not any("content-length" in r.headers for r in streamed)
    proxy.requests.clear()
    given["request_checksum_calculation"] = "when_required"
    again = {"format": form, "namespace": "again"}
    assert load(lake, say, bucket_prefix, given, **again).code == 0
    sent = proxy.uploads()
    assert any("/_dead_letters/" in r.path for r in sent)
    assert any(".parquet" in r.path for r in sent)
    assert not any(r.has_checksum for r in sent)
    assert all("content-length" in r.headers for r in sent)


@FORMATS
def test_strict_server_is_explained(lake, say, seaweed, bucket_prefix, proxy, form):
    """A server that wants a length is a setting away, and the message names it."""
    proxy.is_strict = True
    given = options(seaweed, endpoint=proxy.url)
    outcome = load(lake, say, bucket_prefix, given, format=form)
    assert outcome.code == 78
    assert "request_checksum_calculation to when_required" in outcome.errors[-1]
    given["request_checksum_calculation"] = "when_required"
    assert load(lake, say, bucket_prefix, given, format=form).code == 0


@FORMATS
def test_tls_by_a_private_authority(lake, say, secure_seaweed, form) -> None:
    """With the CA's file all works; without it the run ends, and the hint names it."""
    prefix = f"s3://{secure_seaweed.bucket}/{form}"
    refused = load(lake, say, prefix, options(secure_seaweed), format=form)
    assert refused.code == 78
    assert "storage_options.ca_file" in refused.errors[-1]
    authority = str(secure_seaweed.certificate_authority)
    given = options(secure_seaweed, ca_file=authority)
    system, root = filesystem(prefix, given)
    assert load(lake, say, prefix, given, format=form).code == 0
    found = [i.path for i in system.get_file_info(FileSelector(root, recursive=True))]
    assert any(path.endswith(".parquet") for path in found)
    assert any("/_dead_letters/" in path for path in found)


def test_another_authority_proves_nothing(
    lake, say, secure_seaweed, tmp_path_factory
) -> None:
    """A certificate that a stranger signed is refused like none."""
    stranger = make_certificates(tmp_path_factory.mktemp("ca"))
    given = options(secure_seaweed, ca_file=str(stranger))
    outcome = load(lake, say, f"s3://{secure_seaweed.bucket}/x", given)
    assert outcome.code == 78
    assert "storage_options.ca_file" in outcome.errors[-1]


@pytest.mark.parametrize(
    ("style", "host", "path"),
    [(True, "localhost", "/lake/k"), (False, "lake.localhost", "/k")],
)
def test_path_style(seaweed, proxy, style, host, path) -> None:
    """The bucket is in the path, or in the host's name."""
    port = urllib.parse.urlsplit(proxy.url).port
    given = options(seaweed, endpoint=f"http://localhost:{port}", path_style=style)
    s3_filesystem(storage_properties(given)).get_file_info("lake/k")
    [request, *_] = proxy.requests
    assert (request.headers["host"], request.path) == (f"{host}:{port}", path)


def test_both_names_of_every_option() -> None:
    """Our names and PyIceberg's mean the same; Java's name of path style is taken."""
    ours = {"endpoint": "http://s", "region": "r", "path_style": False}
    theirs = {"s3.endpoint": "http://s", "s3.region": "r", "s3.path-style-access": "no"}
    assert storage_properties(ours) == storage_properties(theirs)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ca_file": "/no/such.pem"}, "ca_file: there is no file /no/such.pem"),
        ({"request_checksum_calculation": "never"}, "calculation: 'never'"),
    ],
)
def test_wrong_options_are_named(given, words) -> None:
    """An option that cannot be is refused before anything is opened."""
    with pytest.raises(ConfigurationError, match=words):
        storage_properties(given)


@pytest.mark.parametrize("is_trusted", [True, False])
def test_rest_catalog_behind_a_private_authority(
    lake, say, seaweed, tmp_path, monkeypatch, is_trusted
) -> None:
    """PyIceberg's nested `ssl` names the CA, whatever the environment names."""
    authority = make_certificates(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    upstream = urllib.parse.urlsplit(seaweed.rest_uri).netloc
    trust = {"ssl": {"cabundle": str(authority)}} if is_trusted else {}
    with serving(Proxy(upstream), secure=tmp_path) as proxy:
        rest = {
            **seaweed.rest_catalog_properties(),
            "uri": proxy.url,
            "oauth2-server-uri": f"{proxy.url}/v1/oauth/tokens",
            **trust,
        }
        given = {"warehouse": seaweed.warehouse, "catalog": rest, "namespace": "tls"}
        lines = [say.schema("s", ("id",), id="integer"), say.record("s", id=1)]
        outcome = lake.load(*lines, **given, dead_letter={"path": str(tmp_path)})
    if is_trusted:
        assert (outcome.code, outcome.errors) == (0, [])
        assert any("/tables/" in request.path for request in proxy.requests)
    else:
        assert outcome.code == 78
        assert "Set catalog.ssl.cabundle" in outcome.errors[-1]
        assert not proxy.requests


def test_file_systems_are_shared_and_do_not_add_up() -> None:
    """One for all tables of a bucket; those of credentials that are over are let go."""
    common = {
        "s3.region": "us-east-1",
        "s3.access-key-id": "key",
        "s3.secret-access-key": "secret",
    }

    def system(**properties):
        return FrugalFileIO({**common, **properties}).fs_by_scheme("s3", "bucket")

    first = system(**{"s3.session-token": "0", "write.target-file-size-bytes": "1"})
    assert system(**{"s3.session-token": "0"}) is first
    lent = [system(**{"s3.session-token": str(n)}) for n in range(2 * SYSTEMS_KEPT)]
    assert lent[0] is first
    assert len(set(map(id, lent))) == len(lent)
    assert len(FrugalFileIO._systems) == SYSTEMS_KEPT
