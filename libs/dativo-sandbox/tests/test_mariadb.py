"""MariaDB really starts, guards its door, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import dativo_sandbox
import pymysql
import pytest
from dativo_sandbox import mariadb_install
from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.mariadb import MariaServer

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_sandbox.mariadb_database import MariaDatabase

OWNER = """
from dativo_sandbox.mariadb import MariaServer
with MariaServer() as server:
    print(server.pid, server.home, flush=True)
    input()
"""


def test_database_is_empty_and_answers(mariadb: MariaDatabase) -> None:
    """A fresh database holds what a test puts there, and nothing else."""
    assert mariadb.query("SHOW TABLES") == []
    mariadb.execute("CREATE TABLE a (i int); INSERT INTO a VALUES (1), (2)")
    assert mariadb.query("SELECT i FROM a ORDER BY i") == [(1,), (2,)]


def test_wrong_password_is_refused(mariadb: MariaDatabase) -> None:
    """A password is checked, so a test of bad credentials is a real one."""
    for change in ({"password": "wrong"}, {"password": ""}, {"user": "mariadb.sys"}):
        impostor = dataclasses.replace(mariadb, **t.cast("dict[str, t.Any]", change))
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            impostor.connect()


def test_password_stays_out_of_messages(mariadb: MariaDatabase) -> None:
    """A failed assertion does not print the password."""
    assert mariadb.password not in repr(mariadb)


def test_named_time_zones_are_there(mariadb: MariaDatabase) -> None:
    """Some, enough to see what a session's zone does."""
    moscow = "SELECT CONVERT_TZ('2024-01-01 00:00:00', '+00:00', 'Europe/Moscow')"
    assert mariadb.query(moscow)[0][0] is not None


def test_drop_ends_forgotten_sessions(mariadb_server: MariaServer) -> None:
    """What a test leaves open does not keep its database alive."""
    database = mariadb_server.create_database("forgetful")
    database.execute("CREATE TABLE a (i int)")
    connection = database.connect()
    connection.cursor().execute("SELECT * FROM a")
    mariadb_server.drop_database("forgetful")
    names = [name for (name,) in mariadb_server.database().query("SHOW DATABASES")]
    assert "forgetful" not in names
    with pytest.raises(pymysql.OperationalError):
        connection.ping(reconnect=False)


def test_secure_server_refuses_plain_connections() -> None:
    """Its certificate is signed by an authority made for it."""
    with MariaServer(ssl=True) as server:
        database = server.database()
        [(_, cipher)] = database.query("SHOW STATUS LIKE 'Ssl_cipher'")
        assert cipher
        assert database.tap_config()["ssl_ca"] == str(database.certificate_authority)
        plain = dataclasses.replace(database, certificate_authority=None)
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            pymysql.connect(
                host=plain.host,
                port=plain.port,
                user=plain.user,
                password=plain.password,
                ssl_disabled=True,
            )


def test_server_dies_with_its_owner(ends: Callable[[int], bool]) -> None:
    """A killed test run leaves no server behind."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        pid, home = owner.stdout.readline().split()
        owner.kill()
    assert ends(int(pid))
    shutil.rmtree(home)


def test_failed_start_says_why_and_leaves_nothing() -> None:
    """The end of the server's own log is in the message."""
    server = MariaServer(settings={"no-such-setting": "1"})
    with pytest.raises(ServerStartError, match="no-such-setting"):
        server.start()
    assert not server.home.exists()


def test_wrong_prefix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a download that nobody asked for."""
    monkeypatch.setenv("DATIVO_MARIADB", "/nowhere")
    with pytest.raises(ServerStartError, match=r"in /nowhere\. Correct DATIVO_MARIADB"):
        MariaServer().start()


def test_no_apt_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Debian somebody has to bring the server."""
    monkeypatch.setattr(mariadb_install, "_under", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ServerStartError, match="Install MariaDB's server"):
        mariadb_install.unpacked_programs()


@pytest.mark.skipif(os.geteuid() != 0, reason="then every other test proves it")
def test_runs_as_a_normal_user(tmp_path: Path) -> None:
    """Somebody who is not root fetches the packages, and owns the server."""
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o077 == 0:
            folder.chmod(0o711)
    done = subprocess.run(
        ["/usr/bin/python3", "-c", OWNER],
        user="nobody",
        group="nogroup",
        extra_groups=[],
        cwd="/",
        env={
            "PYTHONPATH": str(Path(dativo_sandbox.__file__).parent.parent),
            "PATH": os.environ["PATH"],
            "XDG_CACHE_HOME": str(tmp_path),
        },
        input="\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dativo" / "mariadb").owner() == "nobody"
