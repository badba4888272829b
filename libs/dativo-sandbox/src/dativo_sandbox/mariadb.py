"""A private MariaDB server with a password and, if asked, TLS."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
import typing as t

from dativo_sandbox.certificates import make_certificates
from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.mariadb_database import MariaDatabase
from dativo_sandbox.mariadb_install import Programs, installed_programs
from dativo_sandbox.process import LOOPBACK, ServerProcess, free_port
from dativo_sandbox.server import Server

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from pymysql.cursors import Cursor

_SETTINGS = {
    "bind-address": LOOPBACK,
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    "innodb-doublewrite": "OFF",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "innodb-log-file-size": "64M",
    "skip-name-resolve": "ON",
}
_SCRIPTS = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "mysql_test_data_timezone.sql",
)
_BOOTSTRAP = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"
# The system's views belong to mariadb.sys; all else that bootstrap makes may enter.
_ACCOUNTS = """DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';
FLUSH PRIVILEGES;
CREATE USER root@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
"""
_READY = b"ready for connections"


class MariaServer(Server):
    """A MariaDB server that lives as long as the `with` block.

    Args:
        programs: Which server to run; found, or fetched from Debian, if not given.
        ssl: Whether to accept TLS connections only, with a certificate made for it.
        settings: Server options to add or replace, without their dashes.
        wait: How to pass the time between two looks at whether it is ready.
    """

    name = "mariadb"
    host = LOOPBACK
    user = "root"

    def __init__(
        self,
        *,
        programs: Programs | None = None,
        ssl: bool = False,
        settings: Mapping[str, str] | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self.certificate_authority: Path | None = None
        self._programs = programs
        self._ssl = ssl
        self._settings = {**_SETTINGS, **(settings or {})}
        self._wait = wait

    @property
    def socket(self) -> Path:
        """Where the server also listens."""
        return self.home / "socket"

    def database(self, name: str = "mysql") -> MariaDatabase:
        """Say how to reach a database of this server, whether or not it exists."""
        return MariaDatabase(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            name=name,
            certificate_authority=self.certificate_authority,
        )

    def create_database(self, name: str) -> MariaDatabase:
        """Create an empty database."""
        self.database().execute(f"CREATE DATABASE `{name}`")
        return self.database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, after ending whoever is still in it.

        Who is in no database may hold a table of any, and would be waited for.
        """
        sessions = (
            "SELECT id FROM information_schema.processlist WHERE command <> 'Daemon' "
            "AND id <> CONNECTION_ID() AND (db = %s OR db IS NULL)"
        )
        with self.database().cursor() as cursor:
            cursor.execute(sessions, [name])
            for (session,) in cursor.fetchall():
                _kill(cursor, session)
            cursor.execute(f"DROP DATABASE `{name}`")

    def _start(self, resources: ExitStack) -> ServerProcess:
        programs = self._programs or installed_programs()
        home = self._private_directory(resources)
        options = [*_common(programs, home), *self._options(home)]
        self._initialise(programs, home)
        log = home / "mariadb.log"
        process = ServerProcess(
            "MariaDB",
            [str(programs.server), *options],
            log=log,
            environment=programs.environment,
        )
        resources.callback(process.stop)
        process.start(lambda: _READY in log.read_bytes(), wait=self._wait)
        return process

    def _initialise(self, programs: Programs, home: Path) -> None:
        (home / "data").mkdir(mode=0o700)
        scripts = [(programs.share / name).read_text() for name in _SCRIPTS]
        done = subprocess.run(
            [str(programs.server), *_common(programs, home), "--bootstrap"],
            env=programs.environment,
            input=_BOOTSTRAP + "\n".join(scripts),
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            end = done.stderr.strip()[-2000:]
            msg = f"mariadbd --bootstrap ended with status {done.returncode}:\n{end}"
            raise ServerStartError(msg)
        accounts = home / "accounts.sql"
        accounts.touch(mode=0o600)
        accounts.write_text(_ACCOUNTS.replace("{password}", self.password))

    def _options(self, home: Path) -> list[str]:
        settings = {
            "port": str(self.port),
            "socket": str(home / "socket"),
            "pid-file": str(home / "pid"),
            "init-file": str(home / "accounts.sql"),
            "secure-file-priv": str(home),
            **self._settings,
        }
        if self._ssl:
            self.certificate_authority = make_certificates(home)
            settings |= {
                "ssl-cert": str(home / "server.crt"),
                "ssl-key": str(home / "server.key"),
                "require-secure-transport": "ON",
            }
        return [f"--{name}={value}" for name, value in settings.items()]


def _kill(cursor: Cursor, session: int) -> None:
    from pymysql import err  # noqa: PLC0415 an extra

    # A session that is over already is as good as killed.
    with contextlib.suppress(err.OperationalError):
        cursor.execute(f"KILL {session}")


def _common(programs: Programs, home: Path) -> list[str]:
    """Return what bootstrap needs too; root must say that it means to be root."""
    return [
        "--no-defaults",
        *(["--user=root"] if os.geteuid() == 0 else []),
        f"--datadir={home / 'data'}",
        f"--tmpdir={home}",
        f"--lc-messages-dir={programs.share}",
        f"--character-sets-dir={programs.share / 'charsets'}",
        "--innodb-log-file-size=64M",
    ]
