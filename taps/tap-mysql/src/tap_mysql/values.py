"""How a column of a table is asked for, read and rendered."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from dativo_core import singer_types as st
from dativo_core.sql.relation import Value

from tap_mysql.rules import REAL_DATE, rule_of

if t.TYPE_CHECKING:
    from tap_mysql.my_types import MyType, Options
    from tap_mysql.rules import Form


@dataclass(frozen=True, slots=True)
class Described:
    """A column's value, and what makes it of the server's bytes."""

    value: Value
    form: Form
    cursor: bool
    keyed: bool


def describe(my_type: MyType, column: str, options: Options) -> Described:
    """Return how a column (quoted, qualified) is asked for and rendered."""
    rule = rule_of(my_type)
    schema = rule.schema(my_type, options)
    form = rule.form
    if schema == st.boolean():
        form = "flag"
    if rule.dated and options.zero_dates == "text":
        form = "digits"
    select = _select(my_type, options).replace("{c}", column)
    value = Value(schema, select, rule.rendering, select)
    return Described(value, form, rule.cursor and form != "flag", rule.keyed)


def _select(my_type: MyType, options: Options) -> str:
    rule = rule_of(my_type)
    if rule.dated and options.zero_dates == "null":
        return f"CASE WHEN {REAL_DATE} THEN {{c}} END"
    if not my_type.is_padded or rule.select != "{c}":
        return rule.select
    if my_type.name == "decimal":
        return f"CAST({{c}} AS DECIMAL({my_type.precision},{my_type.scale}))"
    return "CAST({c} AS UNSIGNED)"
