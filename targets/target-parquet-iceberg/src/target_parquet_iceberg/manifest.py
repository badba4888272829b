"""Find the files that a BATCH names, if it may name them: a manifest is not trusted.

Only files below the allowed folders are opened, after links and dots are resolved;
nothing is ever fetched by HTTP, and nothing is made where it does not exist.
"""

from __future__ import annotations

import contextlib
import stat
import typing as t
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow.fs as pafs

from target_parquet_iceberg.catalogs import is_remote, local

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_parquet_iceberg.messages import Batch

MAX_FILES = 1000
MAX_FILE_BYTES = 16 * 2**30
FOLDER = "_staging"
_SCHEMES = ("file", "s3")
_COMPRESSIONS = {
    "parquet": {None, "none", "brotli", "gzip", "lz4", "snappy", "zstd"},
    "jsonl": {None, "none", "gzip"},
}


class RefusedError(Exception):
    """A file, or a whole manifest, that is not loaded.

    Args:
        expected: What should have been there, in words.
        found: What was there, in words that quote nothing of it.
        place: Where in the message it is.
    """

    def __init__(self, expected: str, found: str, place: str = "manifest") -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found
        self.place = place


@dataclass(frozen=True, slots=True)
class BatchFile:
    """One file of a manifest, known to exist.

    Args:
        system: The file system that it is on.
        path: Its resolved path there.
        bytes: Its size.
        is_ours: Whether it lies in the warehouse's own staging, and is ours to delete.
        format: `parquet` or `jsonl`.
        compression: Of the file as a whole; Parquet has its own inside.
        written_at: When, in seconds since 1970.
    """

    system: pafs.FileSystem
    path: str
    bytes: int
    is_ours: bool
    format: str
    compression: str
    written_at: float


class Roots:
    """The folders below which a manifest may name files.

    Args:
        roots: Folders and `s3://` URLs; empty for the staging folder alone.
        staging: The warehouse's own staging folder.
        s3: Opens the object storage.
    """

    def __init__(
        self, roots: Sequence[str], staging: str, s3: Callable[[], pafs.FileSystem]
    ) -> None:
        self._roots = [_root(root) for root in roots or [staging]]
        self._staging = _root(staging)
        self._s3 = s3

    def files(self, message: Batch) -> list[BatchFile]:
        """Return the files of a message, all of them allowed.

        Raises:
            RefusedError: if one of them may not be opened, or is no file.
        """
        kind, compression = _encoding(message.encoding)
        urls = message.manifest
        if not isinstance(urls, list) or not all(isinstance(u, str) for u in urls):
            raise RefusedError("a list of URLs", type(urls).__name__)
        if len(urls) > MAX_FILES:
            raise RefusedError(f"at most {MAX_FILES} files", f"{len(urls)} of them")
        if len(set(urls)) < len(urls):
            raise RefusedError("each file once", "a file that is named twice")
        return [
            self._file(url, kind, compression, f"manifest.{number}")
            for number, url in enumerate(urls)
        ]

    def _file(self, url: str, kind: str, compression: str, place: str) -> BatchFile:
        try:
            path, system, info = self._found(url)
        except RefusedError as refusal:
            raise RefusedError(refusal.expected, refusal.found, place) from None
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, say
            found = type(error).__name__
            raise RefusedError("a file that can be opened", found, place) from None
        if info.size > MAX_FILE_BYTES:
            expected = f"at most {MAX_FILE_BYTES} bytes"
            raise RefusedError(expected, f"{info.size} bytes", place)
        whole = url if system.type_name == "s3" else path
        is_ours = whole.startswith(f"{self._staging}/")
        written_at = info.mtime_ns / 1e9 if info.mtime_ns else 0.0
        return BatchFile(
            system, path, info.size, is_ours, kind, compression, written_at
        )

    def _found(self, url: str) -> tuple[str, pafs.FileSystem, pafs.FileInfo]:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or "::" in url:
            found = f"a {parts.scheme[:10] or 'nameless'} URL"
            raise RefusedError("a file:// or s3:// URL", found)
        if parts.query or parts.fragment:
            raise RefusedError("a URL of a file", "a query or a fragment")
        if parts.scheme == "s3":
            return self._object(url)
        if parts.netloc not in {"", "localhost"}:
            raise RefusedError("a file of this machine", "another host")
        return self._local(unquote(parts.path))

    def _local(self, text: str) -> tuple[str, pafs.FileSystem, pafs.FileInfo]:
        try:
            path = Path(text).resolve(strict=True)
        except FileNotFoundError:
            path = Path(text).resolve()
            _allowed(str(path), self._roots)  # say nothing of what is elsewhere
            raise RefusedError("a file", "nothing") from None
        _allowed(str(path), self._roots)
        if not stat.S_ISREG(path.stat().st_mode):
            raise RefusedError("a file", "a folder, or something else")
        system = pafs.LocalFileSystem()
        return str(path), system, system.get_file_info(str(path))

    def _object(self, url: str) -> tuple[str, pafs.FileSystem, pafs.FileInfo]:
        path = url.removeprefix("s3://")
        if not all(step.strip(".") for step in path.split("/")):
            raise RefusedError("a URL of an object", "empty or dotted steps")
        _allowed(url, self._roots)
        system = self._s3()
        info = system.get_file_info(path)
        if info.type != pafs.FileType.File:
            raise RefusedError("an object", "nothing")
        return path, system, info


def remove(file: BatchFile) -> None:
    """Delete a file whose rows are stored, if it was the warehouse's own."""
    if file.is_ours:
        with contextlib.suppress(OSError):
            file.system.delete_file(file.path)


def staging(warehouse: str) -> str:
    """Return the folder for files on their way into a warehouse."""
    return f"{warehouse.rstrip('/')}/{FOLDER}"


def _root(root: str) -> str:
    return root.rstrip("/") if is_remote(root) else str(local(root))


def _allowed(place: str, roots: Sequence[str]) -> None:
    if not any(place.startswith(f"{root}/") for root in roots):
        raise RefusedError("a file below one of batch_roots", "one that is elsewhere")


def _encoding(encoding: t.Any) -> tuple[str, str]:
    if not isinstance(encoding, dict) or encoding.get("format") not in _COMPRESSIONS:
        expected = "an encoding of parquet or jsonl"
        raise RefusedError(expected, "another one", "encoding")
    kind, compression = encoding["format"], encoding.get("compression")
    if compression not in _COMPRESSIONS[kind]:
        raise RefusedError(f"a compression of {kind}", "another one", "encoding")
    return kind, compression or "none"
