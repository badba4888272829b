"""Read from a JSON Schema what it demands of values beyond a type that Arrow holds."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from dativo_core.arrow_types import kinds_of, listed, options_of

if t.TYPE_CHECKING:
    from collections.abc import Callable

Json: t.TypeAlias = dict[str, t.Any]

# What jsonschema's FormatChecker checks by itself. Which others it knows depends on
# the packages that happen to be installed: a record must not fit here and not there.
FORMATS = frozenset({"email", "idn-email", "ipv4", "ipv6", "regex", "uuid"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What the values of one field must be, besides what their column can hold.

    Args:
        kinds: JSON types, where the column is text and so takes any; empty for all.
        enum: The only values there are; None for any.
        text_format: One of `FORMATS`, or empty.
        options: Of these, one must fit.
        properties: The fields of an object, each with its rule.
        is_typed: Whether what `properties` leaves out has no place in the column.
    """

    is_nullable: bool = True
    is_required: bool = False
    kinds: frozenset[str] = frozenset()
    enum: tuple[t.Any, ...] | None = None
    text_format: str = ""
    options: tuple[Rule, ...] = ()
    properties: tuple[tuple[str, Rule], ...] = ()
    required: frozenset[str] = frozenset()
    items: Rule | None = None
    is_closed: bool = False
    is_typed: bool = False

    @property
    def is_free(self) -> bool:
        """Tell whether every value passes that is not null."""
        return not (
            self.kinds
            or self.enum is not None
            or self.text_format
            or self.options
            or self.required
            or self.is_closed
            or (self.items and not (self.items.is_nullable and self.items.is_free))
            or any(not (r.is_nullable and r.is_free) for _, r in self.properties)
        )

    @property
    def has_gaps(self) -> bool:
        """Tell whether values may have parts that the column has no place for."""
        if self.items is not None:
            return self.items.has_gaps
        return self.is_typed and bool(self.properties)


ANY = Rule()
_KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")


def rule_of(
    schema: t.Any, is_typed: Callable[[t.Any], bool], *, within: bool = True
) -> Rule:
    """Return the rule of a schema.

    Args:
        schema: The JSON Schema of one field.
        is_typed: Tells whether a schema has an Arrow type of its own, not JSON text.
        within: Whether what holds the field has one.
    """
    if not isinstance(schema, dict):
        return ANY
    typed = within and is_typed(schema)
    options = options_of(schema)
    if options:
        return _any_of([rule_of(o, is_typed, within=typed) for o in options], options)
    properties, items = schema.get("properties"), schema.get("items")
    inner = properties.items() if isinstance(properties, dict) else ()
    text_format = schema.get("format")
    is_text = kinds_of(schema) <= {"string"}
    known = isinstance(text_format, str) and text_format in FORMATS
    return Rule(
        is_nullable=_is_nullable(schema),
        kinds=frozenset() if typed else frozenset(kinds_of(schema)),
        enum=_enum(schema),
        text_format=str(text_format) if known and is_text else "",
        properties=tuple((n, rule_of(p, is_typed, within=typed)) for n, p in inner),
        required=required(schema),
        items=rule_of(items, is_typed, within=typed)
        if isinstance(items, dict)
        else None,
        is_closed=is_closed(schema),
        is_typed=typed,
    )


def fault(schema: t.Any, path: str = "") -> tuple[str, str] | None:
    """Return where a schema makes no sense, and why; None if it does."""
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return path, "no JSON Schema"
    unknown = [k for k in listed(schema) if k not in _KINDS]
    if unknown:
        return path, f"of type {str(unknown[0])[:40]!r}, which JSON Schema has not"
    properties = schema.get("properties")
    if properties is not None and not isinstance(properties, dict):
        return path, "without a list of properties"
    parts = [
        (f"{path}.{name}".lstrip("."), p) for name, p in (properties or {}).items()
    ]
    if isinstance(schema.get("items"), (dict, str, int)):
        parts.append((f"{path}[]", schema["items"]))
    parts += [(path, option) for option in options_of(schema)]
    found = (fault(part, place) for place, part in parts)
    return next((f for f in found if f is not None), None)


def lenient(rule: Rule) -> Rule:
    """Return a rule that knows the same fields and demands nothing of them."""
    return Rule(
        properties=tuple((name, lenient(part)) for name, part in rule.properties),
        items=lenient(rule.items) if rule.items else None,
        is_typed=rule.is_typed,
    )


def required(schema: Json) -> frozenset[str]:
    """Return the names of the fields that must be there."""
    names = schema.get("required")
    listed = names if isinstance(names, list) else []
    return frozenset(name for name in listed if isinstance(name, str))


def is_closed(schema: Json) -> bool:
    """Tell whether other fields than the declared ones are forbidden."""
    forbids = schema.get("additionalProperties") is False
    return forbids and not schema.get("patternProperties")


def _any_of(rules: list[Rule], options: list[t.Any]) -> Rule:
    is_nullable = any(rule.is_nullable for rule in rules)
    real = [
        replace(rule, is_nullable=is_nullable)
        for rule, option in zip(rules, options, strict=True)
        if not (isinstance(option, dict) and listed(option) in (["null"], [None]))
    ]
    if len(real) == 1:
        return real[0]
    # Where one takes any string, the others have nothing to say.
    if any(rule.is_free for rule in real):
        return Rule(is_nullable=is_nullable)
    return Rule(is_nullable=is_nullable, options=tuple(real))


def _is_nullable(schema: Json) -> bool:
    if "null" in listed(schema) or schema.get("nullable") is True:
        return True
    enum = _enum(schema)
    return not listed(schema) and (enum is None or None in enum)


def _enum(schema: Json) -> tuple[t.Any, ...] | None:
    if "const" in schema:
        return (schema["const"],)
    values = schema.get("enum")
    return tuple(values) if isinstance(values, list) else None
