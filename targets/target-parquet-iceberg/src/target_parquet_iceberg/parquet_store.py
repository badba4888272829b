"""Where plain Parquet lies: a folder whose files can be created exclusively.

Exclusive creation is what a log of commits needs from storage: of two runs that create
the same entry exactly one succeeds. On a local disk it is a hard link, on S3 a PUT with
`If-None-Match: *`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg.storage import filesystem, s3_files

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TEMPORARY = ".tmp"
_TAKEN = (409, 412)


class Store(t.Protocol):
    """A folder; names are relative to it and use slashes."""

    hides: bool
    """Whether files get a hidden name first: renaming is cheap and atomic."""

    def names(self, folder: str) -> list[str]:
        """List the files below a folder, in order."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None if there is no such file."""

    def create(self, name: str, content: bytes) -> bool:
        """Make a file durable at once and whole; False if the name is taken."""

    def write(self, name: str, rows: pa.Table) -> int:
        """Make rows durable as a Parquet file; return its size in bytes."""

    def open(self, name: str) -> pq.ParquetFile:
        """Open a Parquet file."""

    def move(self, old: str, new: str) -> None:
        """Rename a file, if it is there still."""

    def delete(self, name: str) -> None:
        """Delete a file, if it is there still."""


class LocalStore:
    """A folder on a local disk."""

    hides = True

    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def names(self, folder: str) -> list[str]:
        """List the files below a folder, in order."""
        paths = (self._root / folder).rglob("*")
        files = (path for path in paths if not path.is_dir())
        return sorted(path.relative_to(self._root).as_posix() for path in files)

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None if there is no such file."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, name: str, content: bytes) -> bool:
        """Link a finished file to its name: a link never replaces another file."""
        path = self._root / name
        self._make_folder(path.parent)
        hidden = path.with_name(f"_{path.name}-{uuid.uuid4().hex[:8]}{TEMPORARY}")
        with hidden.open("wb") as file:
            file.write(content)
            _flush(file)
        try:
            os.link(hidden, path)
        except FileExistsError:
            return False
        finally:
            hidden.unlink(missing_ok=True)
        _flush_folder(path.parent)
        return True

    def write(self, name: str, rows: pa.Table) -> int:
        """Make rows durable as a Parquet file; return its size in bytes."""
        path = self._root / name
        self._make_folder(path.parent)
        with path.open("wb") as file:
            pq.write_table(rows, file, compression="zstd")
            size = file.tell()
            _flush(file)
        _flush_folder(path.parent)
        return size

    def open(self, name: str) -> pq.ParquetFile:
        """Open a Parquet file."""
        return pq.ParquetFile(self._root / name)

    def move(self, old: str, new: str) -> None:
        """Rename a file, if it is there still."""
        with contextlib.suppress(FileNotFoundError):
            (self._root / old).rename(self._root / new)

    def delete(self, name: str) -> None:
        """Delete a file, if it is there still."""
        # Its folder stays: another run may be about to write there.
        (self._root / name).unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder durable, with those above it that are new."""
        new = [folder, *folder.parents]
        new = [path for path in new[: new.index(self._root) + 1] if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in reversed(new):
            _flush_folder(path.parent)


def _flush(file: t.Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class S3Store:
    """A prefix in a bucket.

    Args:
        system: Arrow's client, for data.
        put: Creates an object at a path exclusively; raises what s3fs raises.
        root: Bucket and prefix.
    """

    hides = False

    def __init__(
        self,
        system: pafs.S3FileSystem,
        put: Callable[[str, bytes], None],
        root: str,
    ) -> None:
        self._system = system
        self._put = put
        self._root = root

    def names(self, folder: str) -> list[str]:
        """List the files below a folder, in order."""
        base = f"{self._root}/{folder}" if folder else self._root
        selector = pafs.FileSelector(base, recursive=True, allow_not_found=True)
        found = self._system.get_file_info(selector)
        files = (info.path for info in found if info.type is pafs.FileType.File)
        return sorted(path[len(self._root) + 1 :] for path in files)

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None if there is no such file."""
        try:
            with self._system.open_input_stream(f"{self._root}/{name}") as stream:
                return t.cast("bytes", stream.read())
        except FileNotFoundError:
            return None

    def create(self, name: str, content: bytes) -> bool:
        """Put an object where there is none."""
        try:
            self._put(f"{self._root}/{name}", content)
        except OSError as error:
            if _is_taken(error):
                return False
            raise
        return True

    def write(self, name: str, rows: pa.Table) -> int:
        """Make rows durable as a Parquet file; return its size in bytes."""
        # A stream to S3 appears whole, when it is closed.
        with self._system.open_output_stream(f"{self._root}/{name}") as stream:
            pq.write_table(rows, stream, compression="zstd")
            return t.cast("int", stream.tell())

    def open(self, name: str) -> pq.ParquetFile:
        """Open a Parquet file."""
        return pq.ParquetFile(self._system.open_input_file(f"{self._root}/{name}"))

    def move(self, old: str, new: str) -> None:
        """Refuse: nothing here is hidden."""
        raise NotImplementedError(old, new)

    def delete(self, name: str) -> None:
        """Delete a file, if it is there still."""
        with contextlib.suppress(FileNotFoundError):
            self._system.delete_file(f"{self._root}/{name}")


def _is_taken(error: OSError) -> bool:
    """Tell whether S3 refused a PUT because of its condition.

    s3fs makes an invalid argument of it and keeps the answer as the cause.
    """
    if isinstance(error, FileExistsError):
        return True
    answer: t.Any = getattr(error.__cause__, "response", None) or {}
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return error.errno == errno.EINVAL and status in _TAKEN


def open_stores(settings: Mapping[str, t.Any]) -> Callable[[str], Store]:
    """Return what opens a folder below the warehouse.

    Raises:
        ConfigurationError: for storage that cannot create files exclusively.
    """
    url, options = settings["warehouse"], settings["storage_options"]
    system, root = filesystem(url, options)
    if isinstance(system, pafs.LocalFileSystem):
        return lambda folder: LocalStore(f"{root}/{folder}")
    if not isinstance(system, pafs.S3FileSystem):
        msg = f"Warehouse {url}: plain Parquet needs a local disk or S3."
        raise ConfigurationError(msg, hint="Set format to iceberg, with a catalog.")
    files = s3_files(options)

    def put(path: str, content: bytes) -> None:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 as s3fs

        try:
            files().pipe_file(path, content, mode="create")
        except BotoCoreError as error:  # no answer; said in the words of Arrow's S3
            text = f"NETWORK_CONNECTION: {error}"
            raise OSError(text) from error

    base = root.rstrip("/")
    return lambda folder: S3Store(system, put, f"{base}/{folder}")
