"""How a column of a table is asked for and rendered."""

from __future__ import annotations

import typing as t

from dativo_core import singer_types as st
from dativo_core.sql.relation import Value

from tap_postgres.rules import AS_JSON, rule_of

if t.TYPE_CHECKING:
    from tap_postgres.pg_types import Options, PgType


def describe(pg_type: PgType, column: str, options: Options) -> Value:
    """Return how a column (quoted, qualified) is asked for and rendered."""
    if pg_type.element:
        return _describe_array(pg_type, pg_type.element, column, options)
    rule = rule_of(pg_type)
    schema = rule.schema(pg_type, options)
    # What has no type of its own in the table is text, as Postgres prints it.
    native = "" if schema == st.text() else rule.native
    selects = [rule.select, native or rule.select]
    if rule.option and getattr(options, rule.option) == "null":
        selects = [f"CASE WHEN {rule.finite} THEN {text} END" for text in selects]
    select, native = (text.replace("{c}", column) for text in selects)
    return Value(schema, select, rule.rendering, native)


def _describe_array(
    array: PgType, element: PgType, column: str, options: Options
) -> Value:
    rule = rule_of(element)
    by_element = "_at" in rule.array
    by_cast = not by_element and "to_json({c})" not in rule.array
    if (by_element and array.dimensions > 1) or (by_cast and array.boxed):
        # The one works in a single dimension only, the other not through a domain.
        select = AS_JSON.replace("{c}", column)
        return Value(st.json_text(), select, "text", select)
    schema = rule.schema(element, options)
    for _ in range(max(1, array.dimensions)):
        schema = st.array(schema)
    select = rule.array.replace("{c}", column)
    return Value(schema, select, "json", select)
