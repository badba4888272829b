"""One stream of a load: what is whole, what may be published, what is committed."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg import state as states
from target_parquet_iceberg.conflicts import Policy, settle
from target_parquet_iceberg.deletions import hard, stored
from target_parquet_iceberg.evolution import merge, unify
from target_parquet_iceberg.plan import Method
from target_parquet_iceberg.stage import POSITION
from target_parquet_iceberg.table import Commit

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dativo_core.dead_letters import DeadLetter

    from target_parquet_iceberg.intake import StreamIntake
    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.runs import Run
    from target_parquet_iceberg.table import HeldFile, Table, Written

Json: t.TypeAlias = dict[str, t.Any]
# A commit writes less by itself.
LEAST_FILE_BYTES = 2**20


class New(t.NamedTuple):
    """What a commit takes from the intake."""

    rows: pa.Table | None
    files: tuple[HeldFile, ...]
    written: Written | None = None

    @property
    def is_nothing(self) -> bool:
        """Tell whether there is no row."""
        return self.rows is None and not self.files and self.written is None


class StreamLoad:
    """Moves the rows of one stream from its intake into its table.

    Args:
        intake: Where the rows are decoded and wait.
        table: Where they go.
        trusts_end: Whether the end of the input proves that the tap finished.
        started_from: The bookmark that the tap told before the stream's SCHEMA.
    """

    def __init__(
        self,
        intake: StreamIntake,
        table: Table,
        *,
        trusts_end: bool,
        started_from: Json | None = None,
    ) -> None:
        self.intake = intake
        self.declared = intake.plan
        self.stored_rows = 0
        self.is_blocked = False
        self._table = table
        self._trusts_end = trusts_end
        self._is_cut = False
        self._started_from = started_from
        self._bookmark: Json | None = None
        self._published: int | None = None
        self._is_settled = False
        self._known = pa.schema([])
        # Before this run: then the tap is one that sends STATE.
        self._had_bookmark = table.has_bookmark()
        self._check_resumed()

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.intake.plan.stream

    @property
    def is_held(self) -> bool:
        """Tell whether the rows must wait for the end of a full load."""
        if self.intake.method is not Method.OVERWRITE:
            return False
        return self.intake.version is None or not self._table.can_stage

    def reshape(self, plan: Plan) -> None:
        """Go on under a new schema; the block before it must be decoded already."""
        self.declared = plan
        self._is_settled = False
        self.intake.reshape(plan)

    def end_keys(self, plan: Plan, barrier: Json | None) -> None:
        """Commit what came before a SCHEMA with other keys: they tell other rows apart.

        Raises:
            ConfigurationError: if it has to wait for a STATE, or for the end of a load.
        """
        keys, intake = self.declared.keys, self.intake
        if keys == plan.keys or not intake.pending_rows:
            return
        # Rows without a key that come again would be stored twice.
        must_wait = intake.has_uncovered_rows and not keys
        if must_wait or not self.commit(barrier, is_end=False):
            what = f"Stream '{self.name}': its keys change between two STATEs."
            hint = "Set key_properties in streams, so that they stay the same."
            raise ConfigurationError(what, hint=hint)

    def add_run(self, run: Run) -> bool:
        """Take a run of lines, if every one of them is a faultless record."""
        self.settle()
        return self.intake.add_run(run)

    def decode(self) -> list[DeadLetter]:
        """Decode the block into the stage; return what could not be stored."""
        if self.intake.pending_rows:
            self.settle()
        return self.intake.decode()

    def settle(self) -> None:
        """Make up the plan for rows to come, now that the table can be looked at."""
        if not self._is_settled:
            self._settle(self.declared)
            self._is_settled = True

    def adopts(self, file: HeldFile) -> bool:
        """Tell whether the table could take a file as it is."""
        if self.intake.stage.is_ahead:
            return False
        return self._table.adopts(replace(self._commit_to_come, files=(file,)))

    def make_room(self, least: int | None) -> None:
        """Let go of rows in memory: to data files if that may be, else to disk.

        Rows that no STATE covers go to disk: they may have to be left out.

        Args:
            least: How many bytes are worth a data file; None if there are enough files.
        """
        stage, covered = self.intake.stage, self.intake.covered
        if least is not None and stage.measure(covered) >= max(1, least):
            self._begin_ahead()
        if not (stage.is_ahead and stage.write_ahead(covered)):
            self.is_blocked = self.is_blocked or self._lacks_columns()
            stage.spill()

    def _lacks_columns(self) -> bool:
        """Tell whether rows wait for columns that only a commit makes."""
        columns, present = self.intake.stage.columns, self._table.columns()
        if columns is None or present is None or self.is_held:
            return False
        wanted = stored(columns, self.intake.plan.deletes)
        with contextlib.suppress(ConfigurationError):  # the commit will say so
            return bool(merge(self.name, present, wanted).types != present.types)
        return False

    def _begin_ahead(self) -> None:
        stage, intake = self.intake.stage, self.intake
        columns, is_replay = stage.columns, self.declared.replay is not None
        if stage.is_ahead or intake.held or is_replay or columns is None:
            return
        ahead = self._table.ahead(self._commit_to_come, columns)
        if ahead is not None:
            stage.begin(ahead)

    @property
    def _commit_to_come(self) -> Commit:
        """What is known of the next commit: all but its rows."""
        method, version = self.intake.method, None
        if method is Method.OVERWRITE and not self.is_held:
            version = self.intake.version
        commit = Commit(None, method, self.intake.plan.keys, None, version)
        deletes = self.intake.plan.deletes
        return replace(commit, started_from=self._started_from, deletes=deletes)

    def _settle(self, plan: Plan) -> None:
        """Lead values whose type the table cannot take to where they can be stored."""
        if plan.on_type_conflict is Policy.WIDEN:
            return
        present = self._table.columns()
        if present is None:
            return
        # Rows in the stage may have columns that the table does not have yet.
        known = merge(self.name, present, self._known)
        settled = settle(plan, known)
        self.intake.reshape(replace(plan, columns=settled))
        rows = pa.schema([(column.name, column.type) for column in settled])
        self._known = merge(self.name, self._known, rows)

    def cut(self) -> None:
        """Take note that the input ended in the middle of a line, maybe of this stream.

        From now on only the tap's mark proves that the stream is whole.
        """
        self._is_cut = True

    def is_whole(self, barrier: Json | None) -> bool:
        """Tell whether the end of the input may be the end of the stream."""
        intake = self.intake
        if intake.is_marked or self._is_cut:
            return intake.is_marked
        if self.declared.replay is not None:
            return self.declared.replay_ends
        if self._trusts_end:
            return True
        if intake.method is Method.OVERWRITE:
            return (
                barrier is not None
                and intake.is_confirmed
                and states.is_clean(barrier, self.name)
            )
        # A tap that sends STATE sends one at its end: rows behind the last one come
        # again with the next run.
        if barrier is None:
            return not (self._had_bookmark and intake.seen)
        return not intake.has_uncovered_rows and states.is_finished(barrier, self.name)

    def prepare(self, barrier: Json | None, *, is_end: bool) -> None:
        """Let the last rows of a commit to come be written while others commit."""
        if not self._waits(barrier, is_end=is_end):
            limit = self._limit(barrier, is_end=is_end)
            if self.intake.stage.measure(limit) >= LEAST_FILE_BYTES:
                self._begin_ahead()
            self.intake.stage.close(limit)

    def commit(self, barrier: Json | None, *, is_end: bool) -> bool:
        """Commit what the barrier covers, at the end of the input all that is whole.

        Returns:
            Whether all that the barrier covers is durable now.
        """
        self.is_blocked = False
        self.prepare(barrier, is_end=is_end)
        bookmark = states.bookmark(barrier or {}, self.name)
        whole = self.is_whole(barrier)
        if self.intake.stage.is_ahead and self._waits(barrier, is_end=is_end):
            return False
        new = self._new(self._limit(barrier, is_end=is_end))
        if self._repeats(new.rows, bookmark, is_end=is_end):
            return False
        if self.intake.method is not Method.OVERWRITE or self._is_published(new):
            self._store(new, bookmark)
            return True
        completes = self.intake.is_marked or (is_end and whole)
        if self.is_held and not completes:
            return False
        self._store_load(new, bookmark, completes=completes)
        return True

    def _limit(self, barrier: Json | None, *, is_end: bool) -> int:
        """Return the place before which a commit takes all rows."""
        # An upsert takes the same rows once more without harm.
        is_repeatable = self.intake.method is Method.UPSERT
        if is_end and not self.is_whole(barrier) and not is_repeatable:
            return self.intake.covered
        return self.intake.seen

    def _waits(self, barrier: Json | None, *, is_end: bool) -> bool:
        """Tell whether rows stay where they are until the full load is complete."""
        completes = self.intake.is_marked or (is_end and self.is_whole(barrier))
        return self.is_held and not completes

    def _repeats(
        self, rows: pa.Table | None, bookmark: Json | None, *, is_end: bool
    ) -> bool:
        if self.intake.method is not Method.APPEND or (is_end and self._trusts_end):
            return False
        keys, started_from = self.intake.plan.keys, self._started_from
        commit = Commit(rows, Method.APPEND, keys, bookmark, started_from=started_from)
        return self._table.repeats(commit, is_end=is_end)

    def _is_published(self, new: New) -> bool:
        """Tell whether the load is over; more rows would begin another one."""
        return new.is_nothing and self._published == self._load_id

    @property
    def _load_id(self) -> int:
        # Loads without a version are one to a run.
        return self.intake.version or 0

    def _store(self, new: New, bookmark: Json | None) -> None:
        is_news = bookmark is not None and bookmark != self._bookmark
        whole_replay = self.declared.replay if self.declared.replay_ends else None
        if new.is_nothing and not is_news and whole_replay is None:
            return
        method = self.intake.method
        if method is Method.OVERWRITE and new.is_nothing:
            method = Method.APPEND  # a bookmark alone must not empty the table
        keys = self.intake.plan.keys
        commit = Commit(new.rows, method, keys, bookmark, files=new.files)
        commit = replace(commit, started_from=self._started_from, written=new.written)
        self._commit(replace(commit, replay=whole_replay))

    def _store_load(self, new: New, bookmark: Json | None, *, completes: bool) -> None:
        if new.is_nothing and not completes and bookmark == self._bookmark:
            return
        version = None if self.is_held else self.intake.version
        keys = self.intake.plan.keys
        commit = Commit(new.rows, Method.OVERWRITE, keys, bookmark, version, completes)
        self._commit(replace(commit, files=new.files, written=new.written))
        if completes:
            self._published = self._load_id

    def _commit(self, commit: Commit) -> None:
        deletes = self.intake.plan.deletes
        commit = hard(self.name, replace(commit, deletes=deletes))
        self._table.commit(commit)
        self.stored_rows += commit.count
        self._bookmark = commit.bookmark
        self.intake.clear()

    def _new(self, limit: int) -> New:
        stage = self.intake.stage
        stage.close(limit)
        files = tuple(file for file in self.intake.held if file.first < limit)
        parts = list(stage.tables())
        rows = unify(self.name, parts) if parts else None
        if rows is not None and limit < self.intake.seen:
            rows = rows.filter(pc.less(rows[POSITION], limit))
        if rows is not None and rows.num_rows:
            files = tuple(_placed(files, rows[POSITION]))
            return New(rows.drop_columns([POSITION]), files, stage.finish())
        return New(None, files, stage.finish())

    def _check_resumed(self) -> None:
        marker = (self._started_from or {}).get("full_table") or {}
        version = marker.get("version")
        if version is None or self._table.knows(version):
            return
        what = f"Stream '{self.name}': the tap goes on with full load {version}, but "
        what += "its beginning is not in the table."
        raise ConfigurationError(
            what, hint="Run with --full-refresh, or without the old state."
        )


def _placed(files: Iterable[HeldFile], places: pa.ChunkedArray) -> Iterator[HeldFile]:
    """Tell of each file how many of the rows at these places came before it."""
    for file in files:
        yield replace(file, after=pc.sum(pc.less(places, file.first)).as_py())
