"""tap-mysql on a real database."""

from __future__ import annotations

import contextlib

import pytest
from dativo_sandbox.tap_runs import TappedDatabase
from tap_mysql.tap import TapMySQL


class Source(TappedDatabase):
    """A database of MariaDB."""

    def sql(self, *statements):
        """Run statements, each in a transaction of its own, and zero dates allowed."""
        super().sql(*(f"SET sql_mode = ''; {statement}" for statement in statements))

    def stream(self, table):
        """Return the name of a table's stream."""
        return f"{self.database.name}-{table}"

    @contextlib.contextmanager
    def session(self):
        """Open a session of another user of the database."""
        connection = self.database.connect(autocommit=True)
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor.execute

    @contextlib.contextmanager
    def globally(self, **settings):
        """Set what new sessions begin with; put back what it was."""
        names = [*settings]
        listed = ", ".join(f"@@GLOBAL.{name}" for name in names)
        [before] = self.database.query(f"SELECT {listed}")
        try:
            for name, value in settings.items():
                self.sql(f"SET GLOBAL {name} = {value!r}")
            yield
        finally:
            for name, value in zip(names, before, strict=True):
                self.sql(f"SET GLOBAL {name} = {value!r}")


@pytest.fixture
def source(mariadb):
    """An empty database with a tap."""
    return Source(mariadb, TapMySQL)
