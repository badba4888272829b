#!/usr/bin/env python3
"""Carry the value table of tap-postgres from its code into its documentation."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import typing as t
from pathlib import Path

from tap_postgres.values import RULES, Options, PgType

if t.TYPE_CHECKING:
    from tap_postgres.values import Rule

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/connectors/POSTGRES.md"
BEGIN, END = "<!-- values:begin -->", "<!-- values:end -->"
# numeric(38, 37), as the catalogs of Postgres pack it; other types have no use for it.
_MODIFIER = (38 << 16 | 37) + 4
_ANY_DECIMAL = '"precision": 38, "scale": 37', '"precision": p, "scale": s'
# The families of the table, in the reader's words.
_FAMILIES = {
    "composite": "composite types",
    "enum": "enums",
    "range": "ranges, multiranges",
    "other": "all others",
}


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Write the generated part, or with `--check` only show what is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parsed = parser.parse_args(arguments)
    path = ROOT / PAGE
    found = path.read_text(encoding="utf-8")
    wanted = page(found)
    if wanted == found:
        return 0
    if not parsed.check:
        path.write_text(wanted, encoding="utf-8")
        return 0
    before, after = (text.splitlines(keepends=True) for text in (found, wanted))
    sys.stdout.writelines(difflib.unified_diff(before, after, PAGE, "generated"))
    sys.stdout.write("Generated files are out of date: run make generate.\n")
    return 1


def page(text: str) -> str:
    """Return the page with its table brought up to date."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n{values()}{END}{after}"


def values() -> str:
    """Return the table, and the types that can mark progress."""
    header = "| PostgreSQL | JSON Schema | Iceberg | Policy |\n|:--|:--|:--|:--|\n"
    rows = "".join(row(rule) for rule in RULES)
    cursors = ", ".join(names(rule) for rule in RULES if rule.cursor)
    return f"{header}{rows}\nCan be a replication key: {cursors}.\n"


def row(rule: Rule) -> str:
    """Return one row of the table."""
    cells = (names(rule), code(rule), rule.iceberg, rule.policy)
    return f"| {' | '.join(cells)} |\n"


def names(rule: Rule) -> str:
    """Return the types that a rule is for."""
    return ", ".join(_FAMILIES.get(name, f"`{name}`") for name in rule.types)


def code(rule: Rule) -> str:
    """Return the JSON Schema of a value, which may always be null."""
    schema = rule.schema(PgType(rule.types[0], _MODIFIER), Options())
    schema["type"] = next(kind for kind in schema["type"] if kind != "null")
    return f"`{json.dumps(schema)[1:-1].replace(*_ANY_DECIMAL)}`"


if __name__ == "__main__":
    sys.exit(main())
