"""Files outside the catalog: plain Parquet and dead letters, on disk or on S3."""

from __future__ import annotations

import typing as t
from functools import cache

import pyarrow.fs as pafs
from dativo_core.dead_letters import LocalFolder

from target_parquet_iceberg.catalogs import is_remote, local
from target_parquet_iceberg.object_storage import (
    CA_FILE,
    VIRTUAL,
    is_true,
    prepare,
    s3_filesystem,
    storage_properties,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dativo_core.dead_letters import Folder


def filesystem(url: str, options: Mapping[str, t.Any]) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a folder or `s3://` URL, and the path on it."""
    if not is_remote(url):
        return pafs.LocalFileSystem(), str(local(url))
    if not url.startswith(("s3://", "s3a://")):
        found, path = pafs.FileSystem.from_uri(url)
        return found, path
    return s3_filesystem(storage_properties(options)), url.split("://", 1)[1]


def s3_files(options: Mapping[str, t.Any]) -> Callable[[], t.Any]:
    """Return what gives s3fs with the same options, made when it is first wanted.

    Arrow's S3 cannot write under a condition.
    """

    @cache
    def files() -> t.Any:
        from s3fs import S3FileSystem  # noqa: PLC0415 it takes a third of a second

        known = storage_properties(options)
        prepare(known)
        client = {"region_name": known.get("s3.region"), "verify": known.get(CA_FILE)}
        is_virtual = is_true(known.get(VIRTUAL, "s3.endpoint" not in known))
        style = {"addressing_style": "virtual" if is_virtual else "path"}
        # Who writes under a condition asks what became of it before another try.
        config = {"retries": {"total_max_attempts": 1}, "s3": style}
        return S3FileSystem(
            key=known.get("s3.access-key-id"),
            secret=known.get("s3.secret-access-key"),
            token=known.get("s3.session-token"),
            endpoint_url=_with_scheme(known.get("s3.endpoint")),
            client_kwargs={name: value for name, value in client.items() if value},
            config_kwargs=config,
            skip_instance_cache=True,
        )

    return files


def _with_scheme(endpoint: str | None) -> str | None:
    if endpoint is None or "://" in endpoint:
        return endpoint
    return f"https://{endpoint}"  # as Arrow reads it


def dead_letter_folder(url: str, options: Mapping[str, t.Any]) -> Folder:
    """Return the folder for dead letters."""
    if not is_remote(url):
        return LocalFolder(local(url))
    if not url.startswith(("s3://", "s3a://")):
        return ObjectFolder(*filesystem(url, options))
    # Small objects in one request where Arrow would make three.
    found = s3_filesystem(storage_properties(options), allow_delayed_open=True)
    return ObjectFolder(found, url.split("://", 1)[1])


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
        self.put(path, self._content[path])
        return f"{self._root}/{path}"

    def put(self, path: str, content: bytes) -> None:
        """Write an object."""
        with self._system.open_output_stream(f"{self._root}/{path}") as stream:
            stream.write(content)

    def names(self, folder: str = "") -> list[str]:
        """List the objects one level down."""
        place = f"{self._root}/{folder}" if folder else self._root
        wanted = pafs.FileSelector(place, allow_not_found=True, recursive=True)
        found = self._system.get_file_info(wanted)
        files = [one.path for one in found if one.type is pafs.FileType.File]
        paths = [path.removeprefix(f"{self._root}/") for path in files]
        return sorted(path for path in paths if path.count("/") == 1)

    def read(self, path: str) -> bytes:
        """Return the content of an object."""
        try:
            with self._system.open_input_stream(f"{self._root}/{path}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return b""

    def rewrite(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Replace an object; nothing keeps a run from adding to it meanwhile."""
        kept = change(self.read(path))
        if kept:
            self.put(path, kept)
        else:
            self._system.delete_file(f"{self._root}/{path}")
