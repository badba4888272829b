"""Stripe's published example objects."""

from __future__ import annotations

import copy
import functools
import json
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Template = dict[str, t.Any]
_FILE = Path(__file__).with_name("data") / "fixtures3.json"


@functools.cache
def _examples() -> Mapping[str, Template]:
    loaded: Mapping[str, Template] = json.loads(_FILE.read_bytes())["resources"]
    return loaded


def example(type_: str) -> Template:
    """Return a published example, for the caller to change."""
    return copy.deepcopy(_examples()[type_])


def link(type_: str) -> str:
    """Return the placeholder for the id of the object that belongs to this one."""
    return f"«link_{type_.replace('.', '__')}»"
