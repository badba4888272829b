"""Records that cannot be stored, kept where a person can find, fix and replay them.

A dead letter is one JSON line in `<folder>/<stream>/<run-id>.jsonl`. Its id depends on
the record and the reason only, so that a run that meets it again knows it. Beside the
letters lies the SCHEMA that they came under: `dativo dlq replay` needs it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from dativo_core.errors import DataLimitError
from dativo_core.letter_files import (
    LETTERS,
    SCHEMAS,
    Folder,
    Json,
    LocalFolder,
    replays,
    unreplayed,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["DeadLetter", "DeadLetterOffice", "Folder", "Limits", "LocalFolder"]

FORMAT_VERSION = 1
REPLAY_MARK = "x-dativo.replay"
"""In a SCHEMA: the replay whose records follow."""
END_MARK = "x-dativo.replay-ends"
"""In a SCHEMA: that all records of the replay have come."""
HELD_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record and why: which rule, at which field, what was found.

    Args:
        stream: Name of the stream; empty where the line does not tell.
        stage: Where it fell out: `parse`, `schema`, `key`, `cast`.
        path: Dotted path of the field; empty for the record as a whole.
        expected: What the field takes, in words.
        found: What came instead: a type or a parser's message, never the value.
        record: The record's own bytes, but for what is masked.
        masked: Dotted paths of personal values that are not in `record`.
        copy: How many equal ones the run had met before: a stream without keys may
            hold equal records, and each of them counts.
    """

    stream: str
    stage: str
    path: str
    expected: str
    found: str
    record: bytes
    masked: tuple[str, ...] = ()
    copy: int = 0

    @property
    def id(self) -> str:
        """Identify record and reason, whichever run met them."""
        parts = (self.stream, self.stage, self.path, self.expected)
        digest = hashlib.sha256("\0".join(parts).encode())
        digest.update(self.record)
        if self.copy:
            digest.update(b"\0copy %d" % self.copy)
        return digest.hexdigest()

    def content(
        self, run_id: str, written_at: str = "", schema: str | None = None
    ) -> Json:
        """Return the dead letter as plain values.

        Args:
            run_id: The run that met the record.
            written_at: When, in ISO 8601.
            schema: Fingerprint of the SCHEMA that it came under, if there was one.
        """
        return {
            "v": FORMAT_VERSION,
            "id": self.id,
            "run_id": run_id,
            "stream": self.stream,
            "stage": self.stage,
            "category": "data",
            "path": self.path,
            "expected": self.expected,
            "found": self.found,
            "contract_version": None,
            "schema": schema,
            "written_at": written_at,
            **({"masked": list(self.masked)} if self.masked else {}),
            **_readable(self.record),
        }

    def line(
        self, run_id: str, written_at: str = "", schema: str | None = None
    ) -> bytes:
        """Return the dead letter as a line of JSON."""
        return as_line(self.content(run_id, written_at, schema))


def as_line(content: Json) -> bytes:
    """Spell a dead letter as a line."""
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def _readable(record: bytes) -> dict[str, str]:
    try:
        return {"record": record.decode()}
    except UnicodeDecodeError:
        return {"record_base64": base64.b64encode(record).decode()}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many dead letters a stream may have before the run stops with 65.

    Args:
        max_ratio: Largest part of the stream's records, from 0 to 1.
        min_sample: Records to see before the ratio counts.
        max_records: Largest number, whatever the ratio.
    """

    max_ratio: float = 0.01
    min_sample: int = 1000
    max_records: int = 10_000

    def exceeded(self, dead: int, seen: int) -> bool:
        """Tell whether `dead` of `seen` records are too many."""
        too_many = dead > self.max_records
        return too_many or (seen >= self.min_sample and dead > self.max_ratio * seen)


class Mirror(t.Protocol):
    """A second place for dead letters, where they can be queried."""

    def keep(self, name: str, letters: Sequence[Json]) -> None:
        """Make durable those of the letters that are not there yet, by their ids."""


@dataclass(slots=True)
class _Shelf:
    """What a run knows about the letters of one folder.

    Args:
        known: The first run that met each letter, by its id.
        met: How often this run has met each letter, by the id of its first copy.
        waiting: What the mirror does not have yet.
    """

    known: dict[bytes, str]
    met: Counter[bytes] = field(default_factory=Counter)
    waiting: list[Json] = field(default_factory=list)


class DeadLetterOffice:
    """Takes the dead letters of one run and stops it when there are too many.

    A letter that waits in the folder is not written again: a run that was killed has
    met its records before.

    Args:
        folder: Where letters go first.
        run_id: Names the run's files.
        limits: How many letters are too many.
        errors: The error to raise by the stage of the last letter, where it is not
            DataLimitError itself.
        mirror: Where letters go in addition, before the commit that they belong to.
        limits_of: The limits of one stream, where it has its own.
        now: Tells the time, with its zone.
    """

    def __init__(
        self,
        folder: Folder,
        run_id: str,
        limits: Limits,
        errors: Mapping[str, type[DataLimitError]] | None = None,
        *,
        mirror: Mirror | None = None,
        limits_of: Callable[[str], Limits | None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._folder = folder
        self._run_id = run_id
        self._limits = limits
        self._errors = errors or {}
        self._mirror = mirror
        self._limits_of = limits_of
        self._now = now
        self._shelves: dict[str, _Shelf] = {}
        self._schemas: dict[str, Json] = {}
        self._written: set[str] = set()
        self._held_bytes = 0
        self.counts: dict[str, int] = {}
        self.known: dict[str, int] = {}
        self.files: dict[str, str] = {}

    def describe(self, stream: str, schema: Json | None, keys: Sequence[str]) -> None:
        """Take note under which SCHEMA the stream's next records come.

        Args:
            stream: The stream.
            schema: Its JSON Schema; None where there is none that can be used.
            keys: Its key properties.
        """
        if schema is None:
            self._schemas.pop(stream, None)
            return
        marks = (REPLAY_MARK, END_MARK)
        plain = {name: part for name, part in schema.items() if name not in marks}
        self._schemas[stream] = {
            "type": "SCHEMA",
            "stream": stream,
            "schema": plain,
            "key_properties": list(keys),
        }

    def accept(
        self, stream: str, folder_name: str, letters: Sequence[DeadLetter], seen: int
    ) -> None:
        """Make the letters durable, then check the limits.

        Args:
            stream: The stream as the tap names it.
            folder_name: The stream as a safe file name.
            letters: The refused records.
            seen: Records of the stream so far, good and bad.

        Raises:
            DataLimitError: if the stream now has more than its limits allow.
        """
        if not letters:
            return
        self._keep(stream, folder_name, letters)
        self.counts[stream] = self.counts.get(stream, 0) + len(letters)
        limits = self._limits_of(stream) or self._limits
        if limits.exceeded(self.counts[stream], seen):
            self.settle()
            raise self._too_many(stream, folder_name, letters[-1], seen)

    def settle(self) -> None:
        """Bring what was accepted to the mirror, too."""
        if self._mirror is not None:
            for name, shelf in self._shelves.items():
                if shelf.waiting:
                    self._mirror.keep(name, shelf.waiting)
                    shelf.waiting.clear()
        self._held_bytes = 0

    def summary(self, stream: str) -> str:
        """Say in words how many dead letters a stream has."""
        count, known = self.counts.get(stream, 0), self.known.get(stream, 0)
        told = f", {known} of them known already" if known else ""
        return f"{count} dead letters{told}"

    def _keep(self, stream: str, name: str, letters: Sequence[DeadLetter]) -> None:
        shelf = self._shelf(name)
        schema = self._schema_file(stream, name)
        at = self._now().isoformat(timespec="microseconds")
        lines: list[bytes] = []
        for letter in letters:
            content = self._counted(shelf, letter).content(self._run_id, at, schema)
            key = _key(content["id"])
            if key in shelf.known:
                content["run_id"] = shelf.known[key]
            else:
                shelf.known[key] = self._run_id
                lines.append(as_line(content))
            if self._mirror is not None:
                shelf.waiting.append(content)
                self._held_bytes += len(letter.record)
        if lines:
            path = f"{name}/{self._run_id}{LETTERS}"
            self.files[stream] = self._folder.append(path, b"".join(lines))
        self.known[stream] = self.known.get(stream, 0) + len(letters) - len(lines)
        if self._held_bytes > HELD_BYTES:
            self.settle()

    def _counted(self, shelf: _Shelf, letter: DeadLetter) -> DeadLetter:
        key = _key(letter.id)
        shelf.met[key] += 1
        copy = shelf.met[key] - 1
        return replace(letter, copy=copy) if copy else letter

    def _shelf(self, name: str) -> _Shelf:
        if name not in self._shelves:
            self._shelves[name] = _Shelf(self._known(name))
        return self._shelves[name]

    def _known(self, name: str) -> dict[bytes, str]:
        """Read which letters a folder has.

        One that was replayed is over and done with: if its record comes again, or
        fails again, it is a letter again.
        """
        letters = unreplayed(self._folder, name, replays(self._folder, name))
        return {_key(letter.id): letter.file for letter in letters}

    def _schema_file(self, stream: str, name: str) -> str | None:
        """Keep the SCHEMA beside the letters; return its fingerprint."""
        message = self._schemas.get(stream)
        if message is None:
            return None
        text = json.dumps(message, sort_keys=True).encode()
        fingerprint = hashlib.sha256(text).hexdigest()[:16]
        path = f"{name}/{fingerprint}{SCHEMAS}"
        if path not in self._written:
            self._folder.put(path, text)
            self._written.add(path)
        return fingerprint

    def _too_many(
        self, stream: str, name: str, last: DeadLetter, seen: int
    ) -> DataLimitError:
        where = f" at '{last.path}'" if last.path else ""
        what = (
            f"Stream '{stream}': {self.counts[stream]} of {seen} records are dead "
            f"letters, the last one{where}: expected {last.expected}, found "
            f"{last.found}."
        )
        place = self.files.get(stream) or f"`dativo dlq show {name}`"
        hint = f"See {place}; the limits are in setting dead_letter."
        return self._errors.get(last.stage, DataLimitError)(what, hint=hint)


def _key(letter_id: str) -> bytes:
    # Half of it is enough, and half the memory.
    return bytes.fromhex(letter_id[:32])
