"""Write Arrow rows as the data files of an Iceberg table.

PyIceberg's writer measures files before compression, ignores the sort order, filters
the whole table once for each partition, and writes neither page index nor bloom
filters. From it come the metrics of a finished file (`pyiceberg.io.pyarrow`, no public
API), so that `write.metadata.metrics.*` means what it means everywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import posixpath
import typing as t
import uuid
from dataclasses import dataclass, field
from functools import cached_property, partial

import pyarrow as pa
import pyarrow.parquet as pq
from dativo_core.encodings import repetitive, rows_of_batch
from pyiceberg.io.pyarrow import (
    ParquetFormatModel,
    _to_requested_schema,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import sanitize_column_names
from pyiceberg.table import TableProperties
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.sorting import NullOrder, SortDirection
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.utils.concurrent import ExecutorFactory

from target_parquet_iceberg.arrange import (
    Ordering,
    arrange,
    runs,
    windows,
)
from target_parquet_iceberg.evolution import conform
from target_parquet_iceberg.naming import data_file_name
from target_parquet_iceberg.parquet_options import (
    bloom_columns,
    has_bloom_filter,
    known_options,
    writer_options,
)
from target_parquet_iceberg.sizes import cut, sizes_of
from target_parquet_iceberg.transforms import physical_column

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyiceberg.io import FileIO
    from pyiceberg.schema import Schema
    from pyiceberg.table.metadata import TableMetadata

    from target_parquet_iceberg.arrange import Part
    from target_parquet_iceberg.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file goes; whether its row groups follow each other in order."""

    path: str
    partition: Record
    spec_id: int
    is_sorted: bool = False


@dataclass
class DataFileWriter:
    """Writes the data files of one transaction; `written` grows with each file."""

    metadata: TableMetadata
    io: FileIO
    write_id: uuid.UUID = field(default_factory=uuid.uuid4)
    counter: itertools.count[int] = field(default_factory=itertools.count)
    written: list[DataFile] = field(default_factory=list)

    def write(self, rows: pa.Table) -> Iterator[DataFile]:
        """Write rows that have the table's columns, and yield their files."""
        for run in self._runs(rows):
            # A loop variable would keep a window while the next one is copied.
            for files in map(self.write_window, windows(self.arranged(run))):
                yield from files

    def write_pieces(self, pieces: Iterable[pa.Table]) -> Iterator[DataFile]:
        """Write pieces as row groups, for a table without partitions and order.

        Args:
            pieces: Rows that have the table's columns, of about one size.
        """
        # No name may keep a piece while the next one is awaited.
        filled = filter(pa.Table.__len__, pieces)
        for first in filled:
            # Bloom filters are sized before it is known what comes later.
            most_rows = self.sizes.rows_at_once(first)
            rest = itertools.chain(_given([first]), filled)
            del first
            cuts = map(partial(cut, most_rows=most_rows), rest)
            for whole in _rests(itertools.chain.from_iterable(cuts)):
                place = Place(self._new_path(Record()), Record(), self._spec_id)
                yield self._write_file(whole, most_rows, place)

    def rewrite(
        self, pieces: Iterable[pa.Table], old: DataFile, most_rows: int
    ) -> Iterator[DataFile]:
        """Write pieces of a partition, each a sorted row group, beside an old file.

        Args:
            pieces: Rows that have the table's columns.
            old: A file of the partition, which may be one of an earlier spec.
            most_rows: The most that a piece may have.
        """
        folder = posixpath.dirname(old.file_path)
        for whole in _rests(map(self.sorted, pieces)):
            path = f"{folder}/{uuid.uuid4()}-compact.parquet"
            place = Place(path, old.partition, old.spec_id)
            yield self._write_file(whole, most_rows, place)

    def sorted(self, rows: pa.Table) -> pa.Table:
        """Put the rows of a partition in order."""
        if not self._sort_fields:
            return rows
        [part] = arrange(rows, [], self.orderings(rows))
        return part.slice(0, part.num_rows)

    def write_window(self, parts: list[Part]) -> list[DataFile]:
        """Write the rows of several partitions side by side."""
        executor = ExecutorFactory.get_or_create()
        files = executor.map(self._write_part, parts)
        return list(itertools.chain.from_iterable(files))

    def _runs(self, rows: pa.Table) -> Iterable[pa.Table]:
        return runs(rows) if self.is_arranged else [rows]

    @property
    def is_arranged(self) -> bool:
        """Tell whether the table has partitions or an order."""
        return bool(self.metadata.spec().fields or self._sort_fields)

    def arranged(self, rows: pa.Table) -> Iterator[Part]:
        """Yield the rows of each partition, in order."""
        schema = self.metadata.schema()
        partitions = [
            physical_column(rows, schema, part.source_id, str(part.transform))
            for part in self.metadata.spec().fields
        ]
        return arrange(rows, partitions, self.orderings(rows))

    def orderings(self, rows: pa.Table) -> list[Ordering]:
        """Return the sort keys of rows."""
        schema = self.metadata.schema()
        return [
            Ordering(
                physical_column(rows, schema, key.source_id, str(key.transform)),
                key.direction is SortDirection.DESC,
                key.null_order is NullOrder.NULLS_FIRST,
            )
            for key in self._sort_fields
        ]

    def _write_part(self, part: Part) -> list[DataFile]:
        group_rows = self.sizes.rows_of_group(part)
        starts = range(0, part.num_rows, group_rows)
        groups = (part.slice(start, group_rows) for start in starts)
        return list(self.write_partition(part.values, groups, group_rows))

    def write_partition(
        self, values: tuple[t.Any, ...], groups: Iterator[pa.Table], most_rows: int
    ) -> Iterator[DataFile]:
        """Write the rows of a partition, in order, as row groups of its files."""
        partition = Record(*values)
        for whole in _rests(groups):
            path = self._new_path(partition)
            place = Place(path, partition, self._spec_id, is_sorted=True)
            yield self._write_file(whole, most_rows, place)

    def _write_file(
        self, groups: Iterator[pa.Table], group_rows: int, place: Place
    ) -> DataFile:
        """Write row groups until the file is full or there are no more."""
        try:
            size, footer = self._write_groups(place.path, groups, group_rows)
        except BaseException:
            with contextlib.suppress(OSError):
                self.io.delete(place.path)
            raise
        statistics = data_file_statistics_from_parquet_metadata(
            footer, self._statistics_plan, self._path_ids
        )
        # Several sorted row groups are no sorted file.
        is_sorted = place.is_sorted or footer.num_row_groups == 1
        is_sorted = is_sorted and bool(self._sort_fields)
        order_id = self.metadata.default_sort_order_id if is_sorted else None
        file = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=place.path,
            file_format=FileFormat.PARQUET,
            partition=place.partition,
            file_size_in_bytes=size,
            sort_order_id=order_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )
        file.spec_id = place.spec_id
        self.written.append(file)
        return file

    def _write_groups(
        self, path: str, groups: Iterator[pa.Table], group_rows: int
    ) -> tuple[int, pq.FileMetaData]:
        first = [next(groups)]
        options = self._options(group_rows, first[0])
        groups = itertools.chain(_given(first), groups)
        output = self.io.new_output(path)
        with output.create(overwrite=True) as stream:
            sink: t.Any = stream  # the protocol has no tell(), the streams do
            with pq.ParquetWriter(sink, self._file_schema, **options) as writer:
                written = map(partial(self._write_group, writer), groups)
                for count, _ in enumerate(written, 1):
                    if self.sizes.is_full(sink.tell(), count):
                        break
            size = sink.tell()
        # A collector would ask for it after a failure, too, and hide what happened.
        return size, writer.writer.metadata

    def _write_group(self, writer: pq.ParquetWriter, group: pa.Table) -> None:
        writer.write_table(self._as_stored(group), row_group_size=group.num_rows)

    def _new_path(self, partition: Record) -> str:
        spec, schema = self.metadata.spec(), self.metadata.schema()
        folder = spec.partition_to_path(partition, schema) if spec.fields else ""
        name = data_file_name(folder, self.write_id, next(self.counter))
        if self._has_bare_names:
            name = name.rsplit("/", 1)[-1]
        provider = load_location_provider(
            self.metadata.location, self.metadata.properties
        )
        return provider.new_data_location(name)

    @property
    def _spec_id(self) -> int:
        return self.metadata.default_spec_id

    @property
    def _has_bare_names(self) -> bool:
        properties = self.metadata.properties
        in_hashed_folders = (
            properties.get(TableProperties.OBJECT_STORE_ENABLED) == "true"
        )
        paths = TableProperties.WRITE_OBJECT_STORE_PARTITIONED_PATHS
        return in_hashed_folders and properties.get(paths) == "false"

    def _options(self, group_rows: int, first: pa.Table) -> dict[str, t.Any]:
        stored = self._stored_names
        options = {
            **writer_options(self.metadata.properties),
            "write_batch_size": rows_of_batch(
                first, self.sizes.page_bytes, self.sizes.page_rows
            ),
            "use_dictionary": repetitive(self._as_stored(first)),
            "sorting_columns": self._sorting_columns or None,
            "bloom_filter_options": {
                stored[name]: {"ndv": group_rows, "fpp": rate}
                for name, rate in bloom_columns(self.metadata.properties).items()
                if name in stored and has_bloom_filter(self._kind_of(name))
            }
            or None,
        }
        return {k: v for k, v in options.items() if k in known_options()}

    def _kind_of(self, name: str) -> pa.DataType:
        return self._file_schema.field(self._stored_names[name]).type

    @cached_property
    def sizes(self) -> Sizes:
        """How large files and their row groups may become."""
        return sizes_of(self.metadata.properties)

    @cached_property
    def _sort_fields(self) -> tuple[t.Any, ...]:
        order = self.metadata.sort_order_by_id(self.metadata.default_sort_order_id)
        return tuple(order.fields) if order else ()

    @cached_property
    def _stored_schema(self) -> Schema:
        # Other writers make names safe for Avro; readers go by the field ids.
        return sanitize_column_names(self.metadata.schema())

    @cached_property
    def _stored_names(self) -> dict[str, str]:
        pairs = zip(
            self.metadata.schema().fields, self._stored_schema.fields, strict=True
        )
        return {field.name: stored.name for field, stored in pairs}

    @cached_property
    def _file_schema(self) -> pa.Schema:
        whole = schema_to_pyarrow(self._stored_schema, include_field_ids=True)
        return pa.schema([part.with_type(_small(part.type)) for part in whole])

    @cached_property
    def _is_renamed(self) -> bool:
        return self._stored_schema != self.metadata.schema()

    def _as_stored(self, rows: pa.Table) -> pa.Table:
        if not self._is_renamed:
            return conform(rows, self._file_schema)
        batches = [
            _to_requested_schema(
                requested_schema=self._stored_schema,
                file_schema=self.metadata.schema(),
                batch=batch,
                include_field_ids=True,
                format_model=ParquetFormatModel(),
            )
            for batch in rows.to_batches()
        ]
        return conform(pa.Table.from_batches(batches), self._file_schema)

    @cached_property
    def _sorting_columns(self) -> list[pq.SortingColumn]:
        leaves = dict(
            zip(self._file_schema.names, _first_leaves(self._file_schema), strict=True)
        )
        found: list[pq.SortingColumn] = []
        for key in self._sort_fields:
            name = self._stored_schema.find_column_name(key.source_id)
            if name not in leaves or not isinstance(key.transform, IdentityTransform):
                break
            is_descending = key.direction is SortDirection.DESC
            nulls_first = key.null_order is NullOrder.NULLS_FIRST
            found.append(pq.SortingColumn(leaves[name], is_descending, nulls_first))
        return found

    @cached_property
    def _statistics_plan(self) -> t.Any:
        return compute_statistics_plan(self._stored_schema, self.metadata.properties)

    @cached_property
    def _path_ids(self) -> dict[str, int]:
        return parquet_path_to_id_mapping(self._stored_schema)


def _rests(groups: Iterator[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """Yield what is left of the groups, as long as there is something."""
    for first in groups:
        whole = itertools.chain(_given([first]), groups)
        del first
        yield whole


def _given(held: list[pa.Table]) -> Iterator[pa.Table]:
    """Give the tables away: nobody else may keep them."""
    while held:
        yield held.pop(0)


def _small(kind: pa.DataType) -> pa.DataType:
    """Replace 64-bit offset types, keeping the field ids of nested parts."""
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        item = kind.value_field
        return pa.list_(item.with_type(_small(item.type)))
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_small(part.type)) for part in kind])
    return kind


def _first_leaves(schema: pa.Schema) -> Iterator[int]:
    """Yield for each column the number of its first Parquet column."""
    count = 0
    for part in schema:
        yield count
        count += _leaves(part.type)


def _leaves(kind: pa.DataType) -> int:
    if pa.types.is_struct(kind):
        return sum(_leaves(part.type) for part in kind)
    if pa.types.is_map(kind):
        return _leaves(kind.key_type) + _leaves(kind.item_type)
    return _leaves(kind.value_type) if pa.types.is_list(kind) else 1
