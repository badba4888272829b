"""Connections of a run, alone or several that see the same moment."""

from __future__ import annotations

import contextlib
import typing as t

from dativo_core.errors import CredentialsError, TryLaterError
from dativo_core.sql.pool import Pool

from tap_mysql import queries
from tap_mysql.client import Client

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator


class Connections(Pool[Client]):
    """Lends clients of one server.

    Args:
        connect: Makes another one.
        logger: Is told where only one connection can be had.
    """

    def __init__(self, connect: Callable[[], Client], logger: logging.Logger) -> None:
        super().__init__(connect)
        self._logger = logger

    @contextlib.contextmanager
    def snapshot(self, table: str, count: int) -> Iterator[list[Client]]:
        """Lend clients whose transactions see the same rows of a table.

        MySQL cannot share a snapshot. So nobody may write to the table while the
        transactions begin; where that cannot be had, there is one client only.
        """
        with contextlib.ExitStack() as open_now:
            clients = [open_now.enter_context(self.lend()) for _ in range(count)]
            with self._unchanged(table, alone=count == 1) as is_still:
                for client in clients if is_still else clients[:1]:
                    open_now.enter_context(client.transaction())
            yield clients if is_still else clients[:1]

    @contextlib.contextmanager
    def _unchanged(self, table: str, *, alone: bool) -> Iterator[bool]:
        if alone:
            yield True
            return
        with self.lend() as guard:
            is_locked = self._lock(guard, table)
            try:
                yield is_locked
            finally:
                guard.ask(queries.UNLOCK)
                guard.ask(queries.USUAL_PATIENCE)

    def _lock(self, guard: Client, table: str) -> bool:
        try:
            guard.ask(queries.LOCK_PATIENCE)
            guard.ask(queries.lock(table))
        except (CredentialsError, TryLaterError) as error:
            self._logger.warning(
                "%s is read on one connection: it could not be locked for a moment. %s",
                table,
                error.what,
            )
            return False
        return True
