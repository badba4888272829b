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
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    GreaterThanOrEqual,
    LessThanOrEqual,
)
from pyiceberg.io.pyarrow import (
    ArrowProjectionVisitor,
    ArrowScan,
    _read_all_delete_files,
    schema_to_pyarrow,
)
from pyiceberg.table import FileScanTask, IncrementalAppendScan
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, ancestors_between_ids
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
)
from pyiceberg.table.update.snapshot import ManageSnapshots

from target_parquet_iceberg.data_files import DataFileWriter
from target_parquet_iceberg.evolution import conform, plain
from target_parquet_iceberg.file_io import WholeFile
from target_parquet_iceberg.inventory import ManifestReader
from target_parquet_iceberg.merge import bounds, hits
from target_parquet_iceberg.replay import Seen, comparable, fingerprints
from target_parquet_iceberg.row_delta import RowDelta, write_position_deletes

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot


FENCE = "dativo-fence"
"""The tag that every commit of ours moves."""


@dataclass(frozen=True, slots=True)
class CostRule:
    """When a data file is written anew instead of getting deletes beside it.

    Args:
        small_bytes: Files up to this size are cheap to rewrite, and better merged.
        hit_ratio: With a larger part of its rows gone, a file is not worth keeping.
    """

    small_bytes: int = 8 * 2**20
    hit_ratio: float = 0.3

    def rewrites(self, file: DataFile, hit_rows: int) -> bool:
        """Tell whether to write a file anew."""
        is_small = file.file_size_in_bytes <= self.small_bytes
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
    is_refused: bool = False
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

    def append(self, rows: pa.Table) -> Delta:
        """Write rows as new data files."""
        return Delta(added=tuple(self._write(rows)))

    def overwrite(self, rows: pa.Table | None) -> Delta:
        """Write rows as new data files in place of all that exist."""
        present = tuple(task.file for task in self._tasks(AlwaysTrue()))
        return Delta(tuple(self._write(rows)) if rows is not None else (), present)

    def append_new(self, rows: pa.Table, seen: Seen) -> Delta:
        """Write the rows that have not been seen as new data files."""
        return self.append(rows.filter(self.is_new(rows, seen)))

    def is_new(self, rows: pa.Table, seen: Seen) -> pa.Array:
        """Tell for each row whether it has not been seen; use up what has."""
        whole = conform(rows, self.arrow_schema())
        return seen.is_new(fingerprints(whole, comparable(whole.column_names)))

    def seen_near(self, rows: pa.Table, keys: Sequence[str]) -> Seen:
        """Collect the table's rows whose keys lie in the range of these."""
        tasks = self._tasks(_within(bounds(rows.select(list(keys)))))
        return self._seen(Seen(once=True), tasks)

    def seen_since(
        self, since: int | None, until: int | None, mark: str, most: int | None
    ) -> Seen:
        """Collect the rows that marked snapshots have appended between two others.

        Other engines write without the mark, and an overwrite of theirs would bring
        every row once more. Where snapshots have expired it is all rows, of which
        `most` may come again.
        """
        seen = Seen(once=False)
        if until is None or since == until:
            return seen
        history = self._history(since, until)
        if not history:
            seen = Seen(once=False, most=most)
            return self._seen(seen, self._tasks(AlwaysTrue()))
        for snapshot in history:
            if snapshot.summary and mark in snapshot.summary.additional_properties:
                tasks: Iterable[FileScanTask] = IncrementalAppendScan(
                    self.metadata,
                    self._io,
                    from_snapshot_id=snapshot.snapshot_id,
                    from_snapshot_inclusive=True,
                    to_snapshot_id=snapshot.snapshot_id,
                ).plan_files()
                self._seen(seen, tasks)
        return seen

    def _history(self, since: int | None, until: int) -> list[Snapshot]:
        """Return the snapshots after one up to another; none if some are forgotten."""
        if since is None or self.metadata.snapshot_by_id(until) is None:
            return []
        found = list(ancestors_between_ids(since, until, self.metadata))
        is_whole = bool(found) and found[-1].parent_snapshot_id == since
        return found if is_whole else []

    def _seen(self, seen: Seen, tasks: Iterable[FileScanTask]) -> Seen:
        schema = self.arrow_schema()
        columns = comparable(schema.names)
        for task in tasks:
            seen.add(fingerprints(conform(self._live(task), schema), columns))
        return seen

    def upsert(
        self, rows: pa.Table, keys: Sequence[str], gone: pa.Table | None = None
    ) -> Delta:
        """Write rows as new data files and delete the rows that have their keys.

        Rows that have a key in `gone` are deleted too.

        A data file that is small or mostly hit is written anew without them; any
        other gets position deletes, which every engine reads.
        """
        rows = conform(rows, self.arrow_schema())
        wanted = rows.select(list(keys))
        if gone is not None:
            wanted = pa.concat_tables([wanted, conform(gone, wanted.schema)])
        added: list[DataFile] = []
        removed: list[DataFile] = []
        deletes: list[DataFile] = []
        for task in self._tasks(_within(bounds(wanted))):
            dead = self._dead_rows(task)
            io = self._io_for(task.file)
            found = hits(self._read(task, keys, io=io), wanted)
            fresh = found if dead is None else pc.and_not(found, dead)
            count = pc.sum(fresh).as_py() or 0
            if not count:
                continue
            if self.rule.rewrites(task.file, count):
                gone = found if dead is None else pc.or_(found, dead)
                added += self._write(self._read(task, io=io).filter(pc.invert(gone)))
                removed.append(task.file)
            else:
                deletes.append(self._delete(task.file, pc.indices_nonzero(fresh)))
        return Delta((*added, *self._write(rows)), tuple(removed), tuple(deletes))

    def commit(self, delta: Delta, summary: dict[str, str]) -> None:
        """Add the snapshot to the transaction."""
        appends = not (delta.removed or delta.deletes)
        producer = RowDelta(
            operation=Operation.APPEND if appends else Operation.OVERWRITE,
            transaction=self.transaction,
            io=self._io,
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
            **_tag(FENCE), **_snapshot(snapshot_id), type=SnapshotRefType.TAG
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
        for file in self.written:
            with contextlib.suppress(OSError):
                self._io.delete(file.file_path)
        self.written.clear()
        if self._producer is not None:
            self._producer._clean_all_uncommitted()  # noqa: SLF001

    @property
    def _io(self) -> FileIO:
        return self.transaction._table.io  # noqa: SLF001

    def _write(self, rows: pa.Table) -> Iterator[DataFile]:
        if not rows.num_rows:
            return
        whole = conform(rows, self.arrow_schema())
        writer = DataFileWriter(
            self.metadata, self._io, self._id, self._counter, self.written
        )
        yield from writer.write(whole)

    def _delete(self, data_file: DataFile, positions: pa.Array) -> DataFile:
        name = f"{self._id}-{next(self._counter):05d}-deletes.parquet"
        provider = self.transaction._table.location_provider()  # noqa: SLF001
        path = provider.new_data_location(name)
        rows = positions.cast(pa.int64())
        file = write_position_deletes(self._io, path, data_file, rows)
        self.written.append(file)
        return file

    def _tasks(self, row_filter: BooleanExpression) -> Iterable[FileScanTask]:
        head = self.metadata.snapshot_by_name(self.branch)
        return self.reader.plan(self.metadata, self._io, head, row_filter)

    def _dead_rows(self, task: FileScanTask) -> pa.Array | None:
        """Return, for each row of a file, whether an earlier delete covers it."""
        if not task.delete_files:
            return None
        deleted = _read_all_delete_files(self._io, [task])
        parts = deleted.get(task.file.file_path, [])
        positions = [chunk for part in parts for chunk in part.chunks]
        rows = pa.array(range(task.file.record_count), pa.int64())
        return pc.is_in(rows, pa.chunked_array(positions, pa.int64()))

    def _live(self, task: FileScanTask) -> pa.Table:
        dead = self._dead_rows(task)
        rows = self._read(task)
        return rows if dead is None else rows.filter(pc.invert(dead))

    def _io_for(self, file: DataFile) -> FileIO:
        # What is small is read whole if it holds a key, so let that be one request.
        is_small = file.file_size_in_bytes <= self.rule.small_bytes
        return WholeFile(self._io, file.file_path) if is_small else self._io

    def _read(
        self, task: FileScanTask, columns: Sequence[str] = (), io: FileIO | None = None
    ) -> pa.Table:
        """Read all rows of a file, deleted ones too: row number is position."""
        schema: Schema = self.metadata.schema()
        projected = schema.select(*columns) if columns else schema
        scan = ArrowScan(self.metadata, io or self._io, projected, AlwaysTrue())
        rows = scan.to_table([FileScanTask(task.file)])
        names = list(columns) or rows.column_names
        return rows.select(names).cast(plain(rows.select(names).schema))


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

# Their constructors are typed for keyword arguments only, and take none.
_at_least: t.Any = GreaterThanOrEqual
_at_most: t.Any = LessThanOrEqual


# Pydantic fills these by alias, which type checkers do not see.
def _snapshot(snapshot_id: int | None) -> dict[str, t.Any]:
    return {"snapshot-id": snapshot_id}


def _tag(name: str) -> dict[str, t.Any]:
    return {"ref-name": name}


def _within(limits: dict[str, tuple[t.Any, t.Any]]) -> BooleanExpression:
    expression: BooleanExpression = AlwaysTrue()
    for name, (low, high) in limits.items():
        try:
            part = And(_at_least(name, low), _at_most(name, high))
        except (TypeError, ValueError):  # a kind of value without literals
            continue
        expression = And(expression, part)
    return expression
