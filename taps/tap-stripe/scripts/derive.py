"""Read the fields of Stripe's objects out of the sources of its Python SDK.

The SDK is generated from Stripe's OpenAPI description, one release for each version
of the API (https://github.com/stripe/stripe-python, MIT). Nothing of it is run.
"""

from __future__ import annotations

import ast
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Fields: t.TypeAlias = "dict[str, str]"
#: A kind, the fields of an object, or in a list those of its objects.
Tree: t.TypeAlias = "str | dict[str, Tree] | list[dict[str, Tree]]"

# The SDK has integers only; what they count is in their names, and in their words.
_MOMENT_NAME = re.compile(
    r"(?:_at|_on|_timestamp|_anchor)$|^(?:(?:current_|billing_)?period_(?:start|end)"
    r"|trial_(?:start|end)|start_date|(?:due_|arrival_|redeem_by_|effective_)?date"
    r"|created|updated|redeem_by|cancel_at|next_payment_attempt"
    r"|next_pending_invoice_item_invoice|purchase_date|available_on|frozen_time"
    r"|data_available_(?:start|end)|expected_(?:arrival|availability)_date)$"
)
_PLAIN = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "Decimal": "text",
}


def api_version(package: Path) -> str:
    """Return the version of the API that this release of the SDK speaks."""
    text = (package / "_api_version.py").read_text(encoding="utf-8")
    found = re.search(r'CURRENT = "(.+)"', text)
    return found[1] if found else ""


def objects(package: Path) -> dict[str, Fields]:
    """Return the kind of each field of each object that the API has, by name."""
    found = {}
    for path in sorted(package.rglob("_*.py")):
        if path.name.endswith(("_service.py", "_params.py")):
            continue
        for name, node in _resources(ast.parse(path.read_text(encoding="utf-8"))):
            found[name] = dict(_fields(node))
    return found


def shapes(package: Path) -> dict[str, dict[str, Tree]]:
    """Return what is inside the fields that are objects of a shape of their own."""
    found = {}
    for path in sorted(package.rglob("_*.py")):
        if path.name.endswith(("_service.py", "_params.py")):
            continue
        for name, node in _resources(ast.parse(path.read_text(encoding="utf-8"))):
            trees = dict(_trees(node, {}))
            found[name] = {k: v for k, v in trees.items() if not isinstance(v, str)}
    return found


def event_types(package: Path) -> list[str]:
    """Return the types of events that the API sends."""
    module = ast.parse((package / "_event.py").read_text(encoding="utf-8"))
    [event] = [node for name, node in _resources(module) if name == "event"]
    [kind] = [part for part in event.body if _target(part) == "type"]
    texts = (node.value for node in ast.walk(kind) if isinstance(node, ast.Constant))
    return sorted(text for text in texts if isinstance(text, str))


def _resources(module: ast.Module) -> Iterator[tuple[str, ast.ClassDef]]:
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if _target(part) == "OBJECT_NAME" and isinstance(part, ast.AnnAssign):
                    value = part.value
                    if isinstance(value, ast.Constant) and value.value:
                        yield str(value.value), node


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for name, annotation in _annotations(node):
        yield name, _kind(name, annotation)


def _annotations(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for part in node.body:
        name = _target(part)
        if not isinstance(part, ast.AnnAssign) or part.value is not None:
            continue
        if name and not name.startswith("_") and name != "deleted":
            # A word of Python may not be the name of a field: `from_`.
            yield name.rstrip("_"), part.annotation


def _trees(
    node: ast.ClassDef, known: dict[str, ast.ClassDef]
) -> Iterator[tuple[str, Tree]]:
    inner = {part.name: part for part in node.body if isinstance(part, ast.ClassDef)}
    visible = known | inner
    for name, annotation in _annotations(node):
        yield name, _tree(name, annotation, visible)


def _tree(name: str, annotation: ast.expr, known: dict[str, ast.ClassDef]) -> Tree:
    """Return the fields of an object whose class is written beside it.

    Those of other objects of the API are not followed: they have streams of their own.
    """
    plain = _without_none(annotation)
    if isinstance(plain, ast.Subscript) and ast.unparse(plain.value) == "List":
        one = _without_none(plain.slice)
        if ast.unparse(one) in known:
            return [dict(_trees(known[ast.unparse(one)], known))]
    if ast.unparse(plain) in known:
        return dict(_trees(known[ast.unparse(plain)], known))
    kind = _kind(name, annotation)
    # Inside of JSON a moment stays the number that it is.
    return "integer" if kind == "moment" else kind


def _without_none(annotation: ast.expr) -> ast.expr:
    is_open = isinstance(annotation, ast.Subscript)
    if is_open and ast.unparse(annotation.value) == "Optional":
        return annotation.slice
    return annotation


def _target(part: ast.stmt) -> str:
    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
        return part.target.id
    return ""


def _kind(name: str, annotation: ast.expr) -> str:
    found = set(_kinds(annotation))
    if found == {"integer"} and _MOMENT_NAME.search(name):
        return "moment"
    return found.pop() if len(found) == 1 else "json"


def _kinds(annotation: ast.expr) -> Iterator[str]:
    if not isinstance(annotation, ast.Subscript):
        # A class is an object; so is one that is named before it exists.
        yield _PLAIN.get(ast.unparse(annotation), "object")
        return
    outer = ast.unparse(annotation.value)
    inner = annotation.slice
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if outer == "Literal":
        yield from (_LITERALS[type(ast.literal_eval(part))] for part in parts)
    elif outer == "ExpandableField":
        # Nothing is expanded: it is the id.
        yield "text"
    elif outer in {"Optional", "Union"}:
        for part in parts:
            yield from _kinds(part)
    elif outer == "List":
        yield "texts" if set(_kinds(parts[0])) == {"text"} else "list"
    else:
        yield "object"


_LITERALS = {str: "text", bool: "boolean", int: "integer"}
