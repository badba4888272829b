"""What a commit does to a table inside its transaction: schema, bookmark, rows.

A full load with a version is written to a branch of its own, `dativo-load-<version>`,
where it is durable and invisible; publishing makes the branch the table. Readers keep
the old rows until then, and a load that was cut goes on where it stopped.
"""

from __future__ import annotations

import json
import logging
import typing as t
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from dativo_core.errors import ConfigurationError, FencedError
from pyiceberg.table.refs import MAIN_BRANCH

from target_parquet_iceberg import ledger
from target_parquet_iceberg.adopt import can_adopt, settle
from target_parquet_iceberg.ahead import AheadFiles
from target_parquet_iceberg.arranged import WINDOW_BYTES, ArrangedWriter
from target_parquet_iceberg.data_files import DataFileWriter
from target_parquet_iceberg.deletions import stored
from target_parquet_iceberg.evolution import changes, conform, merge
from target_parquet_iceberg.inventory import ManifestReader
from target_parquet_iceberg.merge import hits, last_by_key
from target_parquet_iceberg.past import Past
from target_parquet_iceberg.plan import Deletes, Method
from target_parquet_iceberg.reconcile import reconcile
from target_parquet_iceberg.replay import only
from target_parquet_iceberg.resent import Resent
from target_parquet_iceberg.sifting import incoming, repeated, superseded
from target_parquet_iceberg.snapshots import Delta, SnapshotWriter
from target_parquet_iceberg.survivors import Survivors
from target_parquet_iceberg.table import KEPT_REPLAYS
from target_parquet_iceberg.transactions import LightTransaction

if t.TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

    from target_parquet_iceberg.layout import Layout
    from target_parquet_iceberg.room import Room
    from target_parquet_iceberg.sifting import Incoming
    from target_parquet_iceberg.table import Commit

logger = logging.getLogger(__name__)

STATE = "dativo.state"
RUN_ID = "dativo.run-id"
SEQUENCE = "dativo.sequence"
STREAM = "dativo.stream"
VERSION = "dativo.version"
APPENDED = "dativo.appended"
ROWS = "dativo.rows"
ADOPTED = "dativo.adopted-files"
REPLAYS = "dativo.replays"
BRANCH_PREFIX = "dativo-load-"


class Fence(t.NamedTuple):
    """Who committed to a table last, and how many commits there were before."""

    run_id: str
    sequence: int


def fence_of(table: Table) -> Fence:
    """Read the fence."""
    properties = table.properties
    return Fence(properties.get(RUN_ID, ""), int(properties.get(SEQUENCE, "0")))


def mark(transaction: LightTransaction, run_id: str, state: str) -> None:
    """Commit who has put a table into the state that the transaction makes.

    The snapshot adds nothing, but fences a run that goes on.

    Args:
        transaction: What is committed with it.
        run_id: The new owner.
        state: The new bookmark as JSON; empty to remove it.
    """
    present = transaction.table_metadata.properties
    sequence = str(int(present.get(SEQUENCE, "0")) + 1)
    properties = {RUN_ID: run_id, SEQUENCE: sequence}
    if state:
        properties[STATE] = state
    elif STATE in present:
        transaction.remove_properties(STATE)
    transaction.set_properties(properties)
    writer = SnapshotWriter(transaction)
    writer.commit(Delta(), properties)
    writer.send()


def branch_of(version: int) -> str:
    """Name the branch that holds an unfinished full load."""
    return f"{BRANCH_PREFIX}{version}"


def replays_of(table: Table) -> list[str]:
    """Return the latest replays of dead letters that a table has taken."""
    found: list[str] = json.loads(table.properties.get(REPLAYS, "[]"))
    return found


def is_load(name: str) -> bool:
    """Tell whether a branch holds an unfinished full load."""
    return name.startswith(BRANCH_PREFIX)


def knows(table: Table, version: int) -> bool:
    """Tell whether a full load has begun, or is what readers see now."""
    is_published = table.properties.get(VERSION) == str(version)
    return is_published or branch_of(version) in table.refs()


class Staging:
    """Puts the commits of one run into transactions on one table."""

    def __init__(self, stream: str, table: Table, layout: Layout, room: Room) -> None:
        self._stream = stream
        self._layout = layout
        self._room = room
        self._loads = {name for name in table.refs() if is_load(name)}
        self._resent = Resent(json.loads(table.properties.get(STATE, "{}")))
        snapshot = table.current_snapshot()
        self._opened_at = snapshot.snapshot_id if snapshot else None
        self._ledger = ledger.parse(table.properties.get(APPENDED))
        self._reader = ManifestReader()

    def stage(self, table: Table, commit: Commit, fence: Fence) -> SnapshotWriter:
        """Return a transaction that holds the commit and moves the fence."""
        transaction = LightTransaction(table)
        branch = self._branch(table, commit)
        writer = SnapshotWriter(transaction, branch, reader=self._reader)
        try:
            self._fill(writer, table, commit, fence)
        except BaseException:
            writer.discard()
            raise
        return writer

    def repeats(self, table: Table, commit: Commit, *, is_end: bool) -> bool:
        """Tell whether the tap is still sending rows again that the table has."""
        if not self._resent.is_possible(commit):
            return False
        writer = SnapshotWriter(LightTransaction(table), reader=self._reader)
        if commit.rows is not None:
            self._evolve(writer, commit.rows.schema)
        past = self._past(writer)
        return self._resent.goes_on(past, commit, is_end=is_end)

    def landed(self, table: Table) -> None:
        """Take note that the last commit is in the table."""
        self._resent.landed()
        self._loads |= {name for name in table.refs() if is_load(name)}

    def _branch(self, table: Table, commit: Commit) -> str:
        # A load that was published before the tap knew of it goes on in the open.
        is_public = table.properties.get(VERSION) == str(commit.version)
        if commit.version is None or is_public:
            return MAIN_BRANCH
        branch = branch_of(commit.version)
        if branch in self._loads and branch not in table.refs():
            name = ".".join(table.name())
            what = f"Table {name}: full load {commit.version} was given up."
            raise FencedError(what, hint="It had not gone on for days: start it again.")
        return branch

    def _fill(
        self, writer: SnapshotWriter, table: Table, commit: Commit, fence: Fence
    ) -> None:
        if commit.rows is not None:
            self._evolve(writer, commit.rows.schema)
        if commit.count:
            reconcile(self._stream, writer.transaction, self._layout)
        properties = self._properties(commit, fence)
        if commit.replay is not None:
            latest = [*replays_of(table)[-KEPT_REPLAYS:], commit.replay]
            properties[REPLAYS] = json.dumps(latest)
        writer.transaction.set_properties(properties)
        if writer.branch != MAIN_BRANCH and writer.metadata.current_snapshot() is None:
            # A table must have a first snapshot before it can have a branch.
            SnapshotWriter(writer.transaction).commit(Delta(), properties)
        # Also without rows: only a snapshot makes the catalog compare and swap. Its
        # copy of the properties lets a rollback restore them.
        summary = {**properties, ROWS: str(commit.count)}
        delta, adopted = self._with_files(writer, commit)
        if adopted:
            summary[ADOPTED] = str(adopted)
        if commit.method is Method.APPEND and not commit.keys:
            self._account(writer, commit, delta, fence)
        writer.commit(delta, summary)
        if writer.branch != MAIN_BRANCH:
            _drop_other_loads(writer)
            if commit.publishes:
                writer.publish()

    def _account(
        self, writer: SnapshotWriter, commit: Commit, delta: Delta, fence: Fence
    ) -> None:
        present = ledger.parse(writer.metadata.properties.get(APPENDED))
        rows = sum(file.record_count for file in delta.added)
        following = present.then(commit.bookmark, rows, fence.run_id)
        writer.transaction.set_properties({APPENDED: ledger.dump(following)})

    def _properties(self, commit: Commit, fence: Fence) -> dict[str, str]:
        properties = {
            STREAM: self._stream,
            RUN_ID: fence.run_id,
            SEQUENCE: str(fence.sequence),
        }
        if commit.bookmark is not None:
            properties[STATE] = json.dumps(commit.bookmark, sort_keys=True)
        if commit.version is not None and commit.publishes:
            properties[VERSION] = str(commit.version)
        return properties

    def _evolve(self, writer: SnapshotWriter, rows: pa.Schema) -> None:
        present = writer.arrow_schema()
        changed = changes(present, merge(self._stream, present, rows), rows)
        if not changed.names:
            return
        with writer.transaction.update_schema() as update:
            update.union_by_name(changed)  # its time grows with columns x all columns
        logger.info("Stream '%s': the table's schema has changed", self._stream)

    def _past(self, writer: SnapshotWriter) -> Past:
        marks = (RUN_ID, STATE)
        return Past(self._stream, writer, self._opened_at, self._ledger, marks)

    def ahead(
        self, table: Table, commit: Commit, columns: pa.Schema
    ) -> AheadFiles | None:
        """Return what writes rows of such a commit before it, if nothing forbids it.

        The table must have the columns already, and the partitions and the order.
        """
        if self._resent.may_replay(commit) or self._layout.deletes_by_key:
            return None
        writer = SnapshotWriter(LightTransaction(table), reader=self._reader)
        present, rows = writer.arrow_schema(), stored(columns, commit.deletes)
        try:
            if changes(present, merge(self._stream, present, rows), rows).names:
                return None
            reconcile(self._stream, writer.transaction, self._layout)
        except ConfigurationError:  # the commit will say so
            return None
        files = DataFileWriter(writer.metadata, table.io)
        if not files.is_arranged and commit.deletes is Deletes.NONE:
            return AheadFiles(files, present, commit.keys, self._room).start()
        if _layout_of(writer.metadata) != _layout_of(table.metadata):
            return None  # files would name what only the commit makes
        return self._arranged(files, merge(self._stream, present, columns), commit)

    def _arranged(
        self, files: DataFileWriter, columns: pa.Schema, commit: Commit
    ) -> AheadFiles:
        window_bytes = min(WINDOW_BYTES, self._room.most_bytes)
        survivors = Survivors(_sifted(commit), commit.deletes)
        writer = ArrangedWriter(files, survivors, window_bytes)
        room = self._room
        return AheadFiles(writer, columns, (), room, window_bytes, survivors).start()

    def adopts(self, table: Table, commit: Commit) -> bool:
        """Tell whether such a commit could take the files as they are."""
        writer = SnapshotWriter(LightTransaction(table), reader=self._reader)
        return not self._resent.may_replay(commit) and can_adopt(writer, commit)

    def _with_files(self, writer: SnapshotWriter, commit: Commit) -> tuple[Delta, int]:
        """Return the delta, and how many files are taken as they are."""
        if not commit.files:
            return self._delta(writer, commit), 0
        settled, keys = settle(self._stream, writer, commit, self._layout)
        if not settled.files:
            return self._delta(writer, settled), 0
        files = writer.adopt(settled.files)
        delta = self._delta(writer, replace(settled, files=(), gone=keys))
        return replace(delta, added=(*files, *delta.added)), len(files)

    def _delta(self, writer: SnapshotWriter, commit: Commit) -> Delta:
        rows, keys = commit.rows, commit.keys
        files = commit.written.files if commit.written is not None else ()
        if commit.method is Method.OVERWRITE and commit.version is None:
            return self._replaced(writer, commit)
        has_rows = rows is not None and rows.num_rows
        if not (has_rows or files or commit.gone is not None):
            return Delta()
        if commit.method is Method.UPSERT and self._layout.deletes_by_key:
            return writer.upsert_unread(last_by_key(rows, keys), keys, commit.gone)
        if keys:
            return self._keyed(writer, commit)
        # A load that goes on after a crash sends some rows again.
        past = self._past(writer)
        seen = self._resent.rows(past, commit)
        if seen is not None:
            rows = only(rows, past.is_new(rows, seen))
        added = () if rows is None else writer.append(rows).added
        return Delta(added=(*files, *added))

    def _replaced(self, writer: SnapshotWriter, commit: Commit) -> Delta:
        """Return the delta of a full load that no branch holds."""
        rows = commit.rows
        files = commit.written.files if commit.written is not None else ()
        if _sifted(commit) and commit.count:
            found = incoming(writer, commit)
            new = found.without(writer, _stale(found, commit))
            rows, files = new.rows, new.files
        delta = writer.overwrite(rows)
        return replace(delta, added=(*files, *delta.added))

    def _keyed(self, writer: SnapshotWriter, commit: Commit) -> Delta:
        found = incoming(writer, commit)
        if commit.method is Method.APPEND:
            new = found.without(writer, repeated(writer, found))
            return Delta(added=(*new.files, *writer.append(new.rows).added))
        new = found.without(writer, _stale(found, commit))
        gone = [found.keys] if new.files else []
        if commit.gone is not None:
            gone.append(conform(commit.gone, found.keys.schema))
        keys = pa.concat_tables(gone) if gone else None
        delta = writer.upsert(new.rows, commit.keys, keys)
        return replace(delta, added=(*new.files, *delta.added))


def _stale(found: Incoming, commit: Commit) -> pa.Array:
    """Tell of each row whether another row or a deletion of its key came later."""
    stale = superseded(found.keys)
    if commit.gone is None or not found.files:
        return stale
    return pc.or_(stale, hits(found.keys, conform(commit.gone, found.keys.schema)))


def _layout_of(metadata: TableMetadata) -> tuple[int, int]:
    return metadata.default_spec_id, metadata.default_sort_order_id


def _sifted(commit: Commit) -> tuple[str, ...]:
    """Return the keys of which a commit stores the last row only."""
    is_by_key = commit.method is not Method.APPEND or commit.version is not None
    is_by_key = is_by_key or commit.deletes is not Deletes.NONE
    return commit.keys if is_by_key else ()


def _drop_other_loads(writer: SnapshotWriter) -> None:
    """Forget loads that were cut and can no longer be continued."""
    names = [
        name for name in writer.metadata.refs if is_load(name) and name != writer.branch
    ]
    if names:
        writer.drop_branches(names)
