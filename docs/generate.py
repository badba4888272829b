#!/usr/bin/env python3
"""Carry tables from code and tests into the documentation that shows them."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import json
import re
import sys
import typing as t
from pathlib import Path

from dativo_core.classifier import load_rules
from tap_mysql import rules as mysql
from tap_mysql.my_types import MyType
from tap_mysql.my_types import Options as MyOptions
from tap_postgres.pg_types import Options, PgType
from tap_postgres.rules import RULES
from tap_stripe.plan import is_full
from tap_stripe.resources import BY_NAME, RESOURCES
from target_parquet_iceberg import values as target_values

if t.TYPE_CHECKING:
    from dativo_core.rules import Rule as ErrorRule
    from tap_postgres.rules import Rule
    from tap_stripe.resources import Resource

ROOT = Path(__file__).resolve().parent.parent
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
    drifted = 0
    for name, tables in PAGES.items():
        path = ROOT / name
        found = path.read_text(encoding="utf-8")
        wanted = page(found, tables)
        if wanted == found:
            continue
        if not parsed.check:
            path.write_text(wanted, encoding="utf-8")
            continue
        drifted = 1
        before, after = (text.splitlines(keepends=True) for text in (found, wanted))
        sys.stdout.writelines(difflib.unified_diff(before, after, name, "generated"))
    if drifted:
        sys.stdout.write("Generated files are out of date: run make generate.\n")
    return drifted


def page(text: str, tables: dict[str, t.Callable[[], str]]) -> str:
    """Return the page with its tables brought up to date."""
    for mark, make in tables.items():
        begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
        before, rest = text.split(begin, 1)
        _, after = rest.split(end, 1)
        text = f"{before}{begin}\n{make()}{end}{after}"
    return text


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
    return _schema(rule.schema(PgType(rule.types[0], _MODIFIER), Options()))


def _schema(schema: dict[str, t.Any]) -> str:
    schema["type"] = next(kind for kind in schema["type"] if kind != "null")
    return f"`{json.dumps(schema)[1:-1].replace(*_ANY_DECIMAL)}`"


def mysql_values() -> str:
    """Return the table of MySQL's types."""
    rows = []
    for rule in mysql.RULES:
        # decimal(38, 37), and bits of one byte; other types have no use for it.
        precision, scale = (8, None) if rule.types == ("bit",) else (38, 37)
        kind = MyType(rule.types[0], "", precision, scale)
        schema = _schema(rule.schema(kind, MyOptions()))
        listed = ", ".join(f"`{name}`" for name in rule.types if name != "other")
        others = " and all others" if "other" in rule.types else ""
        rows.append(f"| {listed}{others} | {schema} | {rule.iceberg} | {rule.policy} |")
    cursors = ", ".join(
        f"`{name}`" for rule in mysql.RULES if rule.cursor for name in rule.types
    )
    header = "| MySQL | JSON Schema | Iceberg | Policy |\n|:--|:--|:--|:--|\n"
    return f"{header}{chr(10).join(rows)}\n\nCan be a replication key: {cursors}.\n"


def coercions() -> str:
    """Return the table of what the target takes besides a column's own JSON form."""
    rows = re.findall(r"^\|.*\|$", target_values.__doc__ or "", re.MULTILINE)
    return "\n".join(rows) + "\n"


def malformed() -> str:
    """Return the table of the corpus of malformed input."""
    return _table_of("tests/corpus/cases.py")


def signals() -> str:
    """Return the tables of signals and moments."""
    return _table_of("tests/endings/cells.py")


def _table_of(path: str) -> str:
    name = path.removesuffix(".py").replace("/", "_")
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return str(module.table())


def error_rules() -> str:
    """Return the table of what is done about which error."""
    rows = ["| for | rule | when | category | action |", "|:--|:--|:--|:--|:--|"]
    general = load_rules(None, "")
    for plugin in ("tap-stripe", "tap-hubspot", "tap-google-drive"):
        own = load_rules(None, plugin)
        place = "`tap-google-*`" if "google" in plugin else f"`{plugin}`"
        rows += [error_rule(place, rule) for rule in own[: len(own) - len(general)]]
    rows += [error_rule("all", rule) for rule in general]
    return "\n".join(rows) + "\n"


def error_rule(place: str, rule: ErrorRule) -> str:
    """Return one row of that table."""
    when = "; ".join(
        f"{name} {', '.join(condition(one) for one in alternatives)}"
        for name, alternatives in rule.when.items()
    )
    words = [place, f"`{rule.name}`", when, rule.category.value, rule.action.value]
    return f"| {' | '.join(words)} |"


def condition(alternative: object) -> str:
    """Return one alternative of a condition; a bar would end the cell."""
    text = ": ".join(alternative) if isinstance(alternative, tuple) else alternative
    return f"`{text}`".replace("|", "\\|")


def stripe_streams() -> str:
    """Return the table of Stripe's lists."""
    header = (
        "| Stream | Read from | Permission | Changes | Deletions |\n"
        "|:--|:--|:--|:--|:--|\n"
    )
    return header + "".join(stripe_row(resource) for resource in RESOURCES)


def stripe_row(resource: Resource) -> str:
    """Return one row of it."""
    owner = BY_NAME[resource.parent] if resource.parent else resource
    cells = (
        f"`{resource.name}`{stripe_mark(resource)}",
        f"`{resource.path}`" if not resource.field else f"`{resource.parent}`",
        f"`{owner.object}`",
        stripe_changes(resource),
        ", ".join(f"`{kind}`" for kind in resource.gone),
    )
    return f"| {' | '.join(cells)} |\n"


def stripe_mark(resource: Resource) -> str:
    """Return the footnotes of a stream."""
    marks = ("¹" if resource.is_costly else "", "²" if resource.is_special else "")
    return f" {''.join(marks)}" if any(marks) else ""


def stripe_changes(resource: Resource) -> str:
    """Return how changes of its objects are found."""
    listed = ", ".join(f"`{kind}`" for kind in resource.events)
    if listed:
        return listed
    if resource.is_feed:
        return "is the feed itself"
    if resource.parent:
        return f"with `{resource.parent}`"
    return "whole in every run" if is_full(resource) else "`lookback_days`"


PAGES: dict[str, dict[str, t.Callable[[], str]]] = {
    "docs/connectors/MYSQL.md": {"values": mysql_values},
    "docs/connectors/POSTGRES.md": {"values": values},
    "docs/ERROR_HANDLING.md": {"rules": error_rules},
    "docs/connectors/STRIPE.md": {"streams": stripe_streams},
    "docs/MALFORMED_INPUT.md": {"coercions": coercions, "cases": malformed},
    "docs/SIGNALS.md": {"cells": signals},
}


if __name__ == "__main__":
    sys.exit(main())
