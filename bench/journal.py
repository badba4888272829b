"""What has been measured so far, so that a run that was cut off goes on."""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict

from measure import Cost, Run

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Journal:
    """Runs of one order, a line each; the first line is the order.

    Args:
        path: The file; one of another order is begun anew.
        order: What is measured, of which commit.
    """

    def __init__(self, path: Path, order: Mapping[str, t.Any]) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        # A line that was cut off is not one.
        entries = [json.loads(line) for line in lines if line.endswith("}")]
        if not entries or entries[0] != order:
            entries = [dict(order)]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{json.dumps(entries[0])}\n", encoding="utf-8")
        self._entries = {(it["name"], it["round"]): it for it in entries[1:]}

    def find(self, name: str, number: int) -> dict[str, t.Any] | None:
        """Return what a round has brought for a name, if it was noted."""
        return self._entries.get((name, number))

    def add(self, name: str, number: int, content: Mapping[str, t.Any]) -> None:
        """Note what a round has brought."""
        entry = {"name": name, "round": number, **content}
        self._entries[name, number] = entry
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(entry)}\n")

    def close(self) -> None:
        """Forget it all: the report is written, and the next run measures anew."""
        self._path.unlink()


def from_run(run: Run) -> dict[str, t.Any]:
    """Return a run as JSON."""
    return {"run": asdict(run)}


def to_run(entry: Mapping[str, t.Any]) -> Run:
    """Return the run that was noted."""
    costs = tuple(Cost(**cost) for cost in entry["run"]["costs"])
    return Run(entry["run"]["seconds"], costs)
