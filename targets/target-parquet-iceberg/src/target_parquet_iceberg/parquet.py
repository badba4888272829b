"""Plain Parquet in a Hive layout: `<warehouse>/<namespace>/<table>/<key>=<value>/`.

`parquet_log` says what the table is: a commit writes files, then one entry that lists
them together with the bookmark. Exclusive creation of the entry is the fence.
"""

from __future__ import annotations

import logging
import typing as t

import pyarrow as pa
from dativo_core.errors import ConfigurationError, DativoError, FencedError

from target_parquet_iceberg import ledger
from target_parquet_iceberg.evolution import conform, merge
from target_parquet_iceberg.merge import last_by_key
from target_parquet_iceberg.parquet_entry import Entry
from target_parquet_iceberg.parquet_files import Files, may_hold
from target_parquet_iceberg.parquet_log import HINT, Log, TakenError
from target_parquet_iceberg.plan import Method
from target_parquet_iceberg.replay import (
    Seen,
    all_new,
    comparable,
    fingerprints,
    only,
)
from target_parquet_iceberg.resent import UNKNOWN_START, Resent
from target_parquet_iceberg.table import KEPT_REPLAYS, REPLAYED

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_parquet_iceberg.parquet_entry import LiveFile
    from target_parquet_iceberg.parquet_store import Store
    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.table import Commit

logger = logging.getLogger(__name__)


class ParquetWarehouse:
    """Opens the Parquet folders of one run.

    Args:
        stores: Opens a folder below the warehouse.
        namespace: The folder of the tables.
        run_id: Unique to this run.
        pause: Waits before another attempt, given its number.
    """

    def __init__(
        self,
        stores: Callable[[str], Store],
        namespace: str,
        run_id: str,
        pause: Callable[[int], None],
    ) -> None:
        self._stores = stores
        self._namespace = namespace
        self._run_id = run_id
        self._pause = pause

    letters = None

    def table(self, plan: Plan) -> ParquetTable:
        """Open the folder of a stream, or begin it.

        Raises:
            ConfigurationError: for what plain files cannot do, and a folder that is
                somebody else's.
        """
        _check(plan)
        store = self._stores(f"{self._namespace}/{plan.table}")
        log = Log(store, f"{self._namespace}.{plan.table}", self._pause)
        files = Files(store, self._run_id)
        entry = log.newest() or self._begin(plan, log, files)
        if entry.promoted_to is not None:
            raise promoted(entry)
        if not store.hides:
            log.check_storage(entry)
        files.roll_forward(entry)
        return ParquetTable(plan, log, files, entry, self._run_id)

    def maintain(self) -> None:
        """Do nothing: plain files have no history to look after."""

    def _begin(self, plan: Plan, log: Log, files: Files) -> Entry:
        if files.has_others() and log.newest() is None:
            what = f"Stream '{plan.stream}': the folder of table '{plan.table}' holds "
            what += "Parquet files, but no log of this target."
            hint = "Move them away, or set streams.<stream>.table to another name."
            raise ConfigurationError(what, hint=hint)
        columns = pa.schema(
            pa.field(c.name, c.type, metadata={"doc": c.doc} if c.doc else None)
            for c in plan.stored
        )
        first = Entry(plan.stream, self._run_id, 1, columns, plan.partition_by)
        try:
            log.append(first)
        except FencedError:  # another run was faster
            first = log.newest() or first
        return first


class ParquetTable:
    """One folder of Parquet files, fenced against other runs from when it is opened."""

    can_stage = False

    def __init__(
        self, plan: Plan, log: Log, files: Files, entry: Entry, run_id: str
    ) -> None:
        self._plan = plan
        self._log = log
        self._files = files
        self._entry = entry
        self._run_id = run_id
        self._resent = Resent(entry.state or {})
        self._opened = entry
        self._strays = files.strays(entry)

    def columns(self) -> pa.Schema:
        """Return the table's columns as they are now."""
        return self._entry.columns

    def has_bookmark(self) -> bool:
        """Tell whether a STATE has ever covered rows of the table."""
        return bool(self._opened.state)

    def knows(self, version: int) -> bool:  # noqa: ARG002 loads are never staged
        """Tell that no part of a full load is ever durable before the end."""
        return False

    def adopts(self, commit: Commit) -> bool:  # noqa: ARG002 it has names of its own
        """Tell that the folder's files are all written here."""
        return False

    def ahead(self, commit: Commit, columns: pa.Schema) -> None:
        """Tell that files are named after the entry that lists them."""

    def repeats(self, commit: Commit, *, is_end: bool) -> bool:
        """Tell whether the tap is still sending rows again that the table has."""
        if not self._resent.is_possible(commit):
            return False
        past = self._past(self._merged(commit))
        return self._resent.goes_on(past, commit, is_end=is_end)

    def commit(self, commit: Commit) -> None:
        """Add files, or replace them all, in one entry that holds the bookmark too.

        Raises:
            ConfigurationError: for upserts, which plain files cannot do.
            FencedError: if another run has committed since this one opened the table.
        """
        self._check(commit)
        if commit.replay in self._entry.replays:
            logger.warning(REPLAYED, self._plan.stream, commit.replay)
            return
        following = self._written(commit)
        try:
            self._log.append(following)
        except TakenError:
            for file in following.files:
                if file.sequence == following.sequence:
                    self._files.delete(file.path)
            raise
        self._entry = following
        self._resent.landed()
        self._files.publish(following)
        # Listed before this run had an entry: their owners are dead, or fenced now.
        self._files.clear(self._strays)
        self._strays = []
        count = commit.rows.num_rows if commit.rows is not None else 0
        logger.info("Committed %d rows to %s", count, self._plan.table)

    def _check(self, commit: Commit) -> None:
        if commit.method is Method.UPSERT:
            raise cannot_upsert(self._plan.stream)
        present, wanted = self._entry.partition_by, self._plan.partition_by
        is_replaced = commit.method is Method.OVERWRITE or commit.rows is None
        if present == wanted or is_replaced or not self._entry.files:
            return
        names = ", ".join(present) or "nothing"
        msg = f"Stream '{self._plan.stream}': the table is partitioned by {names}."
        hint = "Set partition_by to that, or load it once with load_method overwrite."
        raise ConfigurationError(msg, hint=hint)

    def _written(self, commit: Commit) -> Entry:
        """Write the new rows; return the entry that would make them the table's."""
        entry, columns = self._entry, self._merged(commit)
        sequence = entry.sequence + 1
        added: Sequence[LiveFile] = ()
        changes: dict[str, t.Any] = {"columns": columns}
        if commit.rows is not None:
            added = self._files.write(
                self._new(commit, columns),
                sequence=sequence,
                partition_by=self._plan.partition_by,
                keys=self._plan.keys,
            )
            changes["partition_by"] = self._plan.partition_by
        if commit.method is Method.OVERWRITE:
            changes["removed"] = tuple(file.path for file in entry.files)
            changes["files"] = tuple(added)
        else:
            changes["files"] = (*entry.files, *added)
        if commit.method is Method.APPEND and not commit.keys:
            rows = sum(file.rows for file in added)
            present = ledger.parse(entry.appended)
            following = present.then(commit.bookmark, rows, self._run_id)
            changes["appended"] = ledger.dump(following)
        if commit.replay is not None:
            changes["replays"] = (*entry.replays[-KEPT_REPLAYS:], commit.replay)
        if commit.bookmark is not None:
            changes |= {"state": commit.bookmark, "state_sequence": sequence}
        return entry.then(self._run_id, **changes)

    def _new(self, commit: Commit, columns: pa.Schema) -> pa.Table:
        """Return the rows that the table lacks."""
        past = self._past(columns)
        rows = conform(commit.rows, columns)
        if commit.keys and commit.method is Method.OVERWRITE:
            rows = last_by_key(rows, commit.keys)
        if commit.keys and commit.method is Method.APPEND:
            seen: Seen | None = past.near(rows, commit.keys)
        else:
            seen = self._resent.rows(past, commit)
        if seen is None:
            return rows
        return only(rows, past.is_new(rows, seen, commit.keys))

    def _merged(self, commit: Commit) -> pa.Schema:
        if commit.rows is None:
            return self._entry.columns
        return merge(self._plan.stream, self._entry.columns, commit.rows.schema)

    def _past(self, columns: pa.Schema) -> _Past:
        return _Past(self._log, self._files, self._opened, self._entry, columns)


class _Past:
    """The rows of a Parquet folder.

    Args:
        opened: The table as the run found it.
        present: The table as the run has made it since.
        columns: The table's columns, with those of rows to come.
    """

    def __init__(
        self, log: Log, files: Files, opened: Entry, present: Entry, columns: pa.Schema
    ) -> None:
        self._log = log
        self._files = files
        self._opened = opened
        self._present = present
        self._columns = columns

    def near(self, rows: pa.Table, keys: Sequence[str]) -> Seen:
        """Collect the table's rows whose keys lie in the range of these."""
        whole = conform(rows, self._columns)
        near = (file for file in self._present.files if may_hold(file, whole, keys))
        return self._seen(Seen(once=True), near)

    def since(self, bookmark: dict[str, t.Any]) -> Seen:
        """Collect the rows that were there when the run began, but not at a bookmark.

        Where no entry tells of the bookmark any more it is all that were there, of
        which so many may come again as the ledger counts.
        """
        since = self._log.sequence_with(bookmark, self._opened)
        most = ledger.parse(self._opened.appended).since(bookmark)
        if since is not None or not bookmark:
            most = None
        elif most is None:
            logger.warning(UNKNOWN_START, self._opened.stream)
        later = (file for file in self._opened.files if file.sequence > (since or 0))
        return self._seen(Seen(once=False, most=most), later)

    def is_new(self, rows: pa.Table, seen: Seen, keys: Sequence[str] = ()) -> pa.Array:
        """Tell for each row whether it has not been seen; use up what has."""
        if seen.lacks(rows, keys):
            return all_new(rows.num_rows)
        whole = conform(rows, self._columns)
        return seen.is_new(fingerprints(whole, comparable(whole.column_names)))

    def _seen(self, seen: Seen, files: Iterable[LiveFile]) -> Seen:
        names = comparable(self._columns.names)
        try:
            for file in files:
                seen.add(fingerprints(self._files.read(file, self._columns), names))
        except FileNotFoundError as error:
            raise self._missing(error) from error
        return seen

    def _missing(self, error: FileNotFoundError) -> DativoError:
        newest, stream = self._log.newest(), self._present.stream
        if newest is None or newest.sequence != self._present.sequence:
            what = f"Stream '{stream}': another run has replaced the table meanwhile."
            return FencedError(what, hint=HINT)
        what = f"Stream '{stream}': a file that the log lists is gone ({error})."
        hint = "Put it back, or load the table once with load_method overwrite."
        return ConfigurationError(what, hint=hint)


def _check(plan: Plan) -> None:
    if plan.resolve(versioned=True) is Method.UPSERT:
        raise cannot_upsert(plan.stream)
    kinds = {column.name: column.type for column in plan.columns}
    folders = set(plan.partition_by)
    if any(pa.types.is_binary(kinds[name]) for name in folders):
        msg = f"Stream '{plan.stream}': bytes are no names of folders."
        raise ConfigurationError(msg, hint="Take another column for partition_by.")
    if folders and folders == set(kinds):
        msg = f"Stream '{plan.stream}': partition_by leaves no column for the files."
        raise ConfigurationError(msg, hint="Take fewer columns for partition_by.")


def cannot_upsert(stream: str) -> ConfigurationError:
    """Say what to set instead."""
    msg = f"Stream '{stream}': plain Parquet cannot upsert."
    hint = "Set load_method to append-only or overwrite, or format to iceberg."
    return ConfigurationError(msg, hint=hint)


def promoted(entry: Entry) -> ConfigurationError:
    """Say that the folder is an Iceberg table now."""
    msg = f"Stream '{entry.stream}': the folder is the Iceberg table "
    msg += f"{entry.promoted_to} now."
    hint = "Set format to iceberg; if it is not there, repeat `dativo promote`."
    return ConfigurationError(msg, hint=hint)
