"""Dead letters as Iceberg tables: `<table>__dlq`, each letter once by its id.

Letters are in their files before they come here, and here before the rows of their
commit. Any number of runs may add to one table: each commit is compared and swapped,
and a letter that is there already is left out.
"""

from __future__ import annotations

import contextlib
import logging
import typing as t
from datetime import datetime

import pyarrow as pa
from dativo_core.errors import ConfigurationError, TryLaterError
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from sqlalchemy.exc import IntegrityError

from target_parquet_iceberg.layout import Layout
from target_parquet_iceberg.naming import DEAD_LETTERS
from target_parquet_iceberg.reconcile import creation
from target_parquet_iceberg.snapshots import SnapshotWriter
from target_parquet_iceberg.transactions import (
    ATTEMPTS,
    REFUSED,
    UNANSWERED,
    LightTransaction,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

Json: t.TypeAlias = dict[str, t.Any]
logger = logging.getLogger(__name__)

MARK = "dativo.dead-letters"
_MOMENT = pa.timestamp("us", tz="UTC")
_TEXTS = {
    "id": "Identifies record and reason, whichever run met them.",
    "run_id": "The run that met the record first.",
    "stream": "The stream as the tap names it.",
    "stage": "Where it fell out: parse, schema, key or cast.",
    "category": "The kind of error.",
    "path": "Dotted path of the field; empty for the record as a whole.",
    "expected": "What the field takes.",
    "found": "What came instead; never the value.",
    "contract_version": "Version of the contract that was broken.",
    "schema": "Fingerprint of the SCHEMA that it came under.",
    "record": "The record as it came, if it is text.",
    "record_base64": "The record's bytes, if they are no text.",
}
COLUMNS = pa.schema(
    [
        *(
            pa.field(name, pa.string(), metadata={"doc": doc})
            for name, doc in _TEXTS.items()
        ),
        pa.field("written_at", _MOMENT, metadata={"doc": "When it was met."}),
    ]
)


class LetterTables:
    """The tables of one namespace that hold dead letters.

    Args:
        catalog: Where they are; not asked before there is a letter.
        namespace: Where they are in it.
        properties: What a new table has.
        pause: Waits before another attempt, given its number.
    """

    def __init__(
        self,
        catalog: Catalog,
        namespace: str,
        properties: dict[str, str],
        pause: Callable[[int], None],
    ) -> None:
        self._catalog = catalog
        self._namespace = namespace
        self._properties = properties
        self._pause = pause
        self._opened: dict[str, LetterTable] = {}

    @property
    def present(self) -> list[Table]:
        """The tables that were used, as they are now."""
        return [opened.table for opened in self._opened.values()]

    def keep(self, name: str, letters: Sequence[Json]) -> None:
        """Make durable the letters that are not there yet.

        Args:
            name: The table whose letters these are.
            letters: Their contents.

        Raises:
            ConfigurationError: if a table of that name holds something else.
            TryLaterError: if the catalog kept refusing or failing.
        """
        if name not in self._opened:
            table = self._load(name) or self._create(name)
            self._opened[name] = LetterTable(table, self._pause)
        self._opened[name].keep(letters)

    def discard(self, name: str, ids: Sequence[str]) -> None:
        """Delete letters, if there is such a table."""
        table = self._load(name)
        if table is not None:
            LetterTable(table, self._pause).discard(ids)

    def _identifier(self, name: str) -> tuple[str, str]:
        return self._namespace, f"{name}{DEAD_LETTERS}"

    def _load(self, name: str) -> Table | None:
        try:
            table = self._catalog.load_table(self._identifier(name))
        except NoSuchTableError:
            return None
        if MARK not in table.properties:
            what = f"Table {'.'.join(table.name())} holds no dead letters."
            hint = "Rename it, or set dead_letter.table to false."
            raise ConfigurationError(what, hint=hint)
        return table

    def _create(self, name: str) -> Table:
        with contextlib.suppress(NamespaceAlreadyExistsError, IntegrityError):
            self._catalog.create_namespace(self._namespace)
        schema, spec, order = creation(COLUMNS, Layout())
        try:
            return self._catalog.create_table(
                self._identifier(name),
                schema,
                partition_spec=spec,
                sort_order=order,
                properties={**self._properties, MARK: name},
            )
        except TableAlreadyExistsError:  # another run was faster
            return self._catalog.load_table(self._identifier(name))


class LetterTable:
    """One table of dead letters."""

    def __init__(self, table: Table, pause: Callable[[int], None]) -> None:
        self.table = table
        self._pause = pause
        self._known: set[bytes] = set()
        self._known_at: int | None = None

    def keep(self, letters: Sequence[Json]) -> None:
        """Add the letters that are not there yet."""
        self._commit(lambda writer: self._add(writer, letters))
        self._known |= {_key(letter["id"]) for letter in letters}
        self._known_at = self._head

    def discard(self, ids: Sequence[str]) -> None:
        """Delete letters."""
        self._commit(lambda writer: _delete(writer, ids))

    @property
    def _head(self) -> int | None:
        snapshot = self.table.current_snapshot()
        return snapshot.snapshot_id if snapshot else None

    def _add(self, writer: SnapshotWriter, letters: Sequence[Json]) -> bool:
        self._learn()
        fresh = [one for one in letters if _key(one["id"]) not in self._known]
        if not fresh:
            return False
        writer.commit(writer.append(as_rows(fresh)), {MARK: str(len(fresh))})
        return True

    def _learn(self) -> None:
        """Read the ids, unless nobody has changed the table since."""
        if self._head is None or self._head == self._known_at:
            return
        ids = self.table.scan(selected_fields=("id",)).to_arrow_batch_reader()
        self._known = {_key(one) for batch in ids for one in batch["id"].to_pylist()}
        self._known_at = self._head

    def _commit(self, fill: Callable[[SnapshotWriter], bool]) -> None:
        sent: list[SnapshotWriter] = []
        for attempt in range(1, ATTEMPTS + 1):
            writer = SnapshotWriter(LightTransaction(self.table))
            try:
                if not fill(writer):
                    return
                sent.append(writer)
                writer.send()
            except FileNotFoundError as error:  # expired since the table was loaded
                logger.warning("%s: plan out of date (%s)", self._name, error)
            except REFUSED as error:
                writer.is_refused = True
                logger.info("%s: commit refused (%s), retrying", self._name, error)
            except UNANSWERED as error:
                logger.warning("%s: commit unanswered (%s)", self._name, error)
            else:
                return
            if self._is_settled(attempt, sent):
                return
        what = f"Table {self._name}: {ATTEMPTS} commits failed, one after the other."
        raise TryLaterError(what, hint="Look at the catalog's own log, then run again.")

    def _is_settled(self, attempt: int, sent: list[SnapshotWriter]) -> bool:
        """Look whether a commit landed after all; delete the files of refused ones."""
        self._pause(attempt)
        try:
            self.table = self.table.refresh()
        except UNANSWERED as error:
            logger.warning("%s: no answer (%s)", self._name, error)
            return False
        landed = [writer for writer in sent if writer.is_part_of(self.table)]
        for writer in sent:
            if writer.is_refused and writer not in landed:
                writer.discard()
        return bool(landed)

    @property
    def _name(self) -> str:
        return ".".join(self.table.name())


def _delete(writer: SnapshotWriter, ids: Sequence[str]) -> bool:
    if writer.metadata.current_snapshot() is None:
        return False
    gone = pa.table({"id": pa.array(ids, pa.string())})
    delta = writer.upsert(as_rows([]), ("id",), gone)
    if not (delta.removed or delta.deletes):
        return False
    writer.commit(delta, {MARK: "0"})
    return True


def as_rows(letters: Sequence[Json]) -> pa.Table:
    """Return letters as rows of their table."""
    plain = [{**one, "written_at": _moment(one["written_at"])} for one in letters]
    columns = [pa.array([one.get(f.name) for one in plain], f.type) for f in COLUMNS]
    return pa.Table.from_arrays(columns, schema=COLUMNS)


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _key(letter_id: str) -> bytes:
    return bytes.fromhex(letter_id[:32])
