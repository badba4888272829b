"""One MariaDB or MySQL database, spoken to through PyMySQL."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor


@dataclasses.dataclass(frozen=True)
class MariaDatabase:
    """Where a database is, who may enter, and how to ask it something.

    Attributes:
        certificate_authority: The CA file that proves the server, if it speaks TLS.
    """

    host: str
    port: int
    user: str
    password: str = dataclasses.field(repr=False)
    name: str
    certificate_authority: Path | None = None

    def connect(self, *, autocommit: bool = False) -> Connection[t.Any]:
        """Open a connection in UTC, which the caller closes."""
        import pymysql  # noqa: PLC0415
        from pymysql.constants import CLIENT  # noqa: PLC0415

        authority = self.certificate_authority
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.name,
            charset="utf8mb4",
            autocommit=autocommit,
            client_flag=CLIENT.MULTI_STATEMENTS,
            init_command="SET time_zone = '+00:00'",
            ssl_ca=str(authority) if authority else None,
            ssl_verify_cert=True if authority else None,
            ssl_verify_identity=True if authority else None,
        )

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """Open a connection that commits every statement, and a cursor on it."""
        connection = self.connect(autocommit=True)
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def execute(self, sql: str) -> None:
        """Run statements, each committed by itself."""
        with self.cursor() as cursor:
            cursor.execute(sql)
            while cursor.nextset():
                pass

    def query(self, sql: str) -> list[tuple[t.Any, ...]]:
        """Run one statement and return its rows."""
        with self.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def tap_config(self) -> dict[str, t.Any]:
        """The settings with which tap-mysql reads this database."""
        config: dict[str, t.Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "filter_dbs": self.name,
        }
        if self.certificate_authority is not None:
            config |= {"ssl": True, "ssl_ca": str(self.certificate_authority)}
        return config
