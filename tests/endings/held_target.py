"""`held_target.py MOMENT GATE [OPTIONS]`: the target, held at a moment of its run.

It says `held` in its log and waits until the gate, a named pipe, is opened; once only.
"""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

from target_parquet_iceberg.__main__ import main
from target_parquet_iceberg.data_files import DataFileWriter
from target_parquet_iceberg.load import Load
from target_parquet_iceberg.snapshots import SnapshotWriter

if t.TYPE_CHECKING:
    from collections.abc import Callable


def hold_before(kind: type, name: str, wait: Callable[[], None]) -> None:
    """Wait before the first call of a method."""
    ordinary = getattr(kind, name)

    def held(self: t.Any, *arguments: t.Any) -> t.Any:
        setattr(kind, name, ordinary)
        wait()
        return ordinary(self, *arguments)

    setattr(kind, name, held)


def hold_after_commit(wait: Callable[[], None]) -> None:
    """Wait when the first rows and their STATE are out."""
    ordinary = Load.state

    def held(self: t.Any, value: t.Any) -> None:
        ordinary(self, value)
        if any(stream.stored_rows for stream in self._streams.values()):
            Load.state = ordinary
            wait()

    Load.state = held


def run(moment: str, gate: Path) -> None:
    """Be the target."""

    def wait() -> None:
        sys.stderr.write('{"message": "held"}\n')
        sys.stderr.flush()
        gate.read_text()

    if moment == "writing files":
        hold_before(DataFileWriter, "write_window", wait)
    elif moment == "committing":
        hold_before(SnapshotWriter, "send", wait)
    elif moment == "after commit":
        hold_after_commit(wait)
    main()


if __name__ == "__main__":
    when, where = sys.argv[1:3]
    del sys.argv[1:3]
    run(when, Path(where))
