"""Data files in, one snapshot out: with `row_delta`, all that knows PyIceberg inside.

PyIceberg's own upsert makes three snapshots and builds a predicate a row
(https://github.com/apache/iceberg-python/issues/2159); its pieces below the public
API let us replace exactly the files that hold a key, in one snapshot.
"""

from __future__ import annotations

import contextlib
import itertools
import typing as t
import uuid
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io.pyarrow import ArrowProjectionVisitor, schema_to_pyarrow
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
)
from pyiceberg.table.update.snapshot import ManageSnapshots

from target_parquet_iceberg.arrange import RUN_BYTES
from target_parquet_iceberg.data_files import DataFileWriter
from target_parquet_iceberg.equality import check_possible, write_equality_deletes
from target_parquet_iceberg.evolution import conform, plain
from target_parquet_iceberg.file_io import WholeFile
from target_parquet_iceberg.inventory import ManifestReader
from target_parquet_iceberg.merge import bounds, hits
from target_parquet_iceberg.naming import data_file_name
from target_parquet_iceberg.past import within
from target_parquet_iceberg.placing import place
from target_parquet_iceberg.reading import chosen, dead_rows, gathered, live, pieces
from target_parquet_iceberg.row_delta import RowDelta, write_position_deletes

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table, Transaction
    from pyiceberg.table.metadata import TableMetadata

    from target_parquet_iceberg.table import HeldFile

FENCE = "dativo-fence"
"""The tag that every commit of ours moves."""


@dataclass(frozen=True, slots=True)
class CostRule:
    """When a data file is written anew instead of getting deletes beside it.

    Args:
        small_bytes: Files up to this size are cheap to rewrite.
        all_small_bytes: So many of them that together they are not.
        hit_ratio: With a larger part of its rows gone, a file is not worth keeping.
    """

    small_bytes: int = 8 * 2**20
    all_small_bytes: int = 16 * 2**20
    hit_ratio: float = 0.3

    def rewrites(self, file: DataFile, hit_rows: int, rewritten_bytes: int) -> bool:
        """Tell whether to write a file anew, after others of so many bytes."""
        size = file.file_size_in_bytes
        has_room = rewritten_bytes + size <= self.all_small_bytes
        is_small = size <= self.small_bytes and has_room
        return is_small or hit_rows > self.hit_ratio * file.record_count


@dataclass(frozen=True, slots=True)
class Delta:
    """The files that one snapshot adds and takes away."""

    added: tuple[DataFile, ...] = ()
    removed: tuple[DataFile, ...] = ()
    deletes: tuple[DataFile, ...] = ()


@dataclass(slots=True)
class SnapshotWriter:
    """Writes data files for one transaction and turns them into a snapshot."""

    transaction: Transaction
    branch: str = MAIN_BRANCH
    rule: CostRule = field(default_factory=CostRule)
    reader: ManifestReader = field(default_factory=ManifestReader)
    written: list[DataFile] = field(default_factory=list)
    replaced: list[DataFile] = field(default_factory=list)
    is_refused: bool = False
    is_discarded: bool = False
    _producer: RowDelta | None = None
    _id: uuid.UUID = field(default_factory=uuid.uuid4)
    _counter: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def metadata(self) -> TableMetadata:
        """The table as this transaction has changed it so far."""
        return self.transaction.table_metadata

    def arrow_schema(self) -> pa.Schema:
        """Return the table's columns as ordinary Arrow types."""
        schema = self.metadata.schema()
        return plain(schema_to_pyarrow(schema, include_field_ids=False))

    def adopt(self, files: Sequence[HeldFile]) -> tuple[DataFile, ...]:
        """Make files of a BATCH data files of the table, as they are."""
        placed: list[DataFile] = []
        for held in files:
            name = data_file_name("", self._id, next(self._counter))
            file = place(held, self.metadata, self.io, name)
            self.written.append(file)
            placed.append(file)
        return tuple(placed)

    def append(self, rows: pa.Table) -> Delta:
        """Write rows as new data files."""
        return Delta(added=tuple(self._write(rows)))

    def overwrite(self, rows: pa.Table | None) -> Delta:
        """Write rows as new data files in place of all that exist."""
        head = self.metadata.snapshot_by_name(self.branch)
        present = tuple(self.reader.files(self.io, head))
        return Delta(tuple(self._write(rows)) if rows is not None else (), present)

    def upsert(
        self, rows: pa.Table, keys: Sequence[str], gone: pa.Table | None = None
    ) -> Delta:
        """Write rows as new data files and delete the rows that have their keys.

        Rows that have a key in `gone` are deleted too.

        A data file that is small or mostly hit is written anew without them; any
        other gets position deletes, which every engine reads.
        """
        rows = conform(rows, self.arrow_schema())
        wanted = _wanted(rows, keys, gone)
        added: list[DataFile] = []
        removed: list[DataFile] = []
        deletes: list[DataFile] = []
        for task in self.tasks(within(bounds(wanted))):
            dead = dead_rows(self.io, task)
            io = self._io_for(task.file)
            found = hits(self.keys(task, keys, io), wanted)
            fresh = found if dead is None else pc.and_not(found, dead)
            count = pc.sum(fresh).as_py() or 0
            if not count:
                continue
            spent = sum(file.file_size_in_bytes for file in removed)
            if self.rule.rewrites(task.file, count, spent):
                gone = found if dead is None else pc.or_(found, dead)
                added += self._write_kept(task.file, pc.invert(gone), io)
                removed.append(task.file)
            else:
                deletes.append(self._delete(task.file, pc.indices_nonzero(fresh)))
        return Delta((*added, *self._write(rows)), tuple(removed), tuple(deletes))

    def upsert_unread(
        self, rows: pa.Table, keys: Sequence[str], gone: pa.Table | None = None
    ) -> Delta:
        """As `upsert`, but by the keys alone: readers look for the rows."""
        check_possible(self.metadata)
        rows = conform(rows, self.arrow_schema())
        added = tuple(self._write(rows))
        wanted = _wanted(rows, keys, gone)
        if self.metadata.snapshot_by_name(self.branch) is None or not wanted.num_rows:
            return Delta(added)
        path = self._deletes_path()
        file = write_equality_deletes(self.io, path, self.metadata, wanted)
        self.written.append(file)
        return Delta(added, deletes=(file,))

    def commit(self, delta: Delta, summary: dict[str, str]) -> None:
        """Add the snapshot to the transaction."""
        appends = not (delta.removed or delta.deletes)
        producer = RowDelta(
            operation=Operation.APPEND if appends else Operation.OVERWRITE,
            transaction=self.transaction,
            io=self.io,
            snapshot_properties=summary,
            branch=self.branch,
        )
        self._producer = producer
        producer.reader = self.reader
        with producer:
            for file in delta.removed:
                producer.delete_data_file(file)
            for file in delta.added:
                producer.append_data_file(file)
            for file in delta.deletes:
                producer.append_delete_file(file)
        self._move_fence(producer.snapshot_id)

    def _move_fence(self, snapshot_id: int) -> None:
        """Let every commit meet every other one, whatever branch it is for.

        A REST catalog compares the branch of the commit only, not the properties.
        """
        base = self.transaction._table.metadata  # noqa: SLF001
        tag = SetSnapshotRefUpdate(
            **_tag(FENCE),
            **_snapshot(snapshot_id),
            **_FORGETTABLE,
            type=SnapshotRefType.TAG,
        )
        self.transaction._apply((tag,))  # noqa: SLF001
        if not base.snapshots:
            return  # the main branch is asserted not to be there
        before = base.refs.get(FENCE)
        found = _snapshot(before.snapshot_id if before else None)
        is_unmoved = AssertRefSnapshotId(ref=FENCE, **found)
        # A transaction keeps one requirement of a kind only.
        kept = [r for r in self.transaction._requirements if r != is_unmoved]  # noqa: SLF001
        self.transaction._requirements = (*kept, is_unmoved)  # noqa: SLF001

    def publish(self) -> None:
        """Make the branch the table, and forget the branch; both at once."""
        manage = ManageSnapshots(self.transaction)
        before = self.transaction._table.metadata  # noqa: SLF001
        main = before.snapshot_by_name(MAIN_BRANCH)
        with manage:
            manage.set_current_snapshot(ref_name=self.branch)
            manage.remove_branch(self.branch)
        # As above; the one that is kept is the branch's.
        main_id = _snapshot(main.snapshot_id if main else None)
        is_main_unmoved = AssertRefSnapshotId(ref=MAIN_BRANCH, **main_id)
        self.transaction._requirements += (is_main_unmoved,)  # noqa: SLF001

    def drop_branches(self, names: Iterable[str]) -> None:
        """Forget branches; their files are left to the next expiry."""
        with ManageSnapshots(self.transaction) as manage:
            for name in names:
                manage.remove_branch(name)

    def send(self) -> None:
        """Ask the catalog to commit, once.

        `Transaction.commit_transaction` would retry on top of another run, where the
        table's properties say so, and delete manifests without a look at the table.
        """
        transaction = self.transaction
        same_table = AssertTableUUID(uuid=self.metadata.table_uuid)
        transaction._table._do_commit(  # noqa: SLF001
            updates=transaction._updates,  # noqa: SLF001
            requirements=(*transaction._requirements, same_table),  # noqa: SLF001
        )

    def is_part_of(self, table: Table) -> bool:
        """Tell whether the snapshot is in the table's history."""
        producer = self._producer
        return bool(producer and table.metadata.snapshot_by_id(producer.snapshot_id))

    def discard(self) -> None:
        """Delete the files written; only when no table can refer to them."""
        self.is_discarded = True
        for file in self.written:
            with contextlib.suppress(OSError):
                self.io.delete(file.file_path)
        self.written.clear()
        if self._producer is not None:
            self._producer._clean_all_uncommitted()  # noqa: SLF001

    @property
    def io(self) -> FileIO:
        """The table's storage."""
        return self.transaction._table.io  # noqa: SLF001

    def _write(self, rows: pa.Table) -> Iterator[DataFile]:
        if not rows.num_rows:
            return
        whole = conform(rows, self.arrow_schema())
        writer = DataFileWriter(
            self.metadata, self.io, self._id, self._counter, self.written
        )
        yield from writer.write(whole)

    def rewrite(self, file: DataFile, is_kept: pa.Array) -> list[DataFile]:
        """Write some rows of a file anew that no table lists yet."""
        self.replaced.append(file)
        return self._write_kept(file, is_kept, self.io)

    def _write_kept(
        self, file: DataFile, is_kept: pa.Array, io: FileIO
    ) -> list[DataFile]:
        rows = chosen(pieces(io, self.metadata, file), is_kept)
        runs = gathered(rows, RUN_BYTES, file.record_count)
        return [written for run in runs for written in self._write(run)]

    def _delete(self, data_file: DataFile, positions: pa.Array) -> DataFile:
        rows = positions.cast(pa.int64())
        path = self._deletes_path()
        file = write_position_deletes(self.io, path, data_file, rows)
        self.written.append(file)
        return file

    def _deletes_path(self) -> str:
        name = f"{self._id}-{next(self._counter):05d}-deletes.parquet"
        provider = self.transaction._table.location_provider()  # noqa: SLF001
        return provider.new_data_location(name)

    def tasks(self, row_filter: BooleanExpression) -> Iterable[FileScanTask]:
        """Plan the read of the files that may hold rows of interest."""
        head = self.metadata.snapshot_by_name(self.branch)
        return self.reader.plan(self.metadata, self.io, head, row_filter)

    def live(self, task: FileScanTask) -> Iterator[pa.Table]:
        """Read the rows of a file that no delete covers, piece by piece."""
        return live(self.io, self.metadata, task)

    def keys(
        self, task: FileScanTask, names: Sequence[str], io: FileIO | None = None
    ) -> pa.Table:
        """Read the keys of all rows of a file, deleted ones too."""
        found = pieces(io or self.io, self.metadata, task.file, names)
        schema = self.arrow_schema()
        empty = pa.schema([schema.field(name) for name in names]).empty_table()
        return pa.concat_tables([empty, *(part.select(names) for part in found)])

    def _io_for(self, file: DataFile) -> FileIO:
        # What is small is read whole if it holds a key, so let that be one request.
        is_small = file.file_size_in_bytes <= self.rule.small_bytes
        return WholeFile(self.io, file.file_path) if is_small else self.io


def _wanted(rows: pa.Table, keys: Sequence[str], gone: pa.Table | None) -> pa.Table:
    """Return the keys whose rows have to go: of these rows, and of deleted ones."""
    wanted = rows.select(list(keys))
    if gone is None:
        return wanted
    return pa.concat_tables([wanted, conform(gone, wanted.schema)])


# It makes empty lists of a null list of structs, when it writes and when it reads.
_project_list: t.Any = ArrowProjectionVisitor.list


def _with_nulls(
    visitor: ArrowProjectionVisitor, kind: t.Any, lists: t.Any, values: t.Any
) -> t.Any:
    found = _project_list(visitor, kind, lists, values)
    if found is None or found.null_count == lists.null_count:
        return found
    whole = pc.add(found.offsets, 0)  # a mask needs offsets that are no slice
    return type(found).from_arrays(
        whole, found.values, type=found.type, mask=lists.is_null()
    )


t.cast("t.Any", ArrowProjectionVisitor).list = _with_nulls


# Pydantic fills these by alias, which type checkers do not see.
def _snapshot(snapshot_id: int | None) -> dict[str, t.Any]:
    return {"snapshot-id": snapshot_id}


# An expiry of any engine drops the tag; it would keep the files of its snapshot.
_FORGETTABLE: dict[str, t.Any] = {"max-ref-age-ms": 1}


def _tag(name: str) -> dict[str, t.Any]:
    return {"ref-name": name}
