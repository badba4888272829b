#!/usr/bin/env python3
"""Get uv and install the workspace, with nothing but Python's standard library.

The system's Python is only read: uv lands in `.dativo/`, the packages in `.venv/`.
`UV` names the uv to use; `UV_PROJECT_ENVIRONMENT` moves the packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRIVATE = ROOT / ".dativo"
TOOLS = PRIVATE / "tools"
LINK = PRIVATE / "uv"

OLDEST_PYTHON = (3, 10)
OLDEST_UV = (0, 8)
REQUIREMENT = "uv==0.13.9"
# A user's own pip.conf may ask for --user, which cannot go with a folder.
PIP_OPTIONS = ("--quiet", "--no-user", "--disable-pip-version-check")

HELP = f"""\
uv is not here, and none of the ways to get it worked. Check the network, or help out:

    apt-get install python3-venv    as root, on Debian and Ubuntu
    make test UV=/path/to/uv        with any uv from {".".join(map(str, OLDEST_UV))} on
"""


def main() -> int:
    """Install what `uv.lock` says, and leave uv itself at `.dativo/uv`."""
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return fail(
            f"{sys.executable} is older than Python {wanted}. "
            "Name a newer one: make test PYTHON=/path/to/python3"
        )
    uv = find_uv()
    if uv is None:
        return fail(HELP)
    link(uv)
    # A version alone would find pyenv's shims, which answer but do not run.
    sync = ("sync", "--frozen", "--inexact", "--python", sys.executable)
    return subprocess.call([uv, *sync], cwd=ROOT)


def find_uv() -> Path | None:
    """Return the uv named by the user, found on PATH or installed before, or get it."""
    named = os.environ.get("UV") or "uv"
    ours = TOOLS / "bin" / "uv"
    for candidate in (shutil.which(named), ours):
        if candidate and is_recent(Path(candidate)):
            return Path(candidate).absolute()
    say(f"Installing {REQUIREMENT} into {TOOLS}")
    ways = (install_in_venv, install_with_pip, install_with_borrowed_pip)
    return ours if any(install() for install in ways) else None


def is_recent(uv: Path) -> bool:
    """Tell whether the program runs and is new enough for the lock file."""
    try:
        version = subprocess.check_output([uv, "--version"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    found = re.match(r"uv (\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_UV


def install_in_venv() -> bool:
    """Use a virtual environment; Debian's Python lacks it without python3-venv."""
    made = run(sys.executable, "-m", "venv", "--clear", TOOLS)
    pip = (TOOLS / "bin" / "python", "-m", "pip")
    return made and run(*pip, "install", *PIP_OPTIONS, REQUIREMENT)


def install_with_pip() -> bool:
    """Use the system's pip, into a folder of our own."""
    return pip_into_tools(sys.executable, "-m", "pip")


def install_with_borrowed_pip() -> bool:
    """Unpack the pip that Debian ships as a wheel: no root, nothing installed."""
    if not shutil.which("apt-get"):
        return False
    folder = PRIVATE / "pip"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not download(folder) and not download(folder, private_lists(folder)):
        return False
    if not run("dpkg-deb", "-x", next(folder.glob("*.deb")), folder):
        return False
    wheel = next(folder.glob("usr/share/python-wheels/pip-*.whl"))
    return pip_into_tools(sys.executable, wheel / "pip")


def pip_into_tools(*pip: str | Path) -> bool:
    """Install uv with this pip; the system's own packages stay as they are."""
    shutil.rmtree(TOOLS, ignore_errors=True)
    return run(*pip, "install", *PIP_OPTIONS, "--target", TOOLS, REQUIREMENT)


def download(folder: Path, *options: str) -> bool:
    """Fetch the package; apt's own cache is private too, root or not."""
    cache = folder / "cache"
    (cache / "archives/partial").mkdir(parents=True, exist_ok=True)
    # apt's sandbox user could not write into our folder.
    private = ("--option=APT::Sandbox::User=root", f"--option=Dir::Cache={cache}")
    apt = ("apt-get", *private, *options)
    if options and not run(*apt, "update"):
        return False
    return run(*apt, "download", "python3-pip-whl", cwd=folder)


def private_lists(folder: Path) -> str:
    """Let apt read its package lists anew, into our folder: images come without."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    return f"--option=Dir::State::lists={lists}"


def link(uv: Path) -> None:
    """Make uv reachable under one name for the Makefile."""
    PRIVATE.mkdir(exist_ok=True)
    if uv != LINK:
        LINK.unlink(missing_ok=True)
        LINK.symlink_to(uv)


def run(*command: str | Path, cwd: Path = ROOT) -> bool:
    """Run the command; tell whether it succeeded, and a person why it did not."""
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except OSError:
        return False
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or error.stdout).strip().splitlines()[-1:]
        say(f"  {Path(command[0]).name}: {''.join(reason)}")
        return False
    return True


def say(line: str) -> None:
    """Tell the person at the terminal what goes on."""
    sys.stderr.write(f"{line}\n")


def fail(reason: str) -> t.Literal[1]:
    """Say why there is no way on."""
    say(reason)
    return 1


if __name__ == "__main__":
    sys.exit(main())
