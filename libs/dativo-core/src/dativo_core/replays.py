"""List dead letters, replay them as Singer messages, and discard them.

A replay has a name. It is written beside the letters which of them it has taken up,
then their SCHEMA and RECORD messages go out; a target that takes the rows of a replay
keeps its name with them, in the same commit. So it is known for certain which letters
have arrived, they are not sent again, and they can be discarded.
"""

from __future__ import annotations

import json
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial

import msgspec

from dativo_core.dead_letters import END_MARK, REPLAY_MARK
from dativo_core.letter_files import (
    LETTERS,
    REPLAYS,
    SCHEMAS,
    Folder,
    Json,
    KeptLetter,
    kept_letters,
    parse_line,
    replays,
    taken_up,
    unreplayed,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    Takes: t.TypeAlias = Callable[[KeptLetter], bool]

_as_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
NO_SCHEMA = "came without a SCHEMA that can be used: the tap sends them again"
NO_RECORD = "are no JSON objects: correct the tap"
MASKED = "are masked, for they hold personal data: the tap sends them again"


@dataclass(frozen=True, slots=True)
class Pile:
    """Letters of one run, stream, stage and reason.

    Args:
        folder: The folder that they lie in.
        run_id: The run that met them.
        stream: The stream as the tap names it.
        stage: Where they fell out.
        path: The field.
        expected: What the field takes.
        count: How many there are.
    """

    folder: str
    run_id: str
    stream: str
    stage: str
    path: str
    expected: str
    count: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters of a folder are meant; all, where nothing is said.

    Args:
        ids: Their ids, or beginnings of them.
        runs: The runs that met them.
        stages: Where they fell out.
    """

    ids: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    def takes(self, letter: KeptLetter) -> bool:
        """Tell whether a letter is meant."""
        return (
            (not self.ids or letter.id.startswith(self.ids))
            and (not self.runs or letter.file in self.runs)
            and (not self.stages or letter.content["stage"] in self.stages)
        )


def folders(folder: Folder) -> list[str]:
    """Name the folders that hold letters."""
    paths = [path for path in folder.names() if path.endswith(LETTERS)]
    return sorted({path.partition("/")[0] for path in paths})


def waiting(
    folder: Folder, name: str, landed: AbstractSet[str], choice: Choice
) -> Iterator[KeptLetter]:
    """Yield the letters that no replay has brought into the table, each id once.

    Args:
        folder: Where all letters are.
        name: The folder of the stream.
        landed: The replays that the table has taken.
        choice: Which letters are meant.
    """
    seen: set[str] = set()
    for letter in unreplayed(folder, name, landed):
        if letter.id not in seen and choice.takes(letter):
            seen.add(letter.id)
            yield letter


def piles(name: str, letters: Iterable[KeptLetter]) -> list[Pile]:
    """Count letters by run and reason."""
    counts = Counter(_reason(letter) for letter in letters)
    return [
        Pile(name, run_id, stream, stage, path, expected, count)
        for (run_id, stream, stage, path, expected), count in sorted(counts.items())
    ]


def _reason(letter: KeptLetter) -> tuple[str, str, str, str, str]:
    told = letter.content
    return letter.file, told["stream"], told["stage"], told["path"], told["expected"]


@dataclass(slots=True)
class Replay:
    """Prints letters of one folder as Singer messages.

    Args:
        folder: Where all letters are.
        name: The folder of the stream.
        new_name: Gives a name that no replay has had, and that a file can have.
        emit: Takes one line, without its end.
        sent: How many records have gone out, by the name of the replay.
        left: How many letters have not, by the reason.
    """

    folder: Folder
    name: str
    new_name: Callable[[], str]
    emit: Callable[[bytes], None]
    sent: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)

    def run(self, letters: Iterable[KeptLetter]) -> None:
        """Let the letters go; each stream is a replay of its own."""
        by_stream: dict[str, list[KeptLetter]] = defaultdict(list)
        for letter in letters:
            by_stream[letter.content["stream"]].append(letter)
        for found in by_stream.values():
            schemas = [one.content["schema"] for one in found if _schema(one)]
            if not schemas:
                self.left[NO_SCHEMA] += len(found)
                continue
            whole = [one for one in found if not one.content.get("masked")]
            fit = [one for one in whole if _is_record(one)]
            self.left[MASKED] += len(found) - len(whole)
            self.left[NO_RECORD] += len(whole) - len(fit)
            if fit:
                self._send(fit, schemas[-1])

    def _send(self, letters: Sequence[KeptLetter], last_schema: str) -> None:
        replay = self.new_name()
        self._take_up(replay, {letter.id for letter in letters})
        present = ""
        for letter in letters:
            own = _schema(letter) or last_schema
            if own != present:
                present = own
                self._emit_schema(replay, own)
            self.emit(_record_line(letter.content))
            self.sent[replay] += 1
        self._emit_schema(replay, present, ends=True)

    def _take_up(self, replay: str, ids: AbstractSet[str]) -> None:
        """Write down which letters go out, before they do."""
        taken: dict[str, list[str]] = defaultdict(list)
        for letter in kept_letters(self.folder, self.name):
            if letter.id in ids:
                taken[letter.file].append(letter.id)
        content = json.dumps({"v": 1, "replay": replay, "letters": taken})
        self.folder.put(f"{self.name}/{replay}{REPLAYS}", content.encode())

    def _emit_schema(
        self, replay: str, fingerprint: str, *, ends: bool = False
    ) -> None:
        message = json.loads(self.folder.read(f"{self.name}/{fingerprint}{SCHEMAS}"))
        message["schema"][REPLAY_MARK] = replay
        if ends:
            message["schema"][END_MARK] = True
        self.emit(json.dumps(message, ensure_ascii=False).encode())


def _schema(letter: KeptLetter) -> str | None:
    return letter.content.get("schema")


def _is_record(letter: KeptLetter) -> bool:
    try:
        _as_object(letter.content.get("record") or "")
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _record_line(content: Json) -> bytes:
    # The record's own text: no digit of a number changes.
    stream = json.dumps(content["stream"], ensure_ascii=False)
    record = content["record"].replace("\n", " ").replace("\r", " ")
    return f'{{"type": "RECORD", "stream": {stream}, "record": {record}}}'.encode()


def of_replays(folder: Folder, name: str, names: Iterable[str]) -> Takes:
    """Return what tells the letters that replays have taken up."""
    taken = taken_up(folder, name, names)
    return lambda letter: (letter.file, letter.id) in taken


def leaving(folder: Folder, name: str, takes: Takes) -> set[str]:
    """Return the ids that no file would hold any more without some letters."""
    gone: set[str] = set()
    kept: set[str] = set()
    for letter in kept_letters(folder, name):
        (gone if takes(letter) else kept).add(letter.id)
    return gone - kept


def discard(folder: Folder, name: str, takes: Takes) -> int:
    """Delete letters; return how many."""
    chosen: dict[str, set[str]] = defaultdict(set)
    kept: set[str] = set()
    for letter in kept_letters(folder, name):
        if takes(letter):
            chosen[letter.file].add(letter.id)
        else:
            kept.add(letter.id)
    for file, ids in chosen.items():
        folder.rewrite(f"{name}/{file}{LETTERS}", partial(_without, ids=ids))
    for replay in replays(folder, name):
        if not any(
            letter_id in kept for _, letter_id in taken_up(folder, name, [replay])
        ):
            folder.rewrite(f"{name}/{replay}{REPLAYS}", lambda _: b"")
    return sum(len(ids) for ids in chosen.values())


def _without(content: bytes, ids: AbstractSet[str]) -> bytes:
    kept = []
    for line in content.splitlines(keepends=True):
        letter = parse_line(line)
        # A line that is none was cut when a run was killed.
        if letter is not None and letter["id"] not in ids:
            kept.append(line)
    return b"".join(kept)
