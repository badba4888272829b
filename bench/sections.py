"""Pages with parts that are made by measuring."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, mark: str, text: str, title: str = "Performance") -> None:
    """Put a part into a page, in place of the one from an earlier run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = path.read_text(encoding="utf-8") if path.exists() else f"# {title}\n"
    path.write_text(replaced(page, mark, text), encoding="utf-8")


def replaced(page: str, mark: str, text: str) -> str:
    """Return the page with a part exchanged, or added at its end."""
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    if begin not in page:
        page = f"{page.rstrip()}\n\n{begin}\n{end}\n"
    before, rest = page.split(begin, 1)
    _, after = rest.split(end, 1)
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"
