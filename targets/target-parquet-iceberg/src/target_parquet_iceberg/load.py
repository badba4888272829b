"""The loop of a load: messages in, committed tables and then STATE out.

A STATE is a barrier: it covers all records before it. A commit takes everything up to
the last barrier, one transaction per table, each with its stream's bookmark; only when
every table has committed does the STATE go out.
"""

from __future__ import annotations

import contextlib
import logging
import typing as t

from dativo_core import heap
from dativo_core.dead_letters import DeadLetter
from dativo_core.errors import ConfigurationError, IncompleteError
from dativo_core.metrics import DEAD_LETTERS, count
from dativo_core.scratch import Scratch

from target_parquet_iceberg import state as states
from target_parquet_iceberg.intake import StreamIntake
from target_parquet_iceberg.manifest import RefusedError
from target_parquet_iceberg.naming import check_unique, table_name
from target_parquet_iceberg.plan import plan as plan_stream
from target_parquet_iceberg.privacy import Privacy
from target_parquet_iceberg.refused import RefusedStreams
from target_parquet_iceberg.stream_load import StreamLoad

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dativo_core.dead_letters import DeadLetterOffice

    from target_parquet_iceberg import messages
    from target_parquet_iceberg.batches import Batches
    from target_parquet_iceberg.limits import Limits
    from target_parquet_iceberg.mapping import Mapping as StreamMaps
    from target_parquet_iceberg.metadata import Metadata
    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.runs import Run
    from target_parquet_iceberg.table import Warehouse

logger = logging.getLogger(__name__)
Json: t.TypeAlias = dict[str, t.Any]
UNPARSED = "_unparsed"
# How many streams write their files while another one commits.
PREPARED = 2


class Load:
    """Routes messages to streams and decides when to commit."""

    def __init__(
        self,
        *,
        warehouse: Warehouse,
        dead_letters: DeadLetterOffice,
        emit: Callable[[Json], None],
        clock: Callable[[], float],
        settings: Mapping[str, t.Any],
        limits: Limits,
        metadata: Metadata | None = None,
        batches: Batches | None = None,
        privacy: Privacy | None = None,
        scratch: Scratch | None = None,
        uncut: Callable[[], contextlib.AbstractContextManager[None]] | None = None,
    ) -> None:
        self._warehouse = warehouse
        self._dead_letters = dead_letters
        self._emit = emit
        self._clock = clock
        self._settings = settings
        self._limits = limits
        self._metadata = metadata
        self._batches = batches
        self._scratch = scratch or Scratch()
        self._uncut = uncut or contextlib.nullcontext
        self._is_cut = False
        self._privacy = privacy or Privacy()
        self._refused = RefusedStreams(dead_letters, _folder, self._privacy.letter)
        self._streams: dict[str, StreamLoad] = {}
        self._tables: dict[str, str] = {}
        self._barrier: Json | None = None
        self._told: Json = {}
        self._emitted: Json | None = None
        self._last_commit = clock()
        self._block_bytes = limits.block_bytes(1)

    def schema(self, message: messages.Schema) -> None:
        """Open a stream, or go on under its new schema.

        One that cannot be used ends the stream, not the run: what other streams sent
        is committed first.
        """
        self._privacy.declare(message.stream, message.schema)
        if message.stream in self._refused:
            return
        known = self._streams.get(message.stream)
        try:
            plan = plan_stream(message, self._settings)
            check_unique(self._tables, message.stream, plan.table)
            self._check_replay(plan)
            if known is not None and known.declared.keys != plan.keys:
                self._end_keys(known, plan)
        except ConfigurationError as error:
            self._refuse_stream(message.stream, error)
            return
        if known is None:
            self._tables[message.stream] = plan.table
            self._streams[message.stream] = self._open(plan)
            self._block_bytes = self._limits.block_bytes(len(self._streams))
        elif known.declared != plan:
            self._decode(known)
            known.reshape(plan)
        self._dead_letters.describe(
            message.stream, message.schema, message.key_properties
        )

    def record(self, message: messages.Record) -> None:
        """Take a record; one whose SCHEMA did not come is a dead letter."""
        stream = self._streams.get(message.stream)
        if message.stream in self._refused:
            self._refused.take(message)
            return
        if stream is None:
            self._refuse(message.stream, "schema", "a SCHEMA before it", message.raw)
            return
        intake = stream.intake
        intake.add(message)
        if intake.block_bytes >= self._block_bytes:
            self._decode(stream)

    def run(self, run: Run) -> Iterator[messages.Message]:
        """Take a run of lines; yield the messages that have to be taken one by one.

        What is not faultless costs the lines around it, not the run.
        """
        stream = self._streams.get(run.stream)
        if stream is not None and stream.add_run(run):
            if stream.intake.block_bytes >= self._block_bytes:
                self._decode(stream)
            return
        halves = run.halves() if stream is not None else ()
        for half in halves:
            yield from self.run(half)
        if not halves:
            yield from run.messages()

    def batch(self, message: messages.Batch, mapping: StreamMaps | None = None) -> None:
        """Take the rows of files; if one of them is refused, so is the stream.

        Its bookmark must not move past rows that nobody has read.
        """
        if message.stream in self._refused:
            self._refused.take(message)
            return
        stream = self._streams.get(message.stream)
        try:
            if self._batches is None:
                raise RefusedError("no files", "a manifest")
            if mapping is not None:
                self._batches.take_mapped(message, mapping, self)
            elif stream is None:
                raise RefusedError("a SCHEMA before it", "none", "")
            else:
                self._batches.take(message, stream, self)
        except RefusedError as refusal:
            aliases = mapping.aliases(message.stream) if mapping else [message.stream]
            self._refuse_batch(message, refusal, [*aliases])

    def activate_version(self, message: messages.ActivateVersion) -> None:
        """Take the tap's word that a full load is complete."""
        if message.stream in self._streams:
            self._streams[message.stream].intake.mark_version(message.version)

    def state(self, value: Json) -> None:
        """Take a barrier, and commit if it is time."""
        self._barrier = value
        if not self._streams and not self._refused.names:  # what the tap starts from
            self._told = value
        for stream in self._streams.values():
            stream.intake.covered = stream.intake.seen
        if self._is_due():
            self._commit()

    def malformed(self, message: messages.Malformed) -> None:
        """Keep a line that is no message; without its SCHEMA, a stream is refused.

        A line that is cut is no SCHEMA: the tap will send it again, whole.
        """
        self._refuse(UNPARSED, "parse", message.expected, message.line, message.reason)
        if message.is_cut:
            self._is_cut = True
            for stream in self._streams.values():
                stream.cut()
        elif message.kind in {"SCHEMA", "BATCH"}:
            what = f"Stream '{message.stream[:80]}': the {message.kind} is malformed."
            hint = f"See the dead letters of {UNPARSED}; correct the tap."
            self._refuse_stream(message.stream, ConfigurationError(what, hint=hint))

    def finish(self) -> None:
        """Commit what is left at the end of the input.

        Raises:
            IncompleteError: if a stream was provably cut, or a full load lacks proof
                that it was not, or nothing came at all.
        """
        self._check_begun()
        cut = [
            name
            for name, stream in self._streams.items()
            if not stream.is_whole(self._barrier)
        ]
        cut += [*self._commit(is_end=True), *self._announced()]
        self._summarise()
        is_cut = bool(cut or self._is_cut)
        error = _incomplete(sorted({*cut}))
        if is_cut and self._refused.names:
            logger.warning("%s", error.what)
        self._refused.check()
        if is_cut:
            raise error
        if self._batches is not None:
            self._batches.close()
        self._warehouse.maintain()

    def abandon(self) -> None:
        """Delete what no commit has taken, after a failure."""
        for stream in self._streams.values():
            stream.intake.stage.clear()
        # The error may still know this load, and so its folder.
        self._scratch.close()

    def decode(self, stream: StreamLoad) -> None:
        """Decode the records of a stream so far."""
        self._decode(stream)

    def make_room(self) -> None:
        """Keep the rows in memory below their limit."""
        self._limits.make_room(self._streams.values())

    def refuse(self, stream: StreamLoad, letters: list[DeadLetter]) -> None:
        """Keep dead letters of a stream."""
        plan, seen = stream.intake.plan, stream.intake.seen
        masked = [self._privacy.letter(letter) for letter in letters]
        self._dead_letters.accept(plan.stream, plan.table, masked, seen)

    def _refuse_batch(
        self, message: messages.Batch, refusal: RefusedError, streams: list[str]
    ) -> None:
        name = message.stream
        letter = DeadLetter(
            name, "batch", refusal.place, refusal.expected, refusal.found, message.raw
        )
        self._dead_letters.accept(name, _folder(name), [letter], seen=0)
        what = f"Stream '{name[:80]}': a BATCH is refused: expected {refusal.expected}"
        what += f", found {refusal.found}."
        hint = "See its dead letter; batch_roots are the folders it may name."
        for stream in streams or [name]:
            self._refuse_stream(stream, ConfigurationError(what, hint=hint))

    def _check_begun(self) -> None:
        """A tap that fails before its first message looks like one with no news."""
        came = self._streams or self._refused.names or self._dead_letters.counts
        is_trusted = self._settings.get("completion") == "eof"
        if not (came or self._barrier is not None or is_trusted):
            what = "The input ended before its first message."
            hint = "Look at the tap's own last message, then run again. For a tap that "
            hint += "may have nothing to say set completion: eof."
            raise IncompleteError(what, hint=hint)

    def _check_replay(self, plan: Plan) -> None:
        """Refuse to mix a replay of dead letters with anything else of its stream."""
        known = self._streams.get(plan.stream)
        if known is not None and known.declared.replay != plan.replay:
            what = f"Stream '{plan.stream}': two replays in one input, or one in a run."
            raise ConfigurationError(what, hint="Pipe them one after the other.")

    def _announced(self) -> list[str]:
        """Name the stream whose SCHEMA the tap was about to send."""
        name = states.syncing(self._barrier or {})
        is_trusted = self._settings.get("completion") == "eof"
        if name is None or name in self._streams or is_trusted:
            return []
        return [name]

    def _refuse_stream(self, stream: str, error: ConfigurationError) -> None:
        # What no commit has taken yet comes again: the bookmark does not move.
        dropped = self._streams.pop(stream, None)
        if dropped is not None:
            dropped.intake.stage.clear()
            dropped.intake.held.clear()
        self._refused.refuse(stream, error)
        self._dead_letters.describe(stream, None, ())

    def _open(self, plan: Plan) -> StreamLoad:
        return StreamLoad(
            StreamIntake(plan, self._scratch, self._metadata),
            # Opened now: whoever commits from here on fences this run.
            self._warehouse.table(plan),
            trusts_end=self._settings.get("completion") == "eof",
            started_from=self._started_from(plan.stream),
        )

    def _started_from(self, stream: str) -> Json | None:
        if self._barrier is None:
            return None
        return states.bookmark(self._barrier, stream) or {}

    def _is_due(self) -> bool:
        seconds = self._clock() - self._last_commit
        return self._limits.are_reached(self._streams.values(), seconds)

    def _commit(self, *, is_end: bool = False) -> list[str]:
        # All before the first commit: too many dead letters stop the run between two
        # barriers, not between two tables.
        for stream in self._streams.values():
            self._decode(stream)
        self._refused.flush()
        self._dead_letters.settle()
        with self._uncut():
            held = self._publish(is_end=is_end)
            self._last_commit = self._clock()
            self._tell(held)
        heap.trim()
        return held

    def _end_keys(self, stream: StreamLoad, plan: Plan) -> None:
        self._decode(stream)
        self._dead_letters.settle()
        with self._uncut():
            stream.end_keys(plan, self._barrier)

    def _publish(self, *, is_end: bool) -> list[str]:
        streams, held = list(self._streams.items()), []
        for number, (name, stream) in enumerate(streams, 1):
            for _, following in streams[number : number + PREPARED]:
                following.prepare(self._barrier, is_end=is_end)
            if not stream.commit(self._barrier, is_end=is_end):
                held.append(name)
        return held

    def _tell(self, held: list[str]) -> None:
        if self._barrier is None:
            return
        earlier = self._told if self._emitted is None else self._emitted
        late = [*held, *self._refused.names]
        value = states.withhold(self._barrier, late, earlier)
        if value != (self._emitted or {}):
            self._emit(value)
            self._emitted = value

    def _decode(self, stream: StreamLoad) -> None:
        self.refuse(stream, stream.decode())
        self.make_room()

    def _refuse(
        self, stream: str, stage: str, expected: str, raw: bytes, found: str = "none"
    ) -> None:
        letter = DeadLetter(stream, stage, "", expected, found, raw)
        letters = [self._privacy.letter(letter)]
        self._dead_letters.accept(stream, _folder(stream), letters, seen=0)

    def _summarise(self) -> None:
        for name, stream in self._streams.items():
            dead = self._dead_letters.counts.get(name, 0)
            count(DEAD_LETTERS, dead, name)
            logger.info(
                "Stream '%s': %d records read, %d stored in %s, %s%s",
                name,
                stream.intake.seen,
                stream.stored_rows,
                stream.intake.plan.table,
                self._dead_letters.summary(name),
                stream.intake.undeclared,
                extra={"stream_name": name},
            )
        for name, dead in self._dead_letters.counts.items():
            if name not in self._streams:
                count(DEAD_LETTERS, dead, name)
                told = self._dead_letters.summary(name)
                logger.info("%s: %s", name, told, extra={"stream_name": name})


def _incomplete(streams: list[str]) -> IncompleteError:
    where = ", ".join(streams) or "a line"
    hint = (
        "What STATE covers is stored, the rest of full loads and appends is not "
        "published: look at the tap's own last message, then run again. For a tap that "
        "sends no STATE at its end set completion: eof."
    )
    return IncompleteError(f"The input ended in the middle of {where}.", hint=hint)


def _folder(stream: str) -> str:
    try:
        return UNPARSED if stream == UNPARSED else table_name(stream)
    except ConfigurationError:  # a name that no file can have
        return UNPARSED
