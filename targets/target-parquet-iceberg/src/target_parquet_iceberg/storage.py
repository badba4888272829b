"""Files outside the catalog: plain Parquet and dead letters, on disk or on S3."""

from __future__ import annotations

import typing as t

import pyarrow.fs as pafs
from dativo_core.dead_letters import LocalFolder

from target_parquet_iceberg.catalogs import is_remote, local
from target_parquet_iceberg.object_storage import s3_filesystem, storage_properties

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from dativo_core.dead_letters import Folder


def filesystem(url: str, options: Mapping[str, t.Any]) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a folder or `s3://` URL, and the path on it."""
    if not is_remote(url):
        return pafs.LocalFileSystem(), str(local(url))
    if not url.startswith(("s3://", "s3a://")):
        found, path = pafs.FileSystem.from_uri(url)
        return found, path
    return s3_filesystem(storage_properties(options)), url.split("://", 1)[1]


def dead_letter_folder(url: str, options: Mapping[str, t.Any]) -> Folder:
    """Return the folder for dead letters."""
    if not is_remote(url):
        return LocalFolder(local(url))
    found, path = filesystem(url, options)
    return ObjectFolder(found, path)


class ObjectFolder:
    """A folder in an object store, which cannot append: files are written anew.

    They stay small, since a run stops when it has too many dead letters.
    """

    def __init__(self, system: pafs.FileSystem, root: str) -> None:
        self._system = system
        self._root = root.rstrip("/")
        self._content: dict[str, bytes] = {}

    def append(self, path: str, lines: bytes) -> str:
        """Add lines to the object at a relative path."""
        self._content[path] = self._content.get(path, b"") + lines
        name = f"{self._root}/{path}"
        with self._system.open_output_stream(name) as stream:
            stream.write(self._content[path])
        return name
