"""One relation as a Singer stream: what the catalog says, and how a sync runs."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
import typing as t

from singer_sdk import Stream
from singer_sdk.helpers._batch import BaseBatchFileEncoding
from singer_sdk.helpers._util import utc_now
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import Metadata

from dativo_core import verbatim
from dativo_core.batch_files import batch_config
from dativo_core.errors import ConfigurationError
from dativo_core.exact_schema import ExactSchema
from dativo_core.output import LineWriter
from dativo_core.sql.comparing import SqlSide, is_digestible
from dativo_core.sql.progress import Meter
from dativo_core.sql.reading import AHEAD_BYTES, Progress, Source

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import CatalogEntry, MetadataMapping

    from dativo_core.batch_files import BatchConfig
    from dativo_core.sql.batches import BatchWriter
    from dativo_core.sql.journal import Journal
    from dativo_core.sql.reading import Event, FullLoad, Reader
    from dativo_core.sql.relation import Column, Relation, Value
    from dativo_core.sql.tap import SqlTap


@dataclasses.dataclass(slots=True)
class ColumnMetadata(Metadata):
    """A column's metadata, with its type as the table declares it."""

    sql_datatype: str | None = None


class SqlStream(Stream):
    """A table or view.

    Args:
        tap: The tap, with its settings.
        relation: What the database says of it.
        reader: Asks the database for its rows.
    """

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: SqlTap, relation: Relation, reader: Reader) -> None:
        self._relation = relation
        self._reader = reader
        self._load: FullLoad | None = None
        described = {column.name: column.value for column in relation.columns}
        schema = {
            "type": "object",
            "properties": {name: value.schema for name, value in described.items()},
        }
        super().__init__(tap, schema, relation.stream)
        self.primary_keys = list(relation.key)

    # What the catalog says

    @property
    def metadata(self) -> MetadataMapping:
        """The SDK's metadata, plus what the database knows."""
        is_new = self._metadata is None
        metadata = super().metadata
        is_given = self._tap_input_catalog and self.name in self._tap_input_catalog
        if is_new and not is_given:
            root = metadata.root
            root.schema_name = self._relation.schema
            root.valid_replication_keys = self._relation.cursors
            for column in self._relation.columns:
                breadcrumb = ("properties", column.name)
                inclusion = metadata[breadcrumb].inclusion
                metadata[breadcrumb] = ColumnMetadata(
                    inclusion, sql_datatype=column.declared
                )
        return metadata

    @property
    def _singer_catalog_entry(self) -> CatalogEntry:
        return dataclasses.replace(
            super()._singer_catalog_entry,
            schema=ExactSchema.from_dict(self.schema),
            is_view=self._relation.is_view,
            database=self._relation.database,
            table=self._relation.name,
            row_count=self._relation.rows,
        )

    @property
    def replication_method(self) -> str:
        """The method of the catalog, else of the settings."""
        default = self.config.get("default_replication_method") or "FULL_TABLE"
        if self.forced_replication_method or self.replication_key:
            return super().replication_method
        return str(default)

    @property
    def emit_activate_version_messages(self) -> bool:
        """Full loads always name their version: it is how a target replaces them."""
        return True

    def get_batch_config(self, config: Mapping[str, t.Any]) -> None:
        """Keep the SDK from its own batches, which go through a dict per record."""

    def get_replication_key_signpost(self, context: Context | None = None) -> None:  # noqa: ARG002
        """Set none: the reader knows better than a clock what bounds a run."""
        return

    # How a sync runs

    def _write_schema_message(self) -> None:
        """Say first which stream comes next, and what this run starts from."""
        self._journalise(functools.partial(self._journal.begin, self.name))
        super()._write_schema_message()

    def _write_activate_version_message(self, full_table_version: int) -> None:
        """Keep the version of a load that goes on."""
        # Without a key the target could not merge rows that changed between two runs.
        state = self._bookmark if self.primary_keys else {}
        source, version = self._source(), full_table_version
        marker = state.get("full_table")
        # A column that is new would be null in all rows that came before.
        if marker and state.get("asked", source.digest) != source.digest:
            state, version = {}, max(version, marker["version"] + 1)
        self._load = self._reader.plan(source, state, version)
        self._stream_version = self._load.version
        super()._write_activate_version_message(self._stream_version)

    def _sync_records(
        self,
        context: Context | None = None,  # noqa: ARG002
        *,
        write_messages: bool = True,
    ) -> t.Generator[dict[str, t.Any], t.Any, t.Any]:
        """Write blocks of RECORD lines, or yield records one by one where asked to.

        Both ways leave the same state.
        """
        as_blocks = write_messages and self._can_write_blocks()
        files = self._files() if as_blocks else None
        self.logger.info("Reading %s.", self.name)
        with (
            self.get_record_counter() as counter,
            self.get_sync_timer(),
            files or contextlib.nullcontext(),
        ):
            for event in self._metered(native=files is not None):
                if isinstance(event, Progress):
                    if files:
                        files.finish()
                    self._remember(event.state, write=write_messages)
                elif files:
                    files.write(event)
                    counter.increment(event.num_rows)
                elif as_blocks:
                    self._write_blocks(event)
                    counter.increment(event.num_rows)
                else:
                    for record in self._decoded(event):
                        self._check_max_record_limit(counter.value)
                        counter.increment()
                        if write_messages:
                            self._write_record_message(record)
                        yield record
            total = counter.value
        self._finish(write=write_messages)
        self.logger.info("Read %d rows of %s.", total, self.name)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the rows as records, with the values that RECORD lines carry."""
        for event in self._events():
            if not isinstance(event, Progress):
                yield from self._decoded(event)

    def _metered(self, *, native: bool) -> Iterator[Event]:
        meter = Meter(self.name, self.logger.info, time.monotonic, self._total())
        for event in self._events(native=native):
            if not isinstance(event, Progress):
                meter.add(event.num_rows)
            yield event

    def _total(self) -> int | None:
        """Return about how many rows this run reads, if anybody knows."""
        is_part = self._source().where or self._bookmark
        is_full = self.replication_method == "FULL_TABLE"
        return self._relation.rows if is_full and not is_part else None

    @contextlib.contextmanager
    def side(
        self, columns: Collection[str], keys: tuple[str, ...]
    ) -> Iterator[SqlSide]:
        """Open a transaction that compares columns, those of the key first."""
        chosen = [*keys, *(name for name in columns if name not in keys)]
        values = {name: self._selected[name] for name in chosen}
        source = dataclasses.replace(self._source(), columns=values)
        with self._reader.digesting.asking() as ask:
            yield SqlSide(source, keys, self._reader.digesting, ask)

    @property
    def digestible(self) -> list[str]:
        """The columns whose values are printed alike everywhere."""
        return [n for n, value in self._selected.items() if is_digestible(value)]

    def _events(self, *, native: bool = False) -> Iterator[Event]:
        source = self._source()
        if native:
            rows = self._batch_config.rows if self._batch_config else 0
            source = dataclasses.replace(source, native=True, state_rows=rows)
        if self.replication_method == "INCREMENTAL":
            cursor = self._cursor()
            return self._reader.incremental(source, cursor, self._bookmark)
        if self.replication_method != "FULL_TABLE":
            msg = f"Stream '{self.name}' asks for {self.replication_method}."
            raise ConfigurationError(msg, hint="Use FULL_TABLE or INCREMENTAL.")
        load = self._load or self._reader.plan(source, {}, 0)
        return self._resumable(load.events(source))

    def _resumable(self, events: Iterator[Event]) -> Iterator[Event]:
        # See the version: without a key, such a load starts over.
        asked = self._source().digest
        for event in events:
            if not isinstance(event, Progress):
                yield event
            elif self.primary_keys:
                yield Progress({**event.state, "asked": asked})

    def _source(self) -> Source:
        stream_options = (self.config.get("stream_options") or {}).get(self.name) or {}
        limit = self.ABORT_AT_RECORD_COUNT
        return Source(
            relation=self._relation,
            dialect=self._reader.dialect,
            columns=self._selected,
            where=tuple(stream_options.get("custom_where_clauses") or ()),
            state_rows=self.config["state_interval_rows"],
            # One more than allowed shows that there are more.
            limit=None if limit is None else limit + 1,
            parallel=1 if limit else self.config.get("parallel_chunks", 1),
            ahead_bytes=AHEAD_BYTES // self.config.get("parallel_tables", 1),
        )

    @functools.cached_property
    def _selected(self) -> Mapping[str, Value]:
        catalogued = self.effective_schema.get("properties", {})
        existing = {column.name for column in self._relation.columns}
        gone = sorted(set(catalogued) - existing)
        if gone:
            self.logger.warning("%s lacks %s of the catalog.", self.name, gone)
        return {
            column.name: column.value
            for column in self._relation.columns
            if column.name in catalogued and self.mask["properties", column.name]
        }

    def _cursor(self) -> Column:
        for column in self._relation.columns:
            if column.name == self.replication_key and column.orders:
                return column
        msg = (
            f"Stream '{self.name}' is INCREMENTAL by '{self.replication_key}', which "
            "is not a column that can order changes."
        )
        valid = self._relation.cursors
        raise ConfigurationError(
            msg, hint=f"Set replication-key in the catalog to one of: {valid}."
        )

    # How messages leave

    def _can_write_blocks(self) -> bool:
        is_plain = type(self._tap.message_writer) is LineWriter
        [first, *others] = self.stream_maps
        return (
            is_plain
            and not others
            and type(first) is SameRecordTransform
            and not first.flattening_enabled
            and self.ABORT_AT_RECORD_COUNT is None
        )

    @functools.cached_property
    def _batch_config(self) -> BatchConfig | None:
        return batch_config(self.config)

    def _files(self) -> BatchWriter | None:
        if self._batch_config is None or not self._selected:
            return None
        from dativo_core.sql.batches import BatchWriter  # noqa: PLC0415 pyarrow

        schemas = {name: value.schema for name, value in self._selected.items()}
        return BatchWriter(
            self._batch_config, schemas, self._write_blocks, self._write_batch
        )

    def _write_batch(self, url: str) -> None:
        config = self._batch_config
        compression = config.compression if config else None
        encoding = BaseBatchFileEncoding(format="parquet", compression=compression)
        self._write_batch_message(encoding, [url])

    def _lines(self, batch: pa.RecordBatch) -> Iterator[memoryview]:
        from dativo_core.record_lines import Envelope, render  # noqa: PLC0415 pyarrow

        envelope = Envelope(self.name, utc_now().isoformat(), self._stream_version)
        renderings = [value.rendering for value in self._selected.values()]
        for _, block in render(batch, renderings, envelope):
            yield block

    def _write_blocks(self, batch: pa.RecordBatch) -> None:
        t.cast("LineWriter", self._tap.message_writer).write_blocks(self._lines(batch))

    def _decoded(self, batch: pa.RecordBatch) -> Iterator[verbatim.Record]:
        for block in self._lines(batch):
            yield from verbatim.read_lines(block)

    def _generate_record_messages(
        self, record: Record
    ) -> t.Generator[verbatim.Line, None, None]:
        """Say what stream maps leave alone with the bytes that a block would have."""
        read = t.cast("verbatim.Record", record)
        yield from verbatim.lines(super()._generate_record_messages(dict(read)), read)

    # What is remembered

    @property
    def _journal(self) -> Journal:
        return t.cast("SqlTap", self._tap).journal

    @functools.cached_property
    def _bookmark(self) -> dict[str, t.Any]:
        """Where this run begins, and how far it has come."""
        return self._journal.bookmark(self.name)

    def _remember(self, state: dict[str, t.Any], *, write: bool) -> None:
        self._bookmark = state
        note = functools.partial(self._journal.remember, self.name, state, write=write)
        self._journalise(note, is_barrier=True)

    def _finish(self, *, write: bool) -> None:
        bookmark = self._bookmark
        if self.replication_method == "FULL_TABLE":
            bookmark = {}
            if write and self._stream_version is not None:
                # Said once more at the end, it proves that the load is whole.
                super()._write_activate_version_message(self._stream_version)
        note = functools.partial(self._journal.finish, self.name, bookmark, write=write)
        self._journalise(note, is_barrier=True)

    def _journalise(
        self, note: t.Callable[[], None], *, is_barrier: bool = False
    ) -> None:
        writer = self._tap.message_writer
        if isinstance(writer, LineWriter):
            writer.mark(note, is_barrier=is_barrier)
        else:
            note()
