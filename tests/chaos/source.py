"""What the generator tap reads, and what the table must hold when all of it arrived."""

from __future__ import annotations

import typing as t

Row: t.TypeAlias = "dict[str, t.Any]"
INCREMENTAL = ("keyed", "keyless", "upsert")
MODES = (*INCREMENTAL, "versions")
PLAIN_MODES = ("keyed", "keyless", "versions")
KEYS = 37
BAD_EVERY = 29


def row(mode: str, number: int, phase: int) -> Row:
    """Return the row that the source sends at a position."""
    if mode == "keyless":  # few different rows: each stands in the table many times
        return {"v": number * number % 5}
    if mode == "upsert":
        return {"id": number * number % KEYS, "v": number}
    if mode == "versions":
        return {"id": number * (1 + phase % 2), "v": phase}
    return {"id": number, "v": number % 7}


def bad(mode: str, number: int, phase: int) -> Row | None:
    """Return the record that the target must refuse, where there is one."""
    if number % BAD_EVERY:
        return None
    text = f"bad {number} {phase}" if mode == "versions" else f"bad {number}"
    return {"v": text} if mode == "keyless" else {"id": number, "v": text}


def refused(mode: str, count: int, phase: int) -> list[Row]:
    """Return all that must be a dead letter after a phase."""
    phases = range(phase + 1) if mode == "versions" else [phase]
    found = [bad(mode, number, p) for p in phases for number in range(count)]
    return [record for record in found if record is not None]


def rows(mode: str, count: int, phase: int) -> list[Row]:
    """Return all that the table must hold after a phase."""
    sent = [row(mode, number, phase) for number in range(count)]
    if mode == "upsert":
        return list({found["id"]: found for found in sent}.values())
    return sent
