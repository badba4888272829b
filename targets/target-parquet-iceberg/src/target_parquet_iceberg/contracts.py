"""Read from data contracts which columns are personal.

A contract is a YAML file of the Open Data Contract Standard, version 3
(https://bitol-io.github.io/open-data-contract-standard/v3.0.2/).
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from pathlib import Path

from dativo_core.errors import ConfigurationError

from target_parquet_iceberg.naming import table_name
from target_parquet_iceberg.privacy import KEYWORD

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Json: t.TypeAlias = dict[str, t.Any]
OPEN = frozenset({"public", "internal"})
PERSONAL_TAG = "pii"


def read(folder: str | None) -> dict[str, Json]:
    """Return what the contracts in a folder, and below it, say of each table.

    Returns:
        By the name of the table, a JSON Schema that marks what is personal in any of
        its contracts: all classifications but public and internal, and the tag `pii`.

    Raises:
        ConfigurationError: naming the file that is no contract.
    """
    if not folder:
        return {}
    root = Path(folder).expanduser()
    if not root.is_dir():
        what = f"There is no folder '{folder}'."
        raise ConfigurationError(what, hint="Correct the setting contracts.")
    files = sorted(
        file for ending in ("yaml", "yml") for file in root.rglob(f"*.{ending}")
    )
    found: dict[str, list[Json]] = defaultdict(list)
    for file in files:
        for described in _described(file):
            for name in _names(described):
                found[name].append(schema_of(described.get("properties")))
    return {name: {"anyOf": schemas} for name, schemas in found.items()}


def schema_of(properties: t.Any) -> Json:
    """Return the JSON Schema that marks the personal ones of some properties."""
    listed = properties if isinstance(properties, list) else []
    return {
        "properties": {
            str(part["name"]): _marked(part)
            for part in listed
            if isinstance(part, dict) and "name" in part
        }
    }


def _marked(part: Json) -> Json:
    kind = str(part.get("classification") or "public").casefold()
    tags = {str(tag).casefold() for tag in part.get("tags") or ()}
    if kind not in OPEN or PERSONAL_TAG in tags:
        return {KEYWORD: True}
    found = schema_of(part.get("properties"))
    items = part.get("items")
    return {**found, "items": _marked(items)} if isinstance(items, dict) else found


def _described(file: Path) -> Iterator[Json]:
    import yaml  # noqa: PLC0415 only where there are contracts

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"The contract {file} cannot be read ({type(error).__name__})."
        raise ConfigurationError(what, hint="Correct the file.") from error
    objects = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(objects, list) or not all(isinstance(o, dict) for o in objects):
        what = f"The file {file} is no data contract: it has no list 'schema'."
        raise ConfigurationError(
            what, hint="Move it, or correct the setting contracts."
        )
    yield from objects


def _names(described: Json) -> set[str]:
    given = (described.get("name"), described.get("physicalName"))
    return {table_name(str(name)) for name in given if name}
