"""tap-postgres on a real database."""

from __future__ import annotations

import contextlib

import pytest
from dativo_sandbox.tap_runs import TappedDatabase
from tap_postgres.tap import TapPostgres


class Source(TappedDatabase):
    """A database of PostgreSQL."""

    @contextlib.contextmanager
    def session(self):
        """Open a session of another user of the database."""
        with (
            self.database.connect(autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            yield cursor.execute


@pytest.fixture
def source(database):
    """An empty database with a tap."""
    return Source(database, TapPostgres)
