"""What the generator tap reads, and what the table must hold when all of it arrived."""

from __future__ import annotations

import typing as t

Row: t.TypeAlias = "dict[str, t.Any]"
INCREMENTAL = ("keyed", "keyless", "upsert")
MODES = (*INCREMENTAL, "versions")
PLAIN_MODES = ("keyed", "keyless", "versions")
KEYS = 37


def row(mode: str, number: int, phase: int) -> Row:
    """Return the row that the source sends at a position."""
    if mode == "keyless":  # few different rows: each stands in the table many times
        return {"v": number * number % 5}
    if mode == "upsert":
        return {"id": number * number % KEYS, "v": number}
    if mode == "versions":
        return {"id": number * (1 + phase % 2), "v": phase}
    return {"id": number, "v": number % 7}


def rows(mode: str, count: int, phase: int) -> list[Row]:
    """Return all that the table must hold after a phase."""
    sent = [row(mode, number, phase) for number in range(count)]
    if mode == "upsert":
        return list({found["id"]: found for found in sent}.values())
    return sent
