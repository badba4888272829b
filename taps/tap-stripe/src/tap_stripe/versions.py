"""What each version of the API says of its objects."""

from __future__ import annotations

import functools
import json
import re
import typing as t
from dataclasses import dataclass
from importlib import resources

from dativo_core import singer_types

if t.TYPE_CHECKING:
    from tap_stripe.resources import Resource

Schema: t.TypeAlias = "dict[str, t.Any]"

#: One of each line, oldest first; their schemas are generated from Stripe's own SDK.
LINES = (
    "2024-06-20",
    "2025-02-24.acacia",
    "2025-08-27.basil",
    "2026-02-25.clover",
    "2026-06-24.dahlia",
    "2026-10-28.endive",
)
NEWEST = LINES[-1]
PATTERN = re.compile(r"^\d{4}-\d{2}-\d{2}(?:\.[a-z]+)?$")

EXTRA = "_extra"
DELETED_AT = "_sdc_deleted_at"
PARENT = "_parent_id"
ACCOUNT = "_account_id"

#: The JSON Schema of each kind of column.
KINDS: dict[str, Schema] = {
    "text": singer_types.text(),
    "integer": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "boolean": singer_types.boolean(),
    "moment": singer_types.timestamp(zoned=True),
    "texts": singer_types.array(singer_types.text()),
    # What is nested stays JSON, whole: it differs by version, account and use.
    "list": {"type": ["array", "null"], "items": {}},
    "object": {"type": ["object", "null"]},
}
_DESCRIPTIONS = {
    EXTRA: "Fields that the version of the API did not have, as JSON.",
    DELETED_AT: "When the object was deleted.",
    PARENT: "Id of the object that this one hangs on.",
    ACCOUNT: "Id of the connected account that owns the object.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """The objects and events of one version.

    Args:
        version: The version whose schemas these are.
        objects: Kind of each field, by object.
        events: Types of events.
    """

    version: str
    objects: dict[str, dict[str, str]]
    events: tuple[str, ...]


def line_of(version: str) -> str:
    """Return the version whose schemas fit best: of the same line, or not newer."""
    date, _, name = version.partition(".")
    for line in LINES:
        if name and line.endswith(f".{name}"):
            return line
    older = [line for line in LINES if line.partition(".")[0] <= date]
    return older[-1] if older else LINES[0]


@functools.cache
def load(version: str) -> Line:
    """Read the schemas that fit a version."""
    name = line_of(version)
    file = resources.files("tap_stripe") / "schemas" / f"{name}.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    return Line(name, content["objects"], tuple(content["events"]))


def columns(resource: Resource, line: Line, *, accounts: bool) -> dict[str, str]:
    """Return the kind of each column of a stream, ours last."""
    own = {PARENT: "text"} if resource.parent else {}
    own |= {DELETED_AT: "moment"} if resource.can_go else {}
    own |= {ACCOUNT: "text"} if accounts else {}
    return {**line.objects[resource.object], **own, EXTRA: "object"}


def keys(resource: Resource, *, accounts: bool) -> list[str]:
    """Return what identifies a row."""
    return [ACCOUNT, *resource.key] if accounts else list(resource.key)


def schema(kinds: dict[str, str], key: list[str]) -> Schema:
    """Return the JSON Schema of a stream."""
    properties = {name: dict(KINDS[kind]) for name, kind in kinds.items()}
    for name in key:
        properties[name] = {"type": "string"}
    for name, words in _DESCRIPTIONS.items():
        if name in properties:
            properties[name]["description"] = words
    return {"type": "object", "properties": properties, "required": key}
