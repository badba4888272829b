"""Iceberg tables: data, schema and bookmark in one fenced commit.

The fence is the table property `dativo.sequence`: a run remembers what it saw when it
opened the table, and every commit adds one. PyIceberg's own retry would let a second
run commit on top of the first, so it is switched off and this module retries itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import typing as t

import pyarrow as pa
from dativo_core.errors import FencedError, TryLaterError
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    ServerError,
    ServiceUnavailableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.table.refs import MAIN_BRANCH
from requests import RequestException

from target_parquet_iceberg.evolution import changes, merge
from target_parquet_iceberg.layout import Layout
from target_parquet_iceberg.merge import last_by_key
from target_parquet_iceberg.plan import Method
from target_parquet_iceberg.reconcile import creation, reconcile
from target_parquet_iceberg.snapshots import Delta, SnapshotWriter

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as PyIcebergTable
    from pyiceberg.table import Transaction

    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.replay import Seen
    from target_parquet_iceberg.table import Commit

logger = logging.getLogger(__name__)

STATE = "dativo.state"
RUN_ID = "dativo.run-id"
SEQUENCE = "dativo.sequence"
STREAM = "dativo.stream"
VERSION = "dativo.version"
BRANCH_PREFIX = "dativo-load-"
ATTEMPTS = 10
_CERTAIN = (CommitFailedException, ValidationException)
_UNCERTAIN = (
    CommitStateUnknownException,
    ServerError,
    ServiceUnavailableError,
    RequestException,
)
TABLE_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
}


class IcebergWarehouse:
    """Opens the Iceberg tables of one run."""

    def __init__(
        self,
        catalog: Catalog,
        namespace: str,
        run_id: str,
        pause: Callable[[int], None],
    ) -> None:
        self._catalog = catalog
        self._namespace = namespace
        self._run_id = run_id
        self._pause = pause

    def table(self, plan: Plan) -> IcebergTable:
        """Load the table of a stream, or create it."""
        identifier = (self._namespace, plan.table)
        try:
            table = self._catalog.load_table(identifier)
        except NoSuchTableError:
            table = self._create(identifier, plan)
        return IcebergTable(plan.stream, table, self._run_id, self._pause, plan.layout)

    def _create(self, identifier: tuple[str, str], plan: Plan) -> PyIcebergTable:
        with contextlib.suppress(NamespaceAlreadyExistsError):
            self._catalog.create_namespace(self._namespace)
        fields = [
            pa.field(c.name, c.type, metadata={"doc": c.doc} if c.doc else None)
            for c in plan.columns
        ]
        schema, spec, order = creation(pa.schema(fields), plan.layout)
        layout = plan.layout
        properties = {
            **TABLE_PROPERTIES,
            **dict((*layout.defaults, *layout.properties)),
        }
        try:
            return self._catalog.create_table(
                identifier,
                schema,
                partition_spec=spec,
                sort_order=order,
                properties=properties,
            )
        except TableAlreadyExistsError:  # another run was faster
            return self._catalog.load_table(identifier)


class IcebergTable:
    """One Iceberg table, fenced against other runs from the moment it is opened."""

    def __init__(
        self,
        stream: str,
        table: PyIcebergTable,
        run_id: str,
        pause: Callable[[int], None],
        layout: Layout = Layout(),  # noqa: B008 it is frozen
    ) -> None:
        self._stream = stream
        self._layout = layout
        self._table = table
        self._run_id = run_id
        self._pause = pause
        self._seen = _token(table)
        self._opened_with: dict[str, t.Any] = json.loads(
            table.properties.get(STATE, "{}")
        )
        snapshot = table.current_snapshot()
        self._opened_at = snapshot.snapshot_id if snapshot else None
        self._replayed: Seen | None = None
        self._replaying: Seen | None = None

    can_stage = True

    def columns(self) -> pa.Schema:
        """Return the table's columns as they are now."""
        return SnapshotWriter(self._table.transaction()).arrow_schema()

    def knows(self, version: int) -> bool:
        """Tell whether a full load has begun, or is what readers see now."""
        if self._table.properties.get(VERSION) == str(version):
            return True
        return branch_of(version) in self._table.refs()

    def commit(self, commit: Commit) -> None:
        """Commit rows, schema and bookmark in one transaction.

        Raises:
            FencedError: if another run has committed since this one opened the table.
            TryLaterError: if the catalog kept refusing or failing.
        """
        for attempt in range(ATTEMPTS):
            if attempt:
                self._pause(attempt)
                self._table = self._table.refresh()
            self._check_fence()
            if self._has_landed() or self._attempt(commit):
                self._seen = self._next
                self._replayed = self._replaying
                return
        what = f"Table {self._name}: {ATTEMPTS} commits failed, one after the other."
        raise TryLaterError(what, hint="Look at the catalog's own log, then run again.")

    @property
    def _name(self) -> str:
        return ".".join(self._table.name())

    @property
    def _next(self) -> tuple[str, int]:
        return self._run_id, self._seen[1] + 1

    def _attempt(self, commit: Commit) -> bool:
        transaction = self._table.transaction()
        writer = SnapshotWriter(transaction, self._branch(commit))
        try:
            self._stage(transaction, writer, commit)
            self._table = transaction.commit_transaction()
        except _CERTAIN as error:
            logger.warning("Table %s: commit refused (%s), retrying", self._name, error)
            writer.discard()
            return False
        except _UNCERTAIN as error:
            # It may have landed: the next round looks for it before anything else.
            logger.warning("Table %s: commit unanswered (%s)", self._name, error)
            return False
        rows = commit.rows.num_rows if commit.rows is not None else 0
        logger.info("Committed %d rows to %s", rows, self._name)
        return True

    def _branch(self, commit: Commit) -> str:
        # A load that was published before the tap knew of it goes on in the open.
        is_public = self._table.properties.get(VERSION) == str(commit.version)
        if commit.version is None or is_public:
            return MAIN_BRANCH
        return branch_of(commit.version)

    def _stage(
        self, transaction: Transaction, writer: SnapshotWriter, commit: Commit
    ) -> None:
        if commit.rows is not None:
            self._evolve(transaction, writer, commit.rows.schema)
            reconcile(self._stream, transaction, self._layout)
        run_id, sequence = self._next
        properties = {STREAM: self._stream, RUN_ID: run_id, SEQUENCE: str(sequence)}
        if commit.bookmark is not None:
            properties[STATE] = json.dumps(commit.bookmark, sort_keys=True)
        # The property is what counts; the snapshot's copy lets a rollback restore it.
        summary = dict(properties)
        if commit.version is not None and commit.publishes:
            properties[VERSION] = str(commit.version)
        transaction.set_properties(properties)
        if writer.branch != MAIN_BRANCH and writer.metadata.current_snapshot() is None:
            # A table must have a first snapshot before it can have a branch.
            SnapshotWriter(transaction).commit(Delta(), summary)
        delta = self._delta(writer, commit)
        if not delta.is_empty or self._needs_snapshot(writer, commit):
            writer.commit(delta, summary)
        if writer.branch != MAIN_BRANCH:
            self._drop_other_loads(writer)
            if commit.publishes:
                writer.publish()

    def _delta(self, writer: SnapshotWriter, commit: Commit) -> Delta:
        rows, keys = commit.rows, commit.keys
        if commit.method is Method.OVERWRITE and commit.version is None:
            return writer.overwrite(rows)
        if rows is None or not rows.num_rows:
            return Delta()
        # A load that goes on after a crash sends some rows again, if it has keys.
        if keys and commit.method is not Method.APPEND:
            return writer.upsert(last_by_key(rows, keys), keys)
        seen = self._sent_before(writer, commit)
        return writer.append(rows) if seen is None else writer.append_new(rows, seen)

    def _sent_before(self, writer: SnapshotWriter, commit: Commit) -> Seen | None:
        """Return the rows that the tap may send although the table has them.

        With keys: those at the bookmark. Without: those that a run sends again which
        starts behind the table. None where nothing can come twice.
        """
        if commit.method is Method.OVERWRITE or commit.rows is None:
            return None
        if commit.keys:
            return writer.seen_near(commit.rows, commit.keys)
        if self._opened_with == (commit.started_from or {}):
            return None
        if self._replayed is None:
            since = self._snapshot_with(commit.started_from or {})
            self._replayed = writer.seen_since(since, self._opened_at)
        self._replaying = self._replayed.copy()
        return self._replaying

    def _snapshot_with(self, bookmark: dict[str, t.Any]) -> int | None:
        wanted = json.dumps(bookmark, sort_keys=True)
        found: int | None = None
        for snapshot in self._table.metadata.snapshots:
            summary = snapshot.summary
            if summary and summary.additional_properties.get(STATE) == wanted:
                found = snapshot.snapshot_id
        return found

    def _needs_snapshot(self, writer: SnapshotWriter, commit: Commit) -> bool:
        """Tell whether a load without a single row must publish its emptiness."""
        is_new = writer.metadata.snapshot_by_name(writer.branch) is None
        return commit.publishes and writer.branch != MAIN_BRANCH and is_new

    def _drop_other_loads(self, writer: SnapshotWriter) -> None:
        """Forget loads that were cut and can no longer be continued."""
        names = [
            name
            for name in writer.metadata.refs
            if name.startswith(BRANCH_PREFIX) and name != writer.branch
        ]
        if names:
            writer.drop_branches(names)

    def _evolve(
        self, transaction: Transaction, writer: SnapshotWriter, rows: pa.Schema
    ) -> None:
        present = writer.arrow_schema()
        changed = changes(present, merge(self._stream, present, rows), rows)
        if not changed.names:
            return
        with transaction.update_schema() as update:
            update.union_by_name(changed)  # its time grows with columns x all columns
        logger.info("Table %s: schema changed", self._name)

    def _check_fence(self) -> None:
        found = _token(self._table)
        if found != self._seen and not self._has_landed():
            what = f"Table {self._name}: run {found[0]} has committed meanwhile."
            raise FencedError(what, hint="Let only one run load a table at a time.")

    def _has_landed(self) -> bool:
        return _token(self._table) == self._next


def branch_of(version: int) -> str:
    """Name the branch that holds an unfinished full load."""
    return f"{BRANCH_PREFIX}{version}"


def _token(table: PyIcebergTable) -> tuple[str, int]:
    properties = table.properties
    return properties.get(RUN_ID, ""), int(properties.get(SEQUENCE, "0"))
