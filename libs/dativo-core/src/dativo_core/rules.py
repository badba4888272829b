"""One row of the error table: when it fits, what it says, how it is written in YAML."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import re
import typing as t
from dataclasses import dataclass

from dativo_core.errors import ConfigurationError
from dativo_core.faults import Action, Category

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dativo_core.faults import Fault

E = t.TypeVar("E", Category, Action)


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must all hold, and what follows from them.

    `when` maps a condition's name to its alternatives, of which one must fit; for
    `header` each is a pair of name in lower case and value.
    """

    name: str
    when: Mapping[str, tuple[t.Any, ...]]
    category: Category
    action: Action
    hint: str = ""
    retry_after_seconds: float | None = None
    max_attempts: int | None = None

    def fits(self, fault: Fault) -> bool:
        """Tell whether every condition holds for the fault."""
        return all(
            any(CONDITIONS[name](fault, one) for one in alternatives)
            for name, alternatives in self.when.items()
        )


def _alike(found: str, pattern: t.Any) -> bool:
    return fnmatch.fnmatchcase(found.lower(), str(pattern).lower())


def _has_status(fault: Fault, wanted: t.Any) -> bool:
    digits = str(wanted).lower().replace("x", "?")
    return fault.status is not None and _alike(str(fault.status), digits)


CONDITIONS: Mapping[str, Callable[[Fault, t.Any], bool]] = {
    "source": lambda fault, one: _alike(fault.source, one),
    "status": _has_status,
    "header": lambda fault, one: _alike(fault.headers.get(one[0], ""), one[1]),
    "code": lambda fault, one: _alike(fault.code, one),
    "type": lambda fault, one: _alike(fault.error_type, one),
    "param": lambda fault, one: _alike(fault.param, one),
    "sqlstate": lambda fault, one: fault.sqlstate.startswith(str(one)),
    "errno": lambda fault, one: fault.errno == one,
    "exception": lambda fault, one: one in fault.exceptions,
    "message": lambda fault, one: re.search(one, fault.message) is not None,
    "endpoint": lambda fault, one: _alike(fault.endpoint, one),
}
_KEYS = {field.name for field in dataclasses.fields(Rule)}
_STATUS = re.compile(r"[1-5](\d\d|xx)", re.IGNORECASE)


def merged(rules: Sequence[Rule], given: t.Any, place: str) -> tuple[Rule, ...]:
    """Return the rules with those of a file: known names change, new ones come first.

    Raises:
        ConfigurationError: naming the file and the rule that is wrong.
    """
    table = {rule.name: rule for rule in rules}
    added: dict[str, Rule] = {}
    for index, content in enumerate(expect(given or [], list, f"{place}: rules"), 1):
        where = f"{place}: rule {index}"
        name = expect(content, dict, where).get("name")
        if not isinstance(name, str) or not name:
            raise wrong(where, "has no name")
        where = f"{place}: rule '{name}'"
        if name in table:
            table[name] = changed(table[name], content, where)
        elif name in added:
            raise wrong(where, "is there twice")
        else:
            added[name] = _complete(content, where)
    return (*added.values(), *table.values())


def _complete(content: Mapping[str, t.Any], where: str) -> Rule:
    missing = [key for key in ("when", "category", "action") if not content.get(key)]
    if missing:
        raise wrong(where, f"is new and lacks {' and '.join(missing)}")
    blank = Rule(content["name"], {}, Category.PERMANENT, Action.FAIL)
    return changed(blank, content, where)


def changed(rule: Rule, content: Mapping[str, t.Any], where: str) -> Rule:
    """Return the rule with the parts that the content names."""
    parts: dict[str, t.Any] = {}
    for key, value in content.items():
        if key not in _KEYS:
            raise wrong(where, f"has an unknown key '{key}'")
        parts[str(key)] = _PARSERS[key](value, f"{where}, {key},")
    return dataclasses.replace(rule, **parts)


def _when(value: t.Any, where: str) -> dict[str, tuple[t.Any, ...]]:
    found: dict[str, tuple[t.Any, ...]] = {}
    for name, given in expect(value, dict, where).items():
        if name not in CONDITIONS:
            raise wrong(where, f"has an unknown condition '{name}'")
        if given in ([], {}):
            # It would never hold, and nobody would know.
            raise wrong(f"{where} {name}", "has no value")
        if name == "header":
            pairs = expect(given, dict, f"{where} header").items()
            found[name] = tuple((str(key).lower(), str(one)) for key, one in pairs)
            continue
        found[name] = tuple(given) if isinstance(given, list) else (given,)
        for one in found[name]:
            _check(name, one, f"{where} {name}")
    return found


def _check(name: str, one: t.Any, where: str) -> None:
    if name == "errno":
        expect(one, int, where)
    elif name == "status" and not _STATUS.fullmatch(str(one)):
        raise wrong(where, f"must be like 429 or 5xx, not {one!r}")
    elif name not in {"status", "errno"}:
        expect(one, str, where)
    if name == "message":
        try:
            re.compile(one)
        except re.error as error:
            raise wrong(where, f"is not a regular expression: {error}") from error


def _one_of(choices: type[E]) -> Callable[[t.Any, str], E]:
    def parse(value: t.Any, where: str) -> E:
        try:
            return choices(value)
        except ValueError as error:
            listed = ", ".join(choice.value for choice in choices)
            raise wrong(where, f"must be one of {listed}, not {value!r}") from error

    return parse


def _seconds(value: t.Any, where: str) -> float | None:
    return None if value is None else positive(value, where)


def _count(value: t.Any, where: str) -> int | None:
    return None if value is None else int(positive(expect(value, int, where), where))


_PARSERS: Mapping[str, Callable[[t.Any, str], t.Any]] = {
    "name": lambda value, _: value,
    "when": _when,
    "category": _one_of(Category),
    "action": _one_of(Action),
    "hint": lambda value, where: expect(value, str, where),
    "retry_after_seconds": _seconds,
    "max_attempts": _count,
}


def positive(value: t.Any, where: str) -> float:
    """Return a finite number above zero."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Not a number is neither above nor below another one.
    if not is_number or not 0 < value < math.inf:
        raise wrong(where, f"must be a number above 0, not {value!r}")
    return t.cast("float", value)


def expect(value: t.Any, kind: type, where: str) -> t.Any:
    """Return the value if it has the type."""
    words = {dict: "a mapping", list: "a list", str: "a text", int: "a whole number"}
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise wrong(where, f"must be {words[kind]}")
    return value


def wrong(where: str, what: str) -> ConfigurationError:
    """Name the place in the file and what is the matter with it."""
    hint = "docs/ERROR_HANDLING.md lists what can be there."
    return ConfigurationError(f"{where} {what}.", hint=hint)
