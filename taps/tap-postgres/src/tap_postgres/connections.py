"""Connections of a run, alone or several that see the same moment."""

from __future__ import annotations

import contextlib
import typing as t

from dativo_core.sql.pool import Pool

from tap_postgres.client import Client

if t.TYPE_CHECKING:
    from collections.abc import Iterator


class Connections(Pool[Client]):
    """Lends clients of one database."""

    @contextlib.contextmanager
    def snapshot(self, count: int) -> Iterator[list[Client]]:
        """Lend clients whose transactions see what that of the first one sees."""
        with contextlib.ExitStack() as open_now:

            def begin(snapshot: str = "") -> Client:
                client = open_now.enter_context(self.lend())
                open_now.enter_context(client.transaction(snapshot))
                return client

            first = begin()
            if count == 1:
                yield [first]
                return
            [[snapshot]] = first.ask("SELECT pg_export_snapshot()")
            yield [first, *(begin(snapshot) for _ in range(count - 1))]
