"""A private PostgreSQL server with a password, logical decoding and, if asked, TLS."""

from __future__ import annotations

import re
import secrets
import shutil
import signal
import subprocess
import time
import typing as t

from dativo_sandbox.certificates import make_certificates
from dativo_sandbox.database import Database
from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.postgres_install import (
    installed_binaries,
    reachable_binaries,
    unprivileged_account,
)
from dativo_sandbox.process import LOOPBACK, Account, ServerProcess, free_port
from dativo_sandbox.server import Server

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack
    from pathlib import Path

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "logical",
    "max_prepared_transactions": "10",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_INITDB = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--no-sync",
    "--no-instructions",
)
_STATUS_LINE = 7
_READY = {"ready", "standby"}
_LONGEST_SOCKET_FOLDER = 85


class PostgresServer(Server):
    """A PostgreSQL server that lives as long as the `with` block.

    Args:
        binaries: The directory of `postgres` and `initdb`; found if not given.
        ssl: Whether to accept TLS connections only, with a certificate made for it.
        settings: Server settings to add or replace.
        standby: Whether to stay in recovery, as a replica that waits for its primary.
        wait: How to pass the time between two looks at whether it is ready.
    """

    name = "postgres"
    host = LOOPBACK
    user = "postgres"

    def __init__(
        self,
        *,
        binaries: Path | None = None,
        ssl: bool = False,
        settings: Mapping[str, str] | None = None,
        standby: bool = False,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self.certificate_authority: Path | None = None
        self._binaries = binaries
        self._ssl = ssl
        self._settings = {**_SETTINGS, **(settings or {})}
        self._standby = standby
        self._wait = wait

    def database(self, name: str = "postgres") -> Database:
        """Say how to reach a database of this server, whether or not it exists."""
        return Database(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            name=name,
            certificate_authority=self.certificate_authority,
        )

    def dsn(self, database: str = "postgres") -> str:
        """Return the URI of a database."""
        return self.database(database).dsn

    def psql(self, sql: str, *, database: str = "postgres") -> None:
        """Run statements as superuser."""
        self.database(database).execute(sql)

    def create_database(self, name: str) -> Database:
        """Create an empty database."""
        self.psql(f'CREATE DATABASE "{name}"')
        return self.database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database with its connections, slots and prepared transactions."""
        owned = f"WHERE database = '{name}'"
        slots = f"FROM pg_replication_slots {owned}"
        with self.database().cursor() as cursor:
            cursor.executescript(
                f"SELECT pg_terminate_backend(active_pid, 5000) {slots}"
            )
            cursor.executescript(f"SELECT pg_drop_replication_slot(slot_name) {slots}")
            cursor.execute(f"SELECT gid FROM pg_prepared_xacts {owned}")  # noqa: S608
            for (gid,) in cursor.fetchall():
                self.psql(f"ROLLBACK PREPARED '{gid}'", database=name)
            cursor.executescript(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _start(self, resources: ExitStack) -> ServerProcess:
        account = unprivileged_account()
        home = self._private_directory(resources, mode=0o711)
        binaries = self._binaries or installed_binaries()
        binaries = reachable_binaries(binaries, home, account)
        data = self._initialise(binaries, home, account)
        if self._standby:
            (data / "standby.signal").touch()
        settings = {**self._settings, "unix_socket_directories": _socket_folder(data)}
        if self._ssl:
            settings |= self._demand_tls(home, data, account)
        process = ServerProcess(
            "PostgreSQL",
            [str(binaries / "postgres"), *self._arguments(data, settings)],
            log=home / "postgres.log",
            account=account,
            stop_signal=signal.SIGINT,
        )
        resources.callback(process.stop)
        process.start(lambda: _is_ready(data), wait=self._wait)
        return process

    def _initialise(self, binaries: Path, home: Path, account: Account | None) -> Path:
        cluster = home / "cluster"
        cluster.mkdir(mode=0o700)
        secret = home / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        _give(account, cluster, secret)
        options = (*_INITDB, f"--pwfile={secret}", f"--pgdata={cluster / 'data'}")
        _run_as(account, [str(binaries / "initdb"), *options], cluster)
        secret.unlink()
        return cluster / "data"

    def _demand_tls(
        self, home: Path, data: Path, account: Account | None
    ) -> dict[str, str]:
        self.certificate_authority = make_certificates(home)
        rules = data / "pg_hba.conf"
        rules.write_text(re.sub(r"(?m)^host\b", "hostssl", rules.read_text()))
        key = home / "server.key"
        _give(account, key)
        certificate = str(home / "server.crt")
        return {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": str(key)}

    def _arguments(self, data: Path, settings: Mapping[str, str]) -> list[str]:
        options = [f"--{name}={value}" for name, value in settings.items()]
        return ["-D", str(data), "-p", str(self.port), *options]


def _give(account: Account | None, *paths: Path) -> None:
    if account is not None:
        for path in paths:
            shutil.chown(path, account.user, account.group)


def _run_as(account: Account | None, command: list[str], folder: Path) -> None:
    who: dict[str, t.Any] = {}
    if account is not None:
        who = {"user": account.user, "group": account.group, "extra_groups": []}
    try:
        done = subprocess.run(
            command, cwd=folder, check=False, capture_output=True, text=True, **who
        )
    except OSError as error:
        msg = f"{command[0]} cannot be run: {error.strerror}."
        raise ServerStartError(msg) from error
    if done.returncode:
        msg = f"initdb ended with status {done.returncode}:\n{done.stderr.strip()}"
        raise ServerStartError(msg)


def _socket_folder(data: Path) -> str:
    """Say where the socket goes, or that there is none where its path is too long."""
    folder = str(data.parent)
    return folder if len(folder) < _LONGEST_SOCKET_FOLDER else ""


def _is_ready(data: Path) -> bool:
    """Whether the postmaster says so in its lock file, as pg_ctl asks."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() in _READY
