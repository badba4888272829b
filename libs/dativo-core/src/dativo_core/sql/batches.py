"""Rows as Parquet files, named to the target by BATCH messages."""

from __future__ import annotations

import typing as t

from dativo_core.arrow_types import file_schema
from dativo_core.batch_files import BatchFiles
from dativo_core.typed_columns import recorded, typed

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from typing_extensions import Self

    from dativo_core.batch_files import BatchConfig


class BatchWriter:
    """Writes the rows of one stream; as a context, it leaves no half file behind.

    Args:
        config: Where the files go.
        schemas: The JSON Schema of each column.
        send_rows: Sends rows as RECORD lines: those that a file cannot hold.
        send_file: Sends the BATCH message of a file.
    """

    def __init__(
        self,
        config: BatchConfig,
        schemas: Mapping[str, t.Any],
        send_rows: Callable[[pa.RecordBatch], None],
        send_file: Callable[[str], None],
    ) -> None:
        self._schema = file_schema(schemas)
        self._files = BatchFiles(config, self._schema)
        self._send_rows = send_rows
        self._send_file = send_file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.finish()
        self._files.abandon()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows as the source gave them."""
        rows, others = typed(batch, self._schema)
        if others is not None:
            self._send_rows(_as_recorded(others))
        if rows.num_rows:
            self._named(self._files.write(rows))

    def finish(self) -> None:
        """End the present file: a STATE that covers its rows may follow."""
        self._named(self._files.finish())

    def _named(self, url: str | None) -> None:
        if url is not None:
            self._send_file(url)


def _as_recorded(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415 heavy, and taps start without it

    columns = [recorded(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
