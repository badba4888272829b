"""Records that cannot be stored, kept where a person can find, fix and replay them.

A dead letter is one JSON line in `<folder>/<stream>/<run-id>.jsonl`. Its id depends on
the record and the reason only, so that a replayed run repeats it recognisably.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import typing as t
from dataclasses import dataclass

from dativo_core.errors import DataLimitError

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMAT_VERSION = 1


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
    """

    stream: str
    stage: str
    path: str
    expected: str
    found: str
    record: bytes
    masked: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Identify record and reason, whichever run met them."""
        parts = (self.stream, self.stage, self.path, self.expected)
        digest = hashlib.sha256("\0".join(parts).encode())
        digest.update(self.record)
        return digest.hexdigest()

    def line(self, run_id: str) -> bytes:
        """Return the dead letter as a line of JSON."""
        content = {
            "v": FORMAT_VERSION,
            "id": self.id,
            "run_id": run_id,
            "stream": self.stream,
            "stage": self.stage,
            "category": "data",
            "path": self.path,
            "expected": self.expected,
            "found": self.found,
            **({"masked": list(self.masked)} if self.masked else {}),
            **_readable(self.record),
        }
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


class Folder(t.Protocol):
    """Where dead letters are kept; a write returns only when it is durable."""

    def append(self, path: str, lines: bytes) -> str:
        """Add lines to the file at a relative path; return the file's full name."""


class LocalFolder:
    """A folder on a local disk, readable by its owner only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def append(self, path: str, lines: bytes) -> str:
        """Add lines to a file and wait for the disk."""
        file = self._root / path
        # mkdir() gives its mode to the last folder only.
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not file.exists()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(file, flags, 0o600), "ab") as handle:
            handle.write(lines)
            handle.flush()
            os.fsync(handle.fileno())
        if is_new:
            _sync_folder(file.parent)
        return str(file)


def _sync_folder(folder: Path) -> None:
    # A new file survives a power cut only with its folder's entry.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class DeadLetterOffice:
    """Takes the dead letters of one run and stops it when there are too many.

    `errors` names the error to raise by the stage of the last letter, where it is not
    DataLimitError itself.
    """

    def __init__(
        self,
        folder: Folder,
        run_id: str,
        limits: Limits,
        errors: Mapping[str, type[DataLimitError]] | None = None,
    ) -> None:
        self._folder = folder
        self._run_id = run_id
        self._limits = limits
        self._errors = errors or {}
        self.counts: dict[str, int] = {}
        self.files: dict[str, str] = {}

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
        lines = b"".join(letter.line(self._run_id) for letter in letters)
        path = f"{folder_name}/{self._run_id}.jsonl"
        self.files[stream] = self._folder.append(path, lines)
        self.counts[stream] = self.counts.get(stream, 0) + len(letters)
        if self._limits.exceeded(self.counts[stream], seen):
            raise self._too_many(stream, letters[-1], seen)

    def _too_many(self, stream: str, last: DeadLetter, seen: int) -> DataLimitError:
        where = f" at '{last.path}'" if last.path else ""
        what = (
            f"Stream '{stream}': {self.counts[stream]} of {seen} records are dead "
            f"letters, the last one{where}: expected {last.expected}, found "
            f"{last.found}."
        )
        hint = f"See {self.files[stream]}; the limits are in setting dead_letter."
        return self._errors.get(last.stage, DataLimitError)(what, hint=hint)
