"""Which MariaDB programs to run: this machine's, or Debian's, unpacked by ourselves."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from dativo_sandbox.errors import ServerStartError

if t.TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX_VARIABLE = "DATIVO_MARIADB"
_PACKAGE = "mariadb-server-core"
_INSTALL = f"Install MariaDB's server, or set {PREFIX_VARIABLE} to where usr/sbin is."
_FIRST_SCRIPT = "mysql_system_tables.sql"


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the server is.

    Attributes:
        server: The program `mariadbd`.
        share: The directory of its SQL scripts, messages and character sets.
        libraries: Shared libraries that the machine itself lacks.
    """

    server: Path
    share: Path
    libraries: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the server needs."""
        libraries = {"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {}
        return {**os.environ, **libraries}


def installed_programs() -> Programs:
    """Find MariaDB: under DATIVO_MARIADB, on this machine, or in Debian's archive.

    Raises:
        ServerStartError: There is none.
    """
    if chosen := os.environ.get(PREFIX_VARIABLE):
        return _required(Path(chosen))
    if found := _under(Path("/")):
        return found
    return unpacked_programs()


def unpacked_programs() -> Programs:
    """Return MariaDB as Debian packages it, downloaded once and never installed.

    Raises:
        ServerStartError: There is no apt-get, or it found nothing.
    """
    home = _cache() / "mariadb"
    if found := _under(home):
        return found
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="mariadb-") as scratch:
        _unpack(Path(scratch))
        # Whoever else has been faster had the same packages.
        with contextlib.suppress(OSError):
            Path(scratch, "root").rename(home)
    return _required(home)


def _required(prefix: Path) -> Programs:
    if found := _under(prefix):
        return found
    msg = f"There is no MariaDB server in {prefix}."
    raise ServerStartError(msg, hint=f"Correct {PREFIX_VARIABLE}, or unset it.")


def _under(prefix: Path) -> Programs | None:
    servers = [path for path in prefix.glob("usr/sbin/mariadbd") if path.is_file()]
    shares = list(prefix.glob(f"usr/share/m*/{_FIRST_SCRIPT}"))
    if not servers or not shares:
        return None
    libraries = sorted(prefix.glob("usr/lib/*-linux-*")) if prefix != Path("/") else []
    return Programs(servers[0], shares[0].parent, next(iter(libraries), None))


def _cache() -> Path:
    """Choose a directory that is ours alone: an account may have no home."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = Path(base) if base else Path("~/.cache").expanduser()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder / "dativo"
    own = Path(tempfile.gettempdir(), f"dativo-cache-{os.geteuid()}")
    own.mkdir(mode=0o700, exist_ok=True)
    if own.stat().st_uid != os.geteuid():
        msg = f"{own} belongs to somebody else."
        raise ServerStartError(msg, hint="Set XDG_CACHE_HOME.")
    return own


def _unpack(scratch: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        msg = "No MariaDB server was found on this machine."
        raise ServerStartError(msg, hint=_INSTALL)
    apt = _Apt(scratch)
    missing = [name for name in apt.libraries() if not _is_installed(name)]
    for archive in apt.download([_PACKAGE, *missing]):
        _run(["dpkg", "-x", str(archive), str(scratch / "root")], scratch)


class _Apt:
    """apt with lists of its own, which needs no root and finds no stale version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        self._options = [
            *("-o", f"Dir::State::lists={folder / 'lists'}"),
            *("-o", f"Dir::Cache={folder / 'cache'}"),
            *("-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="),
        ]
        _run(["apt-get", "-qq", *self._options, "update"], folder)

    def libraries(self) -> list[str]:
        words = ("depends", "--important", "-q=2", _PACKAGE)
        listed = _run(["apt-cache", *self._options, *words], self._folder)
        names = [line.partition("Depends: ")[2].strip() for line in listed.splitlines()]
        return [name for name in names if name.startswith("lib")]

    def download(self, names: Sequence[str]) -> list[Path]:
        _run(["apt-get", "-qq", *self._options, "download", *names], self._folder)
        return sorted(self._folder.glob("*.deb"))


def _is_installed(package: str) -> bool:
    done = subprocess.run(
        ["dpkg-query", "-W", "-f=${Status}", package],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout.endswith("ok installed")


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True
    )
    if done.returncode:
        msg = f"MariaDB could not be fetched: {done.stderr.strip()}"
        raise ServerStartError(msg, hint=_INSTALL)
    return done.stdout
