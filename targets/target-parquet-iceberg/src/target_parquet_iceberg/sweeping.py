"""Delete files that have waited too long in the staging folder of a warehouse."""

from __future__ import annotations

import logging
import typing as t

import pyarrow.fs as pafs

from target_parquet_iceberg.catalogs import is_remote
from target_parquet_iceberg.storage import filesystem

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)
HOUR = 3600


def sweep(
    system: pafs.FileSystem, folder: str, hours: float, clock: Callable[[], float]
) -> int:
    """Delete the files of a folder that are older; make none.

    Killed runs leave them behind, and the taps have sent their rows again since.

    Returns:
        How many there were.
    """
    selector = pafs.FileSelector(folder, allow_not_found=True, recursive=True)
    oldest = clock() - hours * HOUR
    old = [
        info.path
        for info in system.get_file_info(selector)
        if info.type == pafs.FileType.File and info.mtime_ns / 1e9 < oldest
    ]
    for path in old:
        system.delete_file(path)
    if old:
        logger.info("Deleted %d files of old runs from %s", len(old), folder)
    return len(old)


def sweeper(
    folder: str,
    options: Mapping[str, t.Any],
    hours: float,
    clock: Callable[[], float],
) -> Callable[[bool], None]:
    """Return what sweeps a folder; a failure is a warning.

    In an object store it asks only after a run that had files there itself.
    """

    def clean(has_files: bool) -> None:
        if is_remote(folder) and not has_files:
            return
        try:
            system, path = filesystem(folder, options)
            sweep(system, path, hours, clock)
        except OSError as error:
            logger.warning("Old files stay in %s: %s", folder, error)

    return clean
