"""The SDK's `_sdc_` columns, filled for whole blocks."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import pyarrow as pa

from target_parquet_iceberg.schema import UTC_MICROS, Column
from target_parquet_iceberg.values import Unfit, fit

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

# What a record's message says beside it: the time of extraction, the full load.
Mark: t.TypeAlias = tuple["str | None", "int | None"]

DELETED_AT = Column(
    "_sdc_deleted_at", UTC_MICROS, "string", "When the source deleted it."
)
COLUMNS = (
    Column("_sdc_extracted_at", UTC_MICROS, "string", "When the tap read the record."),
    Column("_sdc_received_at", UTC_MICROS, "string", "When the target got the record."),
    Column("_sdc_batched_at", UTC_MICROS, "string", "When its block was decoded."),
    DELETED_AT,
    Column(
        "_sdc_sequence", pa.int64(), "integer", "Epoch milliseconds of the receipt."
    ),
    Column("_sdc_table_version", pa.int64(), "integer", "Version of the full load."),
    Column("_sdc_sync_started_at", pa.int64(), "integer", "Epoch ms of the run."),
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Adds the metadata columns that the tap did not send itself."""

    sync_started_at: datetime
    clock: Callable[[], datetime]

    def add_to(self, rows: pa.Table, marks: Sequence[Mark]) -> pa.Table:
        """Append the columns; `marks` are those of the rows, in order."""
        count = rows.num_rows
        now = self.clock()
        millis = int(now.timestamp() * 1000)
        started = int(self.sync_started_at.timestamp() * 1000)
        values: dict[str, t.Any] = {
            "_sdc_extracted_at": _moments([time for time, _ in marks]),
            "_sdc_received_at": [now] * count,
            "_sdc_batched_at": [now] * count,
            "_sdc_deleted_at": [None] * count,
            "_sdc_sequence": [millis] * count,
            "_sdc_table_version": [version for _, version in marks],
            "_sdc_sync_started_at": [started] * count,
        }
        for column in COLUMNS:
            if column.name not in rows.column_names:
                array = pa.array(values[column.name], column.type)
                field = pa.field(column.name, column.type, metadata={"doc": column.doc})
                rows = rows.append_column(field, array)
        return rows


def _moments(texts: Sequence[str | None]) -> list[datetime | None]:
    # A tap reads many records at one time.
    moments = {text: _moment(text) for text in set(texts)}
    return [moments[text] for text in texts]


def _moment(text: str | None) -> datetime | None:
    try:
        return t.cast("datetime | None", fit(text, UTC_MICROS))
    except Unfit:
        return None
