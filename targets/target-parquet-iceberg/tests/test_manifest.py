"""Which files a manifest may name; what the corpus shows by processes, in detail."""

from __future__ import annotations

import os

import pyarrow.fs as pafs
import pytest
from target_parquet_iceberg import manifest
from target_parquet_iceberg.manifest import RefusedError, Roots, remove
from target_parquet_iceberg.messages import Batch
from target_parquet_iceberg.sweeping import sweep, sweeper

JSONL = {"format": "jsonl", "compression": "none"}


@pytest.fixture
def staging(tmp_path):
    """A staging folder with one file in it."""
    folder = tmp_path / "lake/_staging"
    folder.mkdir(parents=True)
    (folder / "a b.jsonl").write_bytes(b"{}\n")
    return folder


def files(staging, *urls, roots=(), s3=None, encoding=JSONL):
    """Return the files that a message may name."""
    return Roots(roots, str(staging), s3).files(Batch("s", b"", encoding, [*urls]))


def refusal(staging, *urls, **options):
    """Return where and why a message is refused."""
    with pytest.raises(RefusedError) as caught:
        files(staging, *urls, **options)
    return caught.value.place, caught.value.found


def test_files_of_the_staging_folder_are_ours(staging) -> None:
    """Also where a root above it is given; other files are not."""
    path = staging / "a b.jsonl"
    [file] = files(staging, path.as_uri())
    assert (file.path, file.bytes, file.is_ours) == (str(path), 3, True)
    [file] = files(staging, path.as_uri(), roots=[str(staging.parent)])
    assert file.is_ours
    other = staging.parent / "b.jsonl"
    other.write_bytes(b"{}\n")
    [file] = files(staging, other.as_uri(), roots=[str(staging.parent)])
    assert not file.is_ours
    remove(file)
    assert other.exists()


def test_link_inside_the_root_is_resolved(staging) -> None:
    """What is opened is what was checked."""
    (staging / "link").symlink_to("a b.jsonl")
    [file] = files(staging, (staging / "link").as_uri())
    assert file.path == str(staging / "a b.jsonl")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://x/y", "a http URL"),
        ("ftp://x/y", "a ftp URL"),
        ("", "a nameless URL"),
        ("file::http://x", "a file URL"),
        ("file://host/x", "another host"),
        ("file:///etc/passwd", "one that is elsewhere"),
        ("file:///nowhere/x", "one that is elsewhere"),
        ("file:///x?y", "a query or a fragment"),
        ("file:///x#y", "a query or a fragment"),
        ("file:///x%00y", "ValueError"),
        ("s3://b/x", "one that is elsewhere"),
        ("s3://b/../x", "empty or dotted steps"),
        ("s3://b//x", "empty or dotted steps"),
    ],
)
def test_what_no_manifest_may_name(staging, url, found) -> None:
    """Told without a word of the URL."""
    assert refusal(staging, url) == ("manifest.0", found)


def test_loop_of_links(staging) -> None:
    """It ends."""
    (staging / "loop").symlink_to("loop")
    place, found = refusal(staging, (staging / "loop").as_uri())
    assert place == "manifest.0"
    assert found in {"RuntimeError", "OSError"}


def test_pipes_and_folders_are_no_files(staging) -> None:
    """To open a pipe would wait for ever."""
    os.mkfifo(staging / "pipe")
    for url in ((staging / "pipe").as_uri(), staging.as_uri() + "/."):
        place, _ = refusal(staging, url)
        assert place == "manifest.0"


def test_sizes_and_encodings(staging, monkeypatch) -> None:
    """All of it before a file is opened."""
    url = (staging / "a b.jsonl").as_uri()
    assert refusal(staging, url, encoding={"format": "avro"})[0] == "encoding"
    assert refusal(staging, url, encoding=None)[0] == "encoding"
    packed = {"format": "parquet", "compression": "zip"}
    assert refusal(staging, url, encoding=packed)[0] == "encoding"
    assert refusal(staging, url, url) == ("manifest", "a file that is named twice")
    assert refusal(staging, *["file:///x"] * 1001) == ("manifest", "1001 of them")
    monkeypatch.setattr(manifest, "MAX_FILE_BYTES", 2)
    assert refusal(staging, url) == ("manifest.0", "3 bytes")


def test_objects_below_a_root(staging, tmp_path) -> None:
    """By name alone: S3 knows neither links nor dots."""
    (tmp_path / "b/p").mkdir(parents=True)
    (tmp_path / "b/p/x").write_bytes(b"{}")
    system = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    options = {"roots": ["s3://b/p/"], "s3": lambda: system}
    [file] = files(staging, "s3://b/p/x", **options)
    assert (file.path, file.bytes, file.is_ours) == ("b/p/x", 2, False)
    assert refusal(staging, "s3://b/p/y", **options)[1] == "nothing"
    assert refusal(staging, "s3://b/p2/x", **options)[1] == "one that is elsewhere"


def test_sweep_takes_old_files_only(staging) -> None:
    """And makes no folder; what it cannot do is a warning."""
    system = pafs.LocalFileSystem()
    now = (staging / "a b.jsonl").stat().st_mtime
    assert sweep(system, str(staging), 1, lambda: now + 3599) == 0
    assert sweep(system, str(staging), 1, lambda: now + 3601) == 1
    assert sweep(system, str(staging.parent / "none"), 1, lambda: now) == 0
    assert not (staging.parent / "none").exists()


def test_sweep_of_a_bucket_waits_for_files(staging, caplog) -> None:
    """A run without files asks nothing; what cannot be asked is a warning."""
    clean = sweeper("s3://b/_staging", {"ca_file": str(staging / "a b.jsonl")}, 1, int)
    clean(False)
    assert caplog.records == []
    (staging / "file").write_bytes(b"")
    sweeper(str(staging / "file"), {}, 1, int)(True)
    [warning] = caplog.records
    assert "Old files stay in" in warning.getMessage()
