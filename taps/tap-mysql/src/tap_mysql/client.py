"""Ask MySQL through PyMySQL: small questions as rows, tables as Arrow batches."""

from __future__ import annotations

import contextlib
import threading
import typing as t

from dativo_core import logs

from tap_mysql import failures, queries

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from pymysql.connections import Connection

    from tap_mysql.rules import Form

Row: t.TypeAlias = "tuple[t.Any, ...]"

_ROWS = 20_000
_PATIENCE_SECONDS = 2.0


class Client:
    """One connection.

    Args:
        arguments: What PyMySQL needs to connect.
        place: The server in words, for messages.
        logger: Gets each statement at debug level.
        session_sqls: Statements for each new connection; ours come after them.
        by_columns: Whether to read tables column by column.
    """

    def __init__(
        self,
        arguments: Mapping[str, t.Any],
        place: str,
        logger: logging.Logger,
        *,
        session_sqls: Sequence[str] = (),
        by_columns: bool = True,
    ) -> None:
        self._arguments = arguments
        self._place = place
        self._logger = logger
        self._session_sqls = [*session_sqls, *queries.SESSION]
        self._by_columns = by_columns
        self._connection: Connection[t.Any] | None = None
        self._reader: int | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Read from one snapshot, and change nothing."""
        for statement in queries.BEGIN:
            self.ask(statement)
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        if self._reader not in {None, threading.get_ident()}:
            # It does not let go of the connection, and none may be used by two.
            self.forget()
        elif self._connection is not None:
            # The first error counts.
            with contextlib.suppress(Exception):
                self.ask("ROLLBACK")

    def ask(self, sql: str) -> list[Row]:
        """Return all rows of a small answer."""
        self._logger.debug("Asking: %s", queries.DIALECT.without_literals(sql))
        connection = self._connect()
        with self._explained("Asking"), connection.cursor() as cursor:
            try:
                cursor.execute(sql)
            finally:
                if not connection.open:
                    # The next one who asks gets another.
                    self._connection = None
            return list(cursor.fetchall())

    def read(
        self,
        sql: str,
        subject: str,
        forms: Mapping[str, Form] | None = None,
        *,
        native: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """Stream an answer of any size.

        Args:
            sql: The query.
            subject: What it reads, in messages.
            forms: What to make of each column; all become text if not given.
            native: Leave bytes as bytes, for a file; else they become base64.
        """
        from tap_mysql import columns, wire  # noqa: PLC0415 not needed for --about

        self._logger.debug("%s: %s", subject, queries.DIALECT.without_literals(sql))
        connection = self._connect()
        is_over = False
        self._reader = threading.get_ident()
        try:
            with self._explained(subject):
                blocks = (
                    wire.by_columns(connection, sql)
                    if self._by_columns
                    else wire.by_rows(connection, sql, _ROWS)
                )
                for block in blocks:
                    if forms is None:
                        yield columns.texts(block)
                    else:
                        yield columns.batch(block, forms, native=native)
            is_over = True
        finally:
            self._reader = None
            if not is_over:
                # There may be more rows on their way, which nobody will read.
                self._drop()

    def cancel(self) -> None:
        """Let the server stop its present statement; from any thread."""
        # A server that is gone does not answer.
        asking = threading.Thread(target=self._cancel, daemon=True)
        asking.start()
        asking.join(_PATIENCE_SECONDS)

    def _cancel(self) -> None:
        import pymysql  # noqa: PLC0415 not needed for --about

        with contextlib.suppress(Exception):
            session = t.cast("t.Any", self._connection).thread_id()
            other = pymysql.connect(**self._arguments)
            with contextlib.closing(other), other.cursor() as cursor:
                cursor.execute(f"KILL QUERY {session}")

    def forget(self) -> None:
        """Leave the connection alone for good, since another thread is in it."""
        self._connection = None

    def close(self) -> None:
        """Leave the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            t.cast("t.Any", connection)._force_close()  # noqa: SLF001 without a word

    def _connect(self) -> Connection[t.Any]:
        if self._connection is None:
            import pymysql  # noqa: PLC0415 not needed for --about

            with self._explained("Connecting to"):
                connection = pymysql.connect(**self._arguments)
            # One that is not prepared must not be used.
            with contextlib.ExitStack() as unprepared:
                unprepared.callback(connection.close)
                with (
                    self._explained("Preparing the session on"),
                    connection.cursor() as cursor,
                ):
                    for statement in self._session_sqls:
                        cursor.execute(statement)
                unprepared.pop_all()
            self._connection = connection
        return self._connection

    @contextlib.contextmanager
    def _explained(self, subject: str) -> Iterator[None]:
        import pymysql  # noqa: PLC0415 not needed for --about

        try:
            yield
        # The socket's own errors come through where rows are read column by column.
        except (pymysql.MySQLError, OSError, RuntimeError) as exception:
            # With LOGLEVEL=debug the traceback has the server's own words.
            logs.SECRETS.add(failures.values(str(exception)))
            code, text = failures.parts(exception)
            found = failures.explain(code, text, f"{subject} {self._place}")
            if found is None:
                raise
            raise found from exception
