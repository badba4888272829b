"""How large data files, their row groups and their pages may become."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from pyiceberg.table import TableProperties

from target_parquet_iceberg.arrange import WINDOW_BYTES
from target_parquet_iceberg.parquet_options import numbers

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from target_parquet_iceberg.arrange import Part

TARGET_BYTES = "write.target-file-size-bytes"
TARGET_BYTES_DEFAULT = 256 * 2**20
GROUP_BYTES = "write.parquet.row-group-size-bytes"
GROUP_BYTES_DEFAULT = 256 * 2**20
# What is written at once while more comes; it is held in memory meanwhile.
PIECE_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large files, their row groups and their pages may become."""

    file_bytes: int
    group_bytes: int
    group_rows: int
    page_bytes: int
    page_rows: int

    def rows_of_group(self, part: Part) -> int:
        """Return the number of rows of each row group, all of about one size.

        Bytes are those in memory: what a row group takes while it is written.
        """
        limit = min(self.group_bytes, self.file_bytes)
        if part.order is not None:
            limit = min(limit, WINDOW_BYTES)
        part_bytes: int = part.rows.nbytes * part.num_rows // part.rows.num_rows
        groups = max(-(-part_bytes // limit), -(-part.num_rows // self.group_rows), 1)
        return -(-part.num_rows // groups)

    def rows_at_once(self, piece: pa.Table) -> int:
        """Return the most rows that a row group of such rows should have."""
        return self.rows_in(PIECE_BYTES, piece.num_rows, piece.nbytes)

    def rows_in(self, most_bytes: int, rows: int, size: int) -> int:
        """Return the most rows of a row group, if so many are of this size."""
        limit = min(self.group_bytes, self.file_bytes, most_bytes)
        return max(1, min(limit * rows // max(1, size), self.group_rows))

    def is_full(self, size: int, groups: int) -> bool:
        """Tell whether another row group would go beyond the file's limit."""
        return size + size // groups > self.file_bytes


def cut(rows: pa.Table, most_rows: int) -> Iterator[pa.Table]:
    """Cut rows into as few pieces as possible, all of about one size."""
    count = -(-rows.num_rows // most_rows)
    size = -(-rows.num_rows // count)
    for start in range(0, rows.num_rows, size):
        yield rows.slice(start, size)


def sizes_of(properties: Mapping[str, str]) -> Sizes:
    """Read the sizes that a table asks for."""
    number = numbers(properties)
    return Sizes(
        file_bytes=number(TARGET_BYTES, TARGET_BYTES_DEFAULT),
        group_bytes=number(GROUP_BYTES, GROUP_BYTES_DEFAULT),
        group_rows=number(
            TableProperties.PARQUET_ROW_GROUP_LIMIT,
            TableProperties.PARQUET_ROW_GROUP_LIMIT_DEFAULT,
        ),
        page_bytes=number(
            TableProperties.PARQUET_PAGE_SIZE_BYTES,
            TableProperties.PARQUET_PAGE_SIZE_BYTES_DEFAULT,
        ),
        page_rows=number(
            TableProperties.PARQUET_PAGE_ROW_LIMIT,
            TableProperties.PARQUET_PAGE_ROW_LIMIT_DEFAULT,
        ),
    )
