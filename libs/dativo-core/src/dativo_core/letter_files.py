"""The files that dead letters are kept in: letters, their SCHEMAs, and their replays.

| File | holds |
|:--|:--|
| `<stream>/<run-id>.jsonl` | the letters of a run, one a line |
| `<stream>/<fingerprint>.schema.json` | a SCHEMA message that letters name |
| `<stream>/<replay>.replay.json` | which letters a replay has taken up |
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

LETTERS = ".jsonl"
SCHEMAS = ".schema.json"
REPLAYS = ".replay.json"
Json: t.TypeAlias = dict[str, t.Any]


class Folder(t.Protocol):
    """Where dead letters are kept; a write returns only when it is durable.

    Paths are relative, with one level of folders, and names sort by time.
    """

    def append(self, path: str, lines: bytes) -> str:
        """Add lines to the file at a relative path; return the file's full name."""

    def put(self, path: str, content: bytes) -> None:
        """Write a whole file, in place of one that may be there."""

    def names(self, folder: str = "") -> list[str]:
        """List the paths of all files, or of those in one folder."""

    def read(self, path: str) -> bytes:
        """Return the content of a file; nothing if there is none."""

    def rewrite(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Replace a file by what `change` makes of it; of nothing, by no file."""


class LocalFolder:
    """A folder on a local disk, readable by its owner only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def append(self, path: str, lines: bytes) -> str:
        """Add lines to a file and wait for the disk."""
        file = self._made(path)
        with _locked(file.parent):
            is_new = not file.exists()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(file, flags, 0o600), "ab") as handle:
                handle.write(lines)
                handle.flush()
                os.fsync(handle.fileno())
            if is_new:
                _sync_folder(file.parent)
        return str(file)

    def put(self, path: str, content: bytes) -> None:
        """Write a file that nobody sees half written."""
        file = self._made(path)
        with _locked(file.parent):
            _replace(file, content)

    def _made(self, path: str) -> Path:
        """Return a file, its folder there and private."""
        file = self._root / path
        # mkdir() gives its mode to the last folder only.
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.parent.mkdir(exist_ok=True, mode=0o700)
        return file

    def names(self, folder: str = "") -> list[str]:
        """List the files one level down."""
        found = self._root.glob(f"{folder}/*" if folder else "*/*")
        return sorted(f"{file.parent.name}/{file.name}" for file in found)

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return b""

    def rewrite(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Replace a file; a run that appends to it meanwhile waits."""
        file = self._root / path
        with _locked(file.parent):
            kept = change(self.read(path))
            if kept:
                _replace(file, kept)
                return
            file.unlink(missing_ok=True)
            _sync_folder(file.parent)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Not every network file system can lock a folder; then nobody waits.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f".{file.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(draft, flags, 0o600), "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(file)
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    # A new file survives a power cut only with its folder's entry.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class KeptLetter(t.NamedTuple):
    """A letter of a file: which one, by whom, and the whole of it."""

    id: str
    file: str
    content: Json


def kept_letters(folder: Folder, name: str) -> Iterator[KeptLetter]:
    """Yield the letters of a folder, oldest run first.

    A line that is none is passed over: a run was killed while it wrote it, and the
    record comes again.
    """
    for path in folder.names(name):
        if path.endswith(LETTERS):
            stem = path.rpartition("/")[2].removesuffix(LETTERS)
            for content in parsed(folder.read(path)):
                yield KeptLetter(content["id"], stem, content)


def parsed(lines: bytes) -> Iterator[Json]:
    """Yield the letters of a file's content."""
    for line in lines.splitlines():
        content = parse_line(line)
        if content is not None:
            yield content


def parse_line(line: bytes) -> Json | None:
    """Return the letter in a line, None if there is none."""
    with contextlib.suppress(ValueError):
        content = json.loads(line)
        if isinstance(content, dict) and isinstance(content.get("id"), str):
            return content
    return None


def replays(folder: Folder, name: str) -> list[str]:
    """Name the replays that have taken up letters of a folder, the oldest first."""
    paths = [path for path in folder.names(name) if path.endswith(REPLAYS)]
    return [path.rpartition("/")[2].removesuffix(REPLAYS) for path in paths]


def unreplayed(
    folder: Folder, name: str, replays: Iterable[str]
) -> Iterator[KeptLetter]:
    """Yield the letters of a folder but those that some replays have taken up."""
    taken = taken_up(folder, name, replays)
    for letter in kept_letters(folder, name):
        if (letter.file, letter.id) not in taken:
            yield letter


def taken_up(folder: Folder, name: str, replays: Iterable[str]) -> set[tuple[str, str]]:
    """Return which letters replays have taken up: file and id of each."""
    taken: set[tuple[str, str]] = set()
    for replay in replays:
        found = folder.read(f"{name}/{replay}{REPLAYS}")
        letters = json.loads(found)["letters"] if found else {}
        taken |= {(file, letter) for file, ids in letters.items() for letter in ids}
    return taken
