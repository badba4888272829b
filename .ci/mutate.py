#!/usr/bin/env python3
"""Change the code that handles failures bit by bit: its tests must notice.

mutmut does the changes. Those that no test can notice, such as another upper limit for
an exponent, are why not all are caught.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "libs/dativo-core"
MODULES = ("retry", "breaker", "limiter")
LEAST_CAUGHT = 0.95
SETTINGS = """
[tool.mutmut]
source_paths = [{mutated}]
pytest_add_cli_args_test_selection = ["tests"]
also_copy = ["src"]
"""


def main(folder: Path) -> int:
    """Print what survived and the number of changes caught; 1 if it is too small."""
    lay_out(folder)
    mutmut(folder, "run", "--max-children", "2")
    results = mutmut(folder, "results", "--all", "true")
    outcomes = dict(re.findall(r"^\s+(\S+): (.+)$", results, re.MULTILINE))
    missed = [name for name, outcome in outcomes.items() if outcome == "survived"]
    for name in missed:
        change = re.findall(r"^[-+] .*$", mutmut(folder, "show", name), re.MULTILINE)
        sys.stdout.write("\n".join([name, *change, ""]))
    caught = len(outcomes) - len(missed)
    sys.stdout.write(f"Caught {caught} of {len(outcomes)} changes.\n")
    return int(not outcomes or caught < LEAST_CAUGHT * len(outcomes))


def lay_out(folder: Path) -> None:
    """Copy the code and its tests to where mutmut may change them."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CORE / "src", folder / "src")
    (folder / "tests").mkdir()
    for name in ("conftest", *(f"test_{module}" for module in MODULES)):
        shutil.copy(CORE / f"tests/{name}.py", folder / "tests")
    mutated = ", ".join(f'"src/dativo_core/{module}.py"' for module in MODULES)
    (folder / "pyproject.toml").write_text(SETTINGS.format(mutated=mutated))


def mutmut(folder: Path, *arguments: str) -> str:
    """Run mutmut in the folder and return what it prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.stdout.write(done.stdout[-4000:])
        raise SystemExit(done.returncode)
    return done.stdout


def folder_named(arguments: t.Sequence[str]) -> Path:
    """Return the folder to work in, which is emptied first."""
    return Path(arguments[0]).resolve() / "mutants-of-core"


if __name__ == "__main__":
    sys.exit(main(folder_named(sys.argv[1:])))
