#!/usr/bin/env python3
"""Carry each plugin's settings from its `--about` to every place that repeats them.

The places: the table in its README, its entry in `meltano.yml` and its definition for
Meltano Hub in this folder. Keys that `--about` does not know are kept as written.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import importlib
import json
import re
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml
from singer_sdk.about import JSONFormatter
from singer_sdk.plugin_base import PluginBase

ROOT = Path(__file__).resolve().parent.parent
VARIANT = "dativo"
KINDS = {"taps": "extractors", "targets": "loaders"}
BEGIN, END = "<!-- settings:begin -->", "<!-- settings:end -->"

# JSON Schema's types, in Meltano's words; text may be more than one kind.
TYPES = {
    "array": "array",
    "boolean": "boolean",
    "integer": "integer",
    "number": "decimal",
    "object": "object",
}
ACRONYMS = {"api", "id", "s3", "sql", "ssh", "ssl", "tls", "url"}

Json: t.TypeAlias = "dict[str, t.Any]"


@dataclass(frozen=True)
class Plugin:
    """What a plugin says of itself, and the folder it lives in."""

    folder: Path
    about: Json

    @property
    def name(self) -> str:
        """The command."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """Meltano's word for taps or targets."""
        return KINDS[self.folder.parent.name]


class Setting(t.NamedTuple):
    """A setting that can be given alone; members of objects have dotted names."""

    name: str
    schema: Json
    required: bool


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Write the generated parts, or with `--check` only show what is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parsed = parser.parse_args(arguments)
    problem = different_versions(ROOT)
    drift = {
        path: text
        for path, text in generated(ROOT, installed_plugins(ROOT)).items()
        if text != current(path)
    }
    for path, text in drift.items():
        if parsed.check:
            sys.stdout.writelines(diff(path.relative_to(ROOT), current(path), text))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if drift and parsed.check:
        problem += "Generated files are out of date: run make generate.\n"
    sys.stdout.write(problem)
    return 1 if problem else 0


def installed_plugins(root: Path) -> list[Plugin]:
    """Ask every tap and target of the workspace about itself."""
    folders = sorted(path for kind in KINDS for path in root.glob(f"{kind}/t*-*"))
    return [Plugin(folder, about(folder.name)) for folder in folders]


def about(name: str) -> Json:
    """Return what `<name> --about --format=json` prints."""
    package, role = name.replace("-", "_"), name.partition("-")[0]
    module = importlib.import_module(f"{package}.{role}")
    plugin = next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, PluginBase)
        and getattr(value, "name", None) == name
    )
    info: Json = json.loads(JSONFormatter().format_about(plugin._get_about_info()))  # noqa: SLF001 the command's own source
    return info


def generated(root: Path, plugins: t.Sequence[Plugin]) -> dict[Path, str]:
    """Return every generated file, whole."""
    readmes = {plugin.folder / "README.md": readme(plugin) for plugin in plugins}
    definitions = {}
    for plugin in plugins:
        path = root / f"plugins/{plugin.kind}/{plugin.name}--{VARIANT}.yml"
        definitions[path] = dump(hub_definition(plugin, load(path)), sort_keys=True)
    project = root / "meltano.yml"
    return {**readmes, **definitions, project: meltano_project(plugins, project)}


def readme(plugin: Plugin) -> str:
    """Fill the table of settings; a README without one gets it at the end."""
    text = current(plugin.folder / "README.md")
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n## Settings\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n{table(plugin)}{END}{after}"


def table(plugin: Plugin) -> str:
    """Return the settings as a Markdown table."""
    lines = ["| Setting | Kind | Default | Description |", "|:--|:--|:--|:--|"]
    for setting in settings(plugin.about["settings"]):
        default = setting.schema.get("default")
        shown = "required" if setting.required else code(default)
        values = " or ".join(code(option) for option in options(setting))
        secret = ", secret" if setting.schema.get("secret") else ""
        words = markdown(sentence(setting.schema))
        shape = f"{values or kind(setting)}{secret}"
        cells = (code(setting.name), shape, shown, words)
        lines.append(f"| {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def markdown(text: str) -> str:
    """Keep a cell in its column, and <words> from being taken for HTML."""
    escaped = re.sub(r"(`[^`]*`)|<", lambda found: found[1] or "&lt;", text)
    return escaped.replace("|", r"\|")


def code(value: t.Any) -> str:
    """Show a default as the user would type it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "" if value is None else f"`{text}`"


def hub_definition(plugin: Plugin, written: Json) -> Json:
    """Return the plugin's page on Meltano Hub: our words, the plugin's facts."""
    defaults = {
        "keywords": ["meltano_sdk"],
        "label": label(plugin.name.partition("-")[2]),
        "maintenance_status": "development",
        "quality": "silver",
    }
    facts = {
        "name": plugin.name,
        "namespace": plugin.name.replace("-", "_"),
        "variant": VARIANT,
        "pip_url": f"{VARIANT}-{plugin.name}",
        "executable": plugin.name,
        "description": plugin.about["description"].strip().splitlines()[0],
        "supported_python_versions": plugin.about["supported_python_versions"],
    }
    return {**defaults, **written, **facts, **definition(plugin)}


def meltano_project(plugins: t.Sequence[Plugin], path: Path) -> str:
    """Return `meltano.yml` with the entries of our plugins brought up to date."""
    project = load(path)
    entries = copy.deepcopy(project["plugins"])
    for plugin in plugins:
        listed = entries.setdefault(plugin.kind, [])
        found = [entry for entry in listed if entry["name"] == plugin.name]
        entry = found[0] if found else {"name": plugin.name}
        if not found:
            listed.append(entry)
        entry |= {
            "namespace": plugin.name.replace("-", "_"),
            "pip_url": f"-e {plugin.folder.parent.name}/{plugin.name}",
            "executable": plugin.name,
            **definition(plugin),
        }
    # Its layout may be Meltano's: the data count, not the lines.
    if entries == project["plugins"]:
        return current(path)
    block = dump({"plugins": entries}, sort_keys=False)
    pattern = r"^plugins:\n(?:[ -].*\n|\n(?=[ -]))*"
    return re.sub(pattern, lambda _: block, current(path), count=1, flags=re.MULTILINE)


def definition(plugin: Plugin) -> Json:
    """Return what Meltano wants to know, the same in a project and on the Hub."""
    schema = plugin.about["settings"]
    groups = required_groups(schema)
    return {
        "capabilities": sorted(plugin.about["capabilities"]),
        **({"settings_group_validation": groups} if groups else {}),
        "settings": [meltano_setting(setting) for setting in settings(schema)],
    }


def required_groups(schema: Json) -> list[list[str]]:
    """Return the alternative sets of settings of which one must be complete."""
    always = [setting.name for setting in settings(schema) if setting.required]
    choices = schema.get("oneOf") or schema.get("anyOf") or [{}]
    groups = [[*always, *choice.get("required", [])] for choice in choices]
    return [group for group in groups if group]


def settings(schema: Json, parent: str = "") -> t.Iterator[Setting]:
    """Yield the settings in the plugin's order; objects with free names stay whole."""
    required = schema.get("required", [])
    for name, child in schema.get("properties", {}).items():
        if child.get("properties") and not child.get("additionalProperties"):
            yield from settings(child, f"{parent}{name}.")
        else:
            must = not parent and name in required and "default" not in child
            yield Setting(f"{parent}{name}", child, must)


def meltano_setting(setting: Setting) -> Json:
    """Translate one setting of the JSON Schema into Meltano's words."""
    schema = setting.schema
    choices = [{"label": label(value), "value": value} for value in options(setting)]
    # In the order of Meltano, which lays the file out anew when it changes it.
    translated = {
        "name": setting.name,
        "kind": kind(setting),
        "value": schema.get("default"),
        "label": schema.get("title") or label(setting.name),
        "description": sentence(schema) or None,
        "options": choices or None,
        # A name is no evidence: only the plugin knows what must stay hidden.
        "sensitive": schema.get("secret") or None,
    }
    return {key: value for key, value in translated.items() if value is not None}


def kind(setting: Setting) -> str:
    """Return Meltano's kind of a setting."""
    schema = setting.schema
    if schema.get("enum"):
        return "options"
    types = schema.get("type", "string")
    listed = [types] if isinstance(types, str) else types
    plain = next((TYPES[name] for name in listed if name in TYPES), None)
    if plain and "string" not in listed:
        return plain
    return "date_iso8601" if schema.get("format") == "date-time" else "string"


def options(setting: Setting) -> list[str]:
    """Return the values to choose from, if the plugin lists them."""
    return [str(value) for value in setting.schema.get("enum", []) if value is not None]


def label(name: str) -> str:
    """Make a heading of a name."""
    words = re.split(r"[._\-]+", name)
    return " ".join(w.upper() if w in ACRONYMS else w.capitalize() for w in words)


def sentence(schema: Json) -> str:
    """Return the description on one line."""
    return " ".join(schema.get("description", "").split())


def different_versions(root: Path) -> str:
    """Complain when the packages do not all carry the repository's version."""
    files = [root / "pyproject.toml", *sorted(root.glob("*/*/pyproject.toml"))]
    found = {path.relative_to(root): version(path) for path in files}
    if len(set(found.values())) == 1:
        return ""
    lines = [f"  {number} {path}\n" for path, number in found.items()]
    return f"The repository has one version, but:\n{''.join(lines)}"


def version(path: Path) -> str:
    """Return the version that a `pyproject.toml` states."""
    stated = re.search(r'^version = "(.+)"$', current(path), re.MULTILINE)
    return stated[1] if stated else "none"


def diff(path: Path, before: str, after: str) -> t.Iterator[str]:
    """Show what `make generate` would change."""
    names = (f"a/{path}", f"b/{path}")
    return difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), *names
    )


def current(path: Path) -> str:
    """Return the file as it is, or nothing."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def load(path: Path) -> Json:
    """Return the YAML file's content, or nothing."""
    return yaml.safe_load(current(path)) or {}


def dump(data: Json, *, sort_keys: bool) -> str:
    """Write YAML the same way every time."""
    return yaml.safe_dump(data, sort_keys=sort_keys, allow_unicode=True, width=1000)


if __name__ == "__main__":
    sys.exit(main())
