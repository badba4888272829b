#!/usr/bin/env python3
"""Run the `bash` blocks of Markdown files, each file in one shell, top to bottom.

`<!-- not run -->` on the line before a block leaves it out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import typing as t
from pathlib import Path

BLOCK = re.compile(
    r"^(<!-- not run -->\n)?```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def main(names: t.Sequence[str]) -> int:
    """Run every file, or every file below a folder; stop at the first that fails."""
    for page in pages(names):
        blocks = script(page.read_text(encoding="utf-8"))
        if not blocks:
            continue
        sys.stdout.write(f"== {page}\n")
        sys.stdout.flush()
        code = subprocess.call(["bash", "-euo", "pipefail", "-c", blocks])  # noqa: S607
        if code:
            sys.stdout.write(f"{page} does not work as written.\n")
            return code
    return 0


def pages(names: t.Sequence[str]) -> t.Iterator[Path]:
    """Yield the Markdown files, in order."""
    for path in map(Path, names):
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


def script(text: str) -> str:
    """Return the blocks that are to run, as one script."""
    return "\n".join(body for skipped, body in BLOCK.findall(text) if not skipped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
