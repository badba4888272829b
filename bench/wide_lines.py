#!/usr/bin/env python3
"""Print a Singer stream of so many columns: more than a table of Postgres can have."""

from __future__ import annotations

import json
import sys
import typing as t

STREAM = "wide"
_SCHEMAS: tuple[dict[str, t.Any], ...] = (
    {"type": ["integer", "null"]},
    {"type": ["string", "null"]},
    {"type": ["number", "null"]},
    {"type": ["boolean", "null"]},
    {"type": ["string", "null"], "format": "date-time"},
)


def schema(columns: int) -> dict[str, t.Any]:
    """Return the JSON Schema, all common types in turn."""
    names = [f"c{number}" for number in range(columns)]
    kinds = [_SCHEMAS[number % len(_SCHEMAS)] for number in range(columns)]
    return {"type": "object", "properties": dict(zip(names, kinds, strict=True))}


def record(row: int, columns: int) -> dict[str, t.Any]:
    """Return a row."""
    return {f"c{number}": _value(row, number) for number in range(columns)}


def _value(row: int, column: int) -> t.Any:
    mixed = (row * 2654435761 + column) % 2147483647
    if mixed % 11 == 0:
        return None
    values = (
        mixed,
        f"{mixed:08x}",
        mixed / 8,
        mixed % 2 == 0,
        f"2026-01-{1 + mixed % 28:02d}T12:{mixed % 60:02d}:00Z",
    )
    return values[column % len(values)]


def main(columns: int, rows: int) -> None:
    """Print the stream."""
    say({"type": "SCHEMA", "stream": STREAM, "schema": schema(columns)} | _NO_KEY)
    for row in range(rows):
        say({"type": "RECORD", "stream": STREAM, "record": record(row, columns)})
    say({"type": "STATE", "value": {"bookmarks": {STREAM: {"at": rows}}}})


def say(message: dict[str, t.Any]) -> None:
    """Print a message."""
    sys.stdout.write(json.dumps(message) + "\n")


_NO_KEY: dict[str, t.Any] = {"key_properties": []}

if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
