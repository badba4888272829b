"""PyIceberg's storage with as few requests as an object store can do with.

Arrow opens a multipart upload for every object, three requests where one does;
PyIceberg asks for the size of what it has just written, and reads back the manifests
and metadata that it has in memory. Those never change once they are written.
"""

from __future__ import annotations

import io
import re
import threading
import typing as t

import pyarrow.fs as pafs
from cachetools import LRUCache
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFileIO

from target_parquet_iceberg.object_storage import CA_FILE

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.io import InputStream, OutputStream

LARGEST_KEPT = 8 * 2**20
KEPT_BYTES = 32 * 2**20
SYSTEMS_KEPT = 16
_STORAGE = ("s3.", "client.", "dativo.")
# The name must be the only one of its kind in the world, not `v3.metadata.json`.
_METADATA = re.compile(r"/metadata/[^/]*[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class Kept:
    """The contents of small files that never change, by location; for all threads."""

    def __init__(self) -> None:
        self._files: LRUCache[str, bytes] = LRUCache(KEPT_BYTES, getsizeof=len)
        self._lock = threading.Lock()

    def get(self, location: str) -> bytes | None:
        """Return the content of a file that is known."""
        with self._lock:
            return self._files.get(location)

    def put(self, location: str, content: bytes) -> None:
        """Remember the content of a file, if it is small."""
        if len(content) <= LARGEST_KEPT:
            with self._lock:
                self._files[location] = content

    def drop(self, location: str) -> None:
        """Forget a file."""
        with self._lock:
            self._files.pop(location, None)


class FrugalFileIO(PyArrowFileIO):
    """Reads a metadata file at most once, writes it in one request.

    PyIceberg makes an instance for every look at a table, so what is known is known to
    all of them.
    """

    kept: t.ClassVar[Kept] = Kept()
    # Catalogs that lend credentials lend new ones every hour.
    _systems: t.ClassVar[LRUCache[str, pafs.S3FileSystem]] = LRUCache(SYSTEMS_KEPT)
    _guard: t.ClassVar[threading.Lock] = threading.Lock()

    def new_input(self, location: str) -> t.Any:
        """Return a file to read."""
        file = super().new_input(location)
        return SmallFile(file, self.kept) if _METADATA.search(location) else file

    def new_output(self, location: str) -> t.Any:
        """Return a file to write."""
        file = super().new_output(location)
        return SmallFile(file, self.kept) if _METADATA.search(location) else file

    def delete(self, location: t.Any) -> None:
        """Delete a file."""
        name = location if isinstance(location, str) else location.location
        self.kept.drop(name)
        super().delete(name)

    def _initialize_s3_fs(self, netloc: str | None) -> pafs.FileSystem:
        # The properties of tables are among them: a system for each table otherwise.
        chosen = {n: v for n, v in self.properties.items() if n.startswith(_STORAGE)}
        key = repr((netloc, sorted(chosen.items())))
        with self._guard:
            if key not in self._systems:
                self._systems[key] = self._s3_system(netloc)
            return self._systems[key]

    def _s3_system(self, netloc: str | None) -> pafs.S3FileSystem:
        made = super()._initialize_s3_fs(netloc)
        # PyIceberg has no properties for these.
        _, (options,) = made.__reduce__()
        options |= {
            "allow_delayed_open": True,
            "tls_ca_file_path": self.properties.get(CA_FILE),
        }
        return pafs.S3FileSystem(**options)


class WholeFile(FileIO):
    """Storage that has one file in memory: read at once, then as often as needed."""

    def __init__(self, inner: FileIO, location: str) -> None:
        super().__init__(inner.properties)
        self._inner = inner
        self._file = SmallFile(inner.new_input(location), Kept())

    def new_input(self, location: str) -> InputFile:
        """Return a file to read."""
        is_known = location == self._file.location
        return self._file if is_known else self._inner.new_input(location)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write."""
        return self._inner.new_output(location)

    def delete(self, location: t.Any) -> None:
        """Delete a file."""
        self._inner.delete(location)


class SmallFile(InputFile, OutputFile):
    """A small file that is read and written as a whole."""

    def __init__(self, file: t.Any, kept: Kept) -> None:
        super().__init__(location=file.location)
        self._file = file
        self._kept = kept

    def __len__(self) -> int:
        content = self._kept.get(self.location)
        return len(self._file) if content is None else len(content)

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return bool(self._file.exists())

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002 it always is
        """Return the content, from memory where it is known."""
        content = self._kept.get(self.location)
        if content is None:
            with self._file.open(seekable=False) as stream:
                content = stream.read()
            self._kept.put(self.location, content)
        return io.BytesIO(content)

    def create(self, overwrite: bool = False) -> OutputStream:
        """Return a stream whose content is written when it is closed."""
        if not overwrite and self._file.exists():
            msg = f"Cannot create file, already exists: {self.location}"
            raise FileExistsError(msg)
        return _Whole(self._write)

    def to_input_file(self) -> SmallFile:
        """Return the file to read."""
        return self

    def _write(self, content: bytes) -> None:
        with self._file.create(overwrite=True) as stream:
            stream.write(content)
        self._kept.put(self.location, content)


class _Whole(io.BytesIO):
    """Hands over all that was written when it is closed."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            super().close()  # half a file must not look like a whole one

    def close(self) -> None:
        if not self.closed:
            content = self.getvalue()
            super().close()
            self._write(content)
