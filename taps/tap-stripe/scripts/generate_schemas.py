#!/usr/bin/env python3
"""Write the schemas of Stripe's objects, one file for each line of the API.

They come from the releases of Stripe's Python SDK below, which are installed beside
this checkout. `--check` only tells what would change.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import typing as t
from pathlib import Path

import derive
from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT / "taps/tap-stripe/src/tap_stripe/schemas"
RELEASES = ("10.12.0", "11.6.0", "12.5.1", "14.4.1", "15.3.0", "16.1.0")


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Write what differs, or tell of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--releases", type=Path, default=ROOT / ".dativo/stripe")
    parsed = parser.parse_args(arguments)
    drifted = 0
    for release in RELEASES:
        package = installed(parsed.releases / release, release)
        version = derive.api_version(package)
        for name, text in (("", rendered(package)), (".nested", nested(package))):
            path = SCHEMAS / f"{version}{name}.json"
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            drifted = 1
            sys.stdout.write(f"{path.name} differs from stripe {release}.\n")
            if not parsed.check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return drifted if parsed.check else 0


def installed(folder: Path, release: str) -> Path:
    """Return the package of a release, installed where nothing imports it."""
    package = folder / "stripe"
    if not package.exists():
        command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps"]
        target = ["--python", sys.executable, "--target", str(folder)]
        subprocess.run([*command, *target, f"stripe=={release}"], check=True)
    return package


def rendered(package: Path) -> str:
    """Return the file of one release: objects, and types of events."""
    objects = streamed(derive.objects(package))
    content = {"objects": objects, "events": derive.event_types(package)}
    lines = json.dumps(content, indent=0, sort_keys=True, separators=(",", ":"))
    return lines + "\n"


def nested(package: Path) -> str:
    """Return the file of what is inside the fields of one release, an object a line."""
    found = streamed(derive.shapes(package))
    lines = (
        f"{json.dumps(name)}:{json.dumps(found[name], separators=(',', ':'))}"
        for name in sorted(found)
        if found[name]
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def streamed(found: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return only those objects that are rows of a stream."""
    from tap_stripe.resources import RESOURCES  # noqa: PLC0415 the sources must exist

    names = (resource.object for resource in RESOURCES)
    return {name: found[name] for name in names if name in found}


if __name__ == "__main__":
    sys.exit(main())
