"""One PostgreSQL database, spoken to through ADBC."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
import urllib.parse

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adbc_driver_manager import dbapi


@dataclasses.dataclass(frozen=True)
class Database:
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

    @property
    def dsn(self) -> str:
        """The URI that libpq, ADBC and SQLAlchemy accept."""
        login = f"{self.user}:{urllib.parse.quote(self.password, safe='')}"
        name = urllib.parse.quote(self.name, safe="")
        query = urllib.parse.urlencode(self._tls())
        return f"postgresql://{login}@{self.host}:{self.port}/{name}?{query}"

    def _tls(self) -> dict[str, str]:
        if self.certificate_authority is None:
            return {"sslmode": "disable"}
        return {
            "sslmode": "verify-full",
            "sslrootcert": str(self.certificate_authority),
        }

    def connect(self, *, autocommit: bool = False) -> dbapi.Connection:
        """Open an ADBC connection, which the caller closes."""
        import adbc_driver_postgresql.dbapi as postgresql  # noqa: PLC0415

        connection: dbapi.Connection
        connection = postgresql.connect(self.dsn, autocommit=autocommit)
        return connection

    @contextlib.contextmanager
    def cursor(self) -> Iterator[dbapi.Cursor]:
        """Open a connection that commits every statement, and a cursor on it."""
        with self.connect(autocommit=True) as connection, connection.cursor() as cursor:
            # COPY, the driver's default, takes neither SHOW nor RETURNING.
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            yield cursor

    def execute(self, sql: str) -> None:
        """Run statements; several in one text are one transaction."""
        with self.cursor() as cursor:
            cursor.executescript(sql)

    def query(self, sql: str) -> list[tuple[t.Any, ...]]:
        """Run one statement and return its rows."""
        with self.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def tap_config(self) -> dict[str, t.Any]:
        """The settings with which tap-postgres reads this database."""
        tls = self._tls()
        config: dict[str, t.Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.name,
            "ssl_mode": tls["sslmode"],
        }
        if self.certificate_authority is not None:
            config["ssl_certificate_authority"] = str(self.certificate_authority)
        return config
