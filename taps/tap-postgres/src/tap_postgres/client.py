"""Ask Postgres through ADBC: small questions as rows, tables as Arrow batches."""

from __future__ import annotations

import contextlib
import threading
import typing as t
import weakref

from dativo_core import logs

from tap_postgres import failures, queries
from tap_postgres.handles import Handles

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    import adbc_driver_manager as adbc
    import pyarrow as pa

Row: t.TypeAlias = "tuple[t.Any, ...]"

_BATCH_BYTES = 4_000_000
_PATIENCE_SECONDS = 2.0
_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Client:
    """One connection; every statement runs inside `transaction()`.

    ADBC's DB-API layer would import pandas wherever it is installed.

    Args:
        conninfo: libpq connection string.
        place: The database in words, for messages.
        logger: Gets each statement at debug level.
    """

    def __init__(self, conninfo: str, place: str, logger: logging.Logger) -> None:
        self._conninfo = conninfo
        self._place = place
        self._logger = logger
        self._connection: adbc.AdbcConnection | None = None
        self._handles = Handles()

    @contextlib.contextmanager
    def transaction(self, snapshot: str = "") -> Iterator[None]:
        """Read from one snapshot, in UTC and ISO 8601, whatever the server's habits.

        Settings are local to the transaction, so that they survive PgBouncer.

        Args:
            snapshot: One that a transaction of another connection shares.
        """
        connection = self._connect()
        try:
            self._do(_BEGIN)
            if snapshot:
                self._do(queries.share(snapshot))
            self.ask(queries.SESSION)
            yield
        finally:
            self._end(connection)

    def _end(self, connection: adbc.AdbcConnection) -> None:
        if self._handles.is_busy:
            # A thread does not let go of the connection.
            self.forget()
            return
        # A lost connection has nothing to roll back, and the first error counts.
        with contextlib.suppress(Exception):
            connection.rollback()

    def ask(self, sql: str) -> list[Row]:
        """Return all rows of a small answer."""
        return [
            tuple(row)
            for batch in self.read(sql, "Asking")
            for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)
        ]

    def read(self, sql: str, subject: str) -> Iterator[pa.RecordBatch]:
        """Stream an answer of any size; `subject` names it in messages."""
        import pyarrow as pa  # noqa: PLC0415 not needed for --about

        self._logger.debug("%s: %s", subject, queries.DIALECT.without_literals(sql))
        self._connect()
        handles = self._handles
        with handles.used(), self._explained(subject), self._statement(sql) as asked:
            stream, _ = asked.execute_query()
            with handles.closing(pa.RecordBatchReader.from_stream(stream)) as answer:
                yield from answer

    def cancel(self) -> None:
        """Let the server stop its present statement; from any thread."""
        # libpq asks on a connection of its own, and waits for a server that is gone.
        asking = threading.Thread(target=self._cancel, daemon=True)
        asking.start()
        asking.join(_PATIENCE_SECONDS)

    def _cancel(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.cancel()

    def forget(self) -> None:
        """Leave the connection alone for good, since another thread is in it."""
        self._handles = Handles()
        self._connection = None

    def close(self) -> None:
        """Leave the server."""
        self._handles.close()
        self._connection = None

    def _connect(self) -> adbc.AdbcConnection:
        if self._connection is None:
            import adbc_driver_manager as adbc  # noqa: PLC0415 not needed for --about
            import adbc_driver_postgresql  # noqa: PLC0415

            handles = Handles()
            with self._explained("Connecting to"), contextlib.ExitStack() as failed:
                failed.callback(handles.close)
                database = handles.add(adbc_driver_postgresql.connect(self._conninfo))
                connection = handles.add(adbc.AdbcConnection(database))
                connection.set_autocommit(enabled=False)
                failed.pop_all()
            # Closed with the client, also if nobody asks for it.
            weakref.finalize(self, handles.close)
            self._handles, self._connection = handles, connection
        return self._connection

    def _do(self, sql: str) -> None:
        with self._explained("Asking"), self._statement(sql) as statement:
            statement.execute_update()

    @contextlib.contextmanager
    def _statement(self, sql: str) -> Iterator[adbc.AdbcStatement]:
        import adbc_driver_manager as adbc  # noqa: PLC0415

        hint = {"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
        connection = self._connect()
        with self._handles.closing(adbc.AdbcStatement(connection)) as statement:
            statement.set_options(**hint)
            statement.set_sql_query(sql)
            yield statement

    @contextlib.contextmanager
    def _explained(self, subject: str) -> Iterator[None]:
        import adbc_driver_manager as adbc  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415

        try:
            yield
        # What the driver meets while it streams, pyarrow raises as OSError, and the
        # last version for Python 3.10 as ArrowInvalid.
        except (adbc.Error, OSError, pa.ArrowException) as exception:
            # With LOGLEVEL=debug the traceback has the driver's own words.
            logs.SECRETS.add(failures.values(str(exception)))
            found = failures.explain(
                getattr(exception, "sqlstate", None),
                str(exception),
                f"{subject} {self._place}",
            )
            if found is None:
                raise
            raise found from exception
