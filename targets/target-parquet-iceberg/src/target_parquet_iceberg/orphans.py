"""Find files of a table that nothing refers to: what killed runs have left behind."""

from __future__ import annotations

import logging
import typing as t

import pyarrow.fs as pafs
from pyiceberg.io.pyarrow import PyArrowFileIO

from target_parquet_iceberg.expiry import HOUR, needed

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.table import Table

logger = logging.getLogger(__name__)

FOLDERS = ("data", "metadata")


def orphans(table: Table, older_than_hours: float, now: float) -> list[str]:
    """List files under the table's data and metadata that are old and unknown to it.

    Young files may belong to a load that goes on, so the limit is a matter of safety.
    The files are listed before the table is read: what is committed meanwhile is known.

    Returns:
        Locations, as the table's own storage spells them.
    """
    location = table.location().rstrip("/")
    cutoff = now - older_than_hours * HOUR
    snapshot = table.current_snapshot()
    anchors = {table.metadata_location, *([snapshot.manifest_list] if snapshot else ())}
    found = dict(_files(table, location))
    if not {_name(location, anchor) for anchor in anchors} <= found.keys():
        # Storage spells names in another way than the table: compare nothing.
        name = ".".join(table.name())
        logger.warning("Table %s: its own files are not listed as it names them", name)
        return []
    known = _known(table.refresh())
    names = {_name(location, path) for path in known}
    return [
        f"{location}/{name}"
        for name, modified in sorted(found.items())
        if name not in names and modified < cutoff
    ]


def _known(table: Table) -> set[str]:
    metadata = table.metadata
    return {
        table.metadata_location,
        *(entry.metadata_file for entry in metadata.metadata_log),
        *(file.statistics_path for file in metadata.statistics),
        *(file.statistics_path for file in metadata.partition_statistics),
        *needed(table.io, metadata),
    }


def _files(table: Table, location: str) -> Iterator[tuple[str, float]]:
    """Yield name below the location and time of change of every file."""
    scheme, host, base = PyArrowFileIO.parse_location(location, table.io.properties)
    system = PyArrowFileIO(table.io.properties).fs_by_scheme(scheme, host)
    for folder in FOLDERS:
        root = f"{base}/{folder}"
        selector = pafs.FileSelector(root, recursive=True, allow_not_found=True)
        for info in system.get_file_info(selector):
            if info.type is pafs.FileType.File and info.mtime is not None:
                yield f"{folder}{info.path[len(root) :]}", info.mtime.timestamp()


def _name(location: str, path: str) -> str:
    """Return a file's name below the table's location, whatever scheme is written."""
    return _bare(path).removeprefix(f"{_bare(location)}/")


def _bare(path: str) -> str:
    return path.split("://", 1)[-1] if "://" in path else path.removeprefix("file:")
