"""Take the files of BATCH messages: hold those that can be adopted, read the others."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

import pyarrow as pa
from dativo_core.dead_letters import DeadLetter

from target_parquet_iceberg import batch_rows
from target_parquet_iceberg.checks import screen
from target_parquet_iceberg.manifest import remove
from target_parquet_iceberg.messages import Malformed, Record
from target_parquet_iceberg.plan import Deletes
from target_parquet_iceberg.table import HeldFile

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow.parquet as pq

    from target_parquet_iceberg.manifest import BatchFile, Roots
    from target_parquet_iceberg.mapping import Mapping
    from target_parquet_iceberg.messages import Batch
    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.schema import Column
    from target_parquet_iceberg.stream_load import StreamLoad


class Sink(t.Protocol):
    """Where rows go that are read: the load."""

    def record(self, message: Record) -> None:
        """Take a record."""

    def malformed(self, message: Malformed) -> None:
        """Take a line that is none."""

    def decode(self, stream: StreamLoad) -> None:
        """Decode the records so far."""

    def refuse(self, stream: StreamLoad, letters: list[DeadLetter]) -> None:
        """Keep dead letters."""


class Batches:
    """Reads files that manifests name.

    Args:
        roots: What they may name.
        max_line_bytes: The longest line of a JSONL file.
        has_metadata: Whether rows get columns that no file has.
        clean: Looks for what older runs have left, told whether this one had files.
    """

    def __init__(
        self,
        roots: Roots,
        max_line_bytes: int,
        *,
        has_metadata: bool = False,
        clean: Callable[[bool], None] | None = None,
    ) -> None:
        self._roots = roots
        self._max_line_bytes = max_line_bytes
        self._has_metadata = has_metadata
        self._clean = clean
        self._has_files = False
        self._mapped: list[BatchFile] = []

    def take(self, message: Batch, stream: StreamLoad, sink: Sink) -> None:
        """Take the rows of a message's files, in order.

        Raises:
            RefusedError: if a file may not be opened, or cannot be read to its end.
        """
        for file in self._roots.files(message):
            self._has_files = True
            stream.intake.used.append(file)
            if file.format == "parquet":
                self._parquet(file, stream, sink)
            else:
                like = _like(file, stream)
                self._records(self._lines(file, sink), like, sink)

    def take_mapped(self, message: Batch, mapping: Mapping, sink: Sink) -> None:
        """Take the rows through stream maps, one by one.

        Raises:
            RefusedError: as above.
        """
        for file in self._roots.files(message):
            self._has_files = True
            self._mapped.append(file)
            is_parquet = file.format == "parquet"
            rows = (
                batch_rows.records(batch_rows.open_parquet(file))
                if is_parquet
                else self._lines(file, sink)
            )
            extracted_at = _extracted_at(file)
            for raw in rows:
                record = Record(message.stream, raw, None, extracted_at)
                for mapped in mapping.records(record):
                    sink.record(mapped)

    def close(self) -> None:
        """Delete what no single commit has covered, now that all have landed."""
        for file in self._mapped:
            remove(file)
        self._mapped.clear()
        if self._clean is not None:
            self._clean(self._has_files)

    def _parquet(self, file: BatchFile, stream: StreamLoad, sink: Sink) -> None:
        opened = batch_rows.open_parquet(file)
        sink.decode(stream)  # what came before stays before
        stream.settle()
        plan = stream.intake.plan
        if not batch_rows.is_typed(opened.schema_arrow, plan):
            self._records(batch_rows.records(opened), _like(file, stream), sink)
            return
        held = HeldFile(file, opened.metadata, stream.intake.seen)
        if self._is_clean(opened, file, plan) and stream.adopts(held):
            stream.intake.hold(held)
            return
        like = _like(file, stream)
        for block in batch_rows.blocks(opened, plan):
            count = block.source.num_rows
            stream.intake.add_rows(block.rows, block.indices, count, like)
            sink.refuse(stream, _letters(plan.stream, block))

    def _is_clean(self, opened: pq.ParquetFile, file: BatchFile, plan: Plan) -> bool:
        """Tell whether the rows are good, each of them, and complete."""
        is_whole = set(opened.schema_arrow.names) == {c.name for c in plan.columns}
        return (
            is_whole
            and not self._has_metadata
            and plan.deletes is Deletes.NONE
            and opened.metadata.num_rows > 0
            and _is_sound(opened.metadata, file.bytes)
            and all(_is_good(opened, column, plan) for column in plan.columns)
        )

    def _lines(self, file: BatchFile, sink: Sink) -> Iterator[bytes]:
        for line in batch_rows.lines(file, self._max_line_bytes):
            if isinstance(line, Malformed):
                sink.malformed(line)
            elif line.strip():
                yield line.rstrip(b"\r\n")

    def _records(self, rows: Iterator[bytes], like: Record, sink: Sink) -> None:
        for raw in rows:
            sink.record(Record(like.stream, raw, like.version, like.time_extracted))


def _is_sound(footer: pq.FileMetaData, size: int) -> bool:
    """Tell whether all that the footer tells of is inside the file."""
    for group in range(footer.num_row_groups):
        for number in range(footer.num_columns):
            chunk = footer.row_group(group).column(number)
            first = chunk.dictionary_page_offset or chunk.data_page_offset
            if not 4 <= first <= first + chunk.total_compressed_size <= size:  # noqa: PLR2004
                return False
    return True


def _is_good(opened: pq.ParquetFile, column: Column, plan: Plan) -> bool:
    """Judge a column by its statistics; if its rule asks for more, by its values."""
    suspects = screen(column)
    is_key = column.name in plan.keys
    may_be_null = not is_key and (
        column.rule.is_nullable or not column.rule.is_required
    )
    if may_be_null and suspects is None and not batch_rows.is_limited(column.type):
        return True
    if suspects is None and not pa.types.is_nested(column.type):
        return _is_within(opened.metadata, column, may_be_null=may_be_null)
    # Group by group: a column of strings may be larger than memory is meant for.
    for number in range(opened.num_row_groups):
        part = opened.read_row_group(number, [column.name])[column.name]
        array = part.combine_chunks().cast(column.type)
        if array.null_count and not may_be_null:
            return False
        misfits = batch_rows.misfits(column, array)
        if next(misfits, None) or not batch_rows.is_within(array):
            return False
    return True


def _is_within(footer: pq.FileMetaData, column: Column, *, may_be_null: bool) -> bool:
    for group in range(footer.num_row_groups):
        for number in range(footer.num_columns):
            chunk = footer.row_group(group).column(number)
            if chunk.path_in_schema != column.name:
                continue
            found = chunk.statistics
            if found is None or not found.has_null_count:
                return False
            if found.null_count and not may_be_null:
                return False
            is_empty = found.null_count == chunk.num_values
            if not (is_empty or batch_rows.are_limits_good(column.type, found)):
                return False
    return True


def _letters(stream: str, block: batch_rows.Block) -> list[DeadLetter]:
    if not block.rejects:
        return []
    places = [reject.index for reject in block.rejects]
    texts = batch_rows.encoded(block.source.take(places))
    return [
        DeadLetter(stream, r.stage, r.path, r.expected, r.found, text)
        for r, text in zip(block.rejects, texts, strict=True)
    ]


def _like(file: BatchFile, stream: StreamLoad) -> Record:
    """Return what the metadata columns say of the rows of a file."""
    name, version = stream.intake.plan.stream, stream.intake.version
    return Record(name, b"", version, _extracted_at(file))


def _extracted_at(file: BatchFile) -> str:
    return datetime.fromtimestamp(file.written_at, timezone.utc).isoformat()
