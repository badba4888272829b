"""Ask Postgres through ADBC: small questions as rows, tables as Arrow batches."""

from __future__ import annotations

import contextlib
import typing as t
import weakref

from tap_postgres import failures, queries

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    import pyarrow as pa
    from adbc_driver_manager import dbapi

Row: t.TypeAlias = "tuple[t.Any, ...]"

_BATCH_BYTES = 4_000_000
_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Client:
    """One connection; every statement runs inside `transaction()`.

    Args:
        conninfo: libpq connection string.
        place: The database in words, for messages.
        logger: Gets each statement at debug level.
    """

    def __init__(self, conninfo: str, place: str, logger: logging.Logger) -> None:
        self._conninfo = conninfo
        self._place = place
        self._logger = logger
        self._connection: dbapi.Connection | None = None
        self._close: t.Callable[[], t.Any] = lambda: None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Read from one snapshot, in UTC and ISO 8601, whatever the server's habits.

        Settings are local to the transaction, so that they survive PgBouncer.
        """
        connection = self._connect()
        try:
            self._execute(_BEGIN)
            self.ask(queries.SESSION)
            yield
        finally:
            # A lost connection has nothing to roll back, and the first error counts.
            with contextlib.suppress(Exception):
                connection.rollback()

    def ask(self, sql: str) -> list[Row]:
        """Return all rows of a small answer."""
        with self._explained(), self._cursor() as cursor:
            self._logger.debug("Asking: %s", sql)
            cursor.execute(sql)
            return cursor.fetchall()

    def read(self, sql: str, subject: str) -> Iterator[pa.RecordBatch]:
        """Stream an answer of any size; `subject` names it in messages."""
        with self._explained(subject), self._cursor() as cursor:
            self._logger.debug("Reading: %s", sql)
            cursor.execute(sql)
            with cursor.fetch_record_batch() as reader:
                yield from reader

    def close(self) -> None:
        """Leave the server."""
        self._close()
        self._connection = None

    def _execute(self, sql: str) -> None:
        with self._explained(), self._cursor() as cursor:
            cursor.execute(sql)

    def _connect(self) -> dbapi.Connection:
        if self._connection is None:
            import adbc_driver_postgresql.dbapi  # noqa: PLC0415 brings pyarrow

            with self._explained("Connecting to"):
                self._connection = adbc_driver_postgresql.dbapi.connect(self._conninfo)
            self._close = weakref.finalize(self, self._connection.close)
        return self._connection

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[dbapi.Cursor]:
        hint = {"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
        with self._connect().cursor() as cursor:
            cursor.adbc_statement.set_options(**hint)
            yield cursor

    @contextlib.contextmanager
    def _explained(self, subject: str = "Asking") -> Iterator[None]:
        import adbc_driver_manager  # noqa: PLC0415 not needed for --about

        try:
            yield
        # pyarrow raises OSError for what the driver meets while it streams.
        except (adbc_driver_manager.Error, OSError) as exception:
            found = failures.explain(
                getattr(exception, "sqlstate", None),
                str(exception),
                f"{subject} {self._place}",
            )
            if found is None:
                raise
            raise found from exception
