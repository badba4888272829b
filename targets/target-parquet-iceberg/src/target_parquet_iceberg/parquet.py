"""Plain Parquet in a Hive layout: `<warehouse>/<namespace>/<table>/<key>=<value>/`.

Files get names of their own and appear whole; the bookmark lies beside them in
`_dativo.json`, written after the files it covers.
"""

from __future__ import annotations

import json
import logging
import typing as t
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg.plan import Method

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.table import Commit

logger = logging.getLogger(__name__)

MANIFEST = "_dativo.json"
_ROW = "__row"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


class ParquetWarehouse:
    """Opens the Parquet folders of one run."""

    def __init__(
        self, system: pafs.FileSystem, root: str, namespace: str, run_id: str
    ) -> None:
        self._system = system
        self._root = f"{root.rstrip('/')}/{namespace}"
        self._run_id = run_id

    def table(self, plan: Plan) -> ParquetTable:
        """Return the folder of a stream.

        Raises:
            ConfigurationError: for upserts, which plain files cannot do.
        """
        if plan.resolve(versioned=True) is Method.UPSERT:
            raise cannot_upsert(plan.stream)
        return ParquetTable(
            self._system, f"{self._root}/{plan.table}", plan, self._run_id
        )

    def maintain(self) -> None:
        """Do nothing: plain files have no history to look after."""


class ParquetTable:
    """One folder of Parquet files."""

    def __init__(
        self, system: pafs.FileSystem, path: str, plan: Plan, run_id: str
    ) -> None:
        self._system = system
        self._path = path
        self._plan = plan
        self._run_id = run_id
        self._sequence = 0

    can_stage = False

    def columns(self) -> None:
        """Tell that files of different types may lie side by side."""

    def knows(self, version: int) -> bool:  # noqa: ARG002 loads are never staged
        """Tell that no part of a full load is ever durable before the end."""
        return False

    def repeats(self, commit: Commit, *, is_end: bool) -> bool:  # noqa: ARG002
        """Tell that no row is recognised: appends to files are not exactly once."""
        return False

    def commit(self, commit: Commit) -> None:
        """Add files, or replace them all, then write the bookmark.

        Raises:
            ConfigurationError: for upserts, which plain files cannot do.
        """
        if commit.method is Method.UPSERT:
            raise cannot_upsert(self._plan.stream)
        self._sequence += 1
        old = self._files() if commit.method is Method.OVERWRITE else []
        if commit.rows is not None:
            self._add(commit.rows)
        for path in old:
            self._system.delete_file(path)
        self._write_manifest(commit)

    def _add(self, rows: pa.Table) -> None:
        for number, (folder, part) in enumerate(split(rows, self._plan.partition_by)):
            name = f"{self._run_id}-{self._sequence:05d}-{number:05d}.parquet"
            self._write(f"{self._path}{folder}", name, part)
        logger.info("Committed %d rows to %s", rows.num_rows, self._path)

    def _write(self, folder: str, name: str, part: pa.Table) -> None:
        self._system.create_dir(folder, recursive=True)
        # No reader takes it for data; a stream to S3 appears whole by itself.
        is_local = isinstance(self._system, pafs.LocalFileSystem)
        temporary = f"{folder}/_{name}.tmp" if is_local else f"{folder}/{name}"
        pq.write_table(part, temporary, filesystem=self._system, compression="zstd")
        if is_local:
            self._system.move(temporary, f"{folder}/{name}")

    def _files(self) -> list[str]:
        selector = pafs.FileSelector(self._path, recursive=True, allow_not_found=True)
        found = self._system.get_file_info(selector)
        return [info.path for info in found if info.path.endswith(".parquet")]

    def _write_manifest(self, commit: Commit) -> None:
        content = {
            "run_id": self._run_id,
            "sequence": self._sequence,
            "state": commit.bookmark,
        }
        self._system.create_dir(self._path, recursive=True)
        with self._system.open_output_stream(f"{self._path}/{MANIFEST}") as stream:
            stream.write(json.dumps(content, sort_keys=True).encode())


def cannot_upsert(stream: str) -> ConfigurationError:
    """Say what to set instead."""
    msg = f"Stream '{stream}': plain Parquet cannot upsert."
    hint = "Set load_method to append-only or overwrite, or format to iceberg."
    return ConfigurationError(msg, hint=hint)


def split(rows: pa.Table, keys: tuple[str, ...]) -> Iterator[tuple[str, pa.Table]]:
    """Yield the Hive folder and the rows of every partition."""
    if not keys:
        yield "", rows
        return
    # By row numbers: comparing values would lose NaN and take -0.0 for 0.0.
    numbers = pa.array(range(rows.num_rows), pa.int64())
    numbered = rows.select(keys).append_column(_ROW, numbers)
    groups = numbered.group_by(list(keys), use_threads=False)
    for values in groups.aggregate([(_ROW, "list")]).to_pylist():
        part = rows.take(values.pop(f"{_ROW}_list"))
        yield folder_of(values), part.drop_columns(list(keys))


def folder_of(values: dict[str, t.Any]) -> str:
    """Return `/a=1/b=x%2Fy` for partition values."""
    return "".join(
        f"/{quote(name, safe='')}="
        + (NULL_PARTITION if value is None else quote(str(value), safe=" "))
        for name, value in values.items()
    )
