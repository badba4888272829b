"""Iceberg tables: data, schema and bookmark in one fenced commit.

The fence is a pair of table properties, `dativo.run-id` and `dativo.sequence`: a run
remembers what it saw when it opened the table, and every commit adds one. PyIceberg's
own retry would let a second run commit on top of the first, so it is not used and this
module retries itself.
"""

from __future__ import annotations

import contextlib
import logging
import typing as t

import pyarrow as pa
from dativo_core.errors import FencedError, TryLaterError
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from sqlalchemy.exc import IntegrityError

from target_parquet_iceberg.equality import CANNOT_READ
from target_parquet_iceberg.letter_tables import LetterTables
from target_parquet_iceberg.parquet_options import BLOOM_ENABLED
from target_parquet_iceberg.reconcile import creation
from target_parquet_iceberg.rewrite import discard
from target_parquet_iceberg.room import Room
from target_parquet_iceberg.snapshots import SnapshotWriter
from target_parquet_iceberg.staging import (
    STATE,
    Fence,
    Staging,
    fence_of,
    knows,
    replays_of,
)
from target_parquet_iceberg.table import REPLAYED
from target_parquet_iceberg.transactions import (
    ATTEMPTS,
    REFUSED,
    UNANSWERED,
    LightTransaction,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as PyIcebergTable

    from target_parquet_iceberg.ahead import AheadFiles
    from target_parquet_iceberg.layout import Layout
    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.table import Commit
    from target_parquet_iceberg.upkeep import Upkeep

logger = logging.getLogger(__name__)

UNREADABLE = "Stream '%s': %s cannot read the equality deletes that you have asked for."
TABLE_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
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
        upkeep: Upkeep | None = None,
        room: Room | None = None,
    ) -> None:
        self._catalog = catalog
        self._namespace = namespace
        self._run_id = run_id
        self._pause = pause
        self._upkeep = upkeep
        self._room = room or Room()
        self._opened: list[IcebergTable] = []
        self.letters = LetterTables(catalog, namespace, TABLE_PROPERTIES, pause)

    def table(self, plan: Plan) -> IcebergTable:
        """Load the table of a stream, or create it."""
        if plan.layout.deletes_by_key:
            logger.warning(UNREADABLE, plan.stream, CANNOT_READ)
        identifier = (self._namespace, plan.table)
        try:
            table = self._catalog.load_table(identifier)
        except NoSuchTableError:
            table = self._create(identifier, plan)
        opened = IcebergTable(
            plan.stream, table, self._run_id, self._pause, plan.layout, self._room
        )
        self._opened.append(opened)
        return opened

    def maintain(self) -> None:
        """Look after the tables that this run has opened; a failure is a warning."""
        if self._upkeep is not None:
            tables = [opened.present for opened in self._opened]
            self._upkeep.look_after([*tables, *self.letters.present])

    def _create(self, identifier: tuple[str, str], plan: Plan) -> PyIcebergTable:
        # PyIceberg's SQL catalog looks, then inserts: another run may come between.
        with contextlib.suppress(NamespaceAlreadyExistsError, IntegrityError):
            self._catalog.create_namespace(self._namespace)
        fields = [
            pa.field(c.name, c.type, metadata={"doc": c.doc} if c.doc else None)
            for c in plan.stored
        ]
        schema, spec, order = creation(pa.schema(fields), plan.layout)
        layout = plan.layout
        properties = {
            **TABLE_PROPERTIES,
            **dict.fromkeys((BLOOM_ENABLED + key for key in plan.keys), "true"),
            **dict(layout.properties),
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
        layout: Layout,
        room: Room,
    ) -> None:
        self._stream = stream
        self._table = table
        self._run_id = run_id
        self._pause = pause
        self._fence = fence_of(table)
        self._staging = Staging(stream, table, layout, room)

    can_stage = True

    @property
    def present(self) -> PyIcebergTable:
        """The table as this run has left it."""
        return self._table

    def columns(self) -> pa.Schema:
        """Return the table's columns as they are now."""
        return SnapshotWriter(LightTransaction(self._table)).arrow_schema()

    def has_bookmark(self) -> bool:
        """Tell whether a STATE has ever covered rows of the table."""
        return self._table.properties.get(STATE, "{}") != "{}"

    def knows(self, version: int) -> bool:
        """Tell whether a full load has begun, or is what readers see now."""
        return knows(self._table, version)

    def repeats(self, commit: Commit, *, is_end: bool) -> bool:
        """Tell whether the tap is still sending rows again that the table has."""
        return self._staging.repeats(self._table, commit, is_end=is_end)

    def adopts(self, commit: Commit) -> bool:
        """Tell whether such a commit could take the files as they are."""
        return self._staging.adopts(self._table, commit)

    def ahead(self, commit: Commit, columns: pa.Schema) -> AheadFiles | None:
        """Return what writes rows before such a commit, if nothing forbids it."""
        return self._staging.ahead(self._table, commit, columns)

    def commit(self, commit: Commit) -> None:
        """Commit rows, schema and bookmark in one transaction.

        Raises:
            FencedError: if another run has committed since this one opened the table.
            TryLaterError: if the catalog kept refusing or failing.
        """
        sent: list[SnapshotWriter] = []
        try:
            self._commit(commit, sent)
        except BaseException:
            # If one has an unknown end, the table may list the files after all.
            if commit.written and all(writer.is_discarded for writer in sent):
                discard(self._table.io, commit.written.files)
            raise
        for writer in sent:
            discard(self._table.io, writer.replaced)

    def _commit(self, commit: Commit, sent: list[SnapshotWriter]) -> None:
        self._check_fence()
        if commit.replay in replays_of(self._table):
            logger.warning(REPLAYED, self._stream, commit.replay)
            return
        for attempt in range(1, ATTEMPTS + 1):
            if self._attempt(commit, sent) or self._is_settled(attempt, sent):
                self._fence = self._next
                self._staging.landed(self._table)
                logger.info("Committed %d rows to %s", commit.count, self._name)
                return
        what = f"Table {self._name}: {ATTEMPTS} commits failed, one after the other."
        raise TryLaterError(what, hint="Look at the catalog's own log, then run again.")

    @property
    def _name(self) -> str:
        return ".".join(self._table.name())

    @property
    def _next(self) -> Fence:
        return Fence(self._run_id, self._fence.sequence + 1)

    def _attempt(self, commit: Commit, sent: list[SnapshotWriter]) -> bool:
        try:
            writer = self._staging.stage(self._table, commit, self._next)
        except FileNotFoundError as error:
            # Somebody's expiry took what this run still saw as the table.
            logger.warning("Table %s: plan out of date (%s)", self._name, error)
            return False
        sent.append(writer)
        try:
            writer.send()
        except REFUSED as error:
            writer.is_refused = True
            logger.warning("Table %s: commit refused (%s), retrying", self._name, error)
            return False
        except UNANSWERED as error:
            # It may have landed, even later: the snapshot's id will tell.
            logger.warning("Table %s: commit unanswered (%s)", self._name, error)
            return False
        except OSError:
            # Storage failed before the catalog was asked.
            writer.is_refused = True
            if self._is_settled(1, sent):
                return True
            raise
        return True

    def _is_settled(self, attempt: int, sent: list[SnapshotWriter]) -> bool:
        """Look whether a commit landed after all; delete the files of refused ones.

        Nothing is deleted on an error's word alone: a proxy that repeats a request gets
        a refusal for what its first copy has committed.
        """
        self._pause(attempt)
        try:
            self._table = self._table.refresh()
        except UNANSWERED as error:
            logger.warning("Table %s: no answer (%s)", self._name, error)
            return False
        except ValueError as error:  # PyIceberg compares the tables' UUIDs
            what = f"Table {self._name}: another run has made it anew meanwhile."
            hint = "Let only one run load a table at a time."
            raise FencedError(what, hint=hint) from error
        landed = [writer for writer in sent if writer.is_part_of(self._table)]
        for writer in sent:
            if writer.is_refused and writer not in landed:
                writer.discard()
        if not landed:
            self._check_fence()
        return bool(landed)

    def _check_fence(self) -> None:
        found = fence_of(self._table)
        if found != self._fence:
            what = f"Table {self._name}: run {found.run_id} has committed meanwhile."
            raise FencedError(what, hint="Let only one run load a table at a time.")
