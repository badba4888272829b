"""How a stream of Postgres is read."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_postgres import full_load, incremental, queries
from tap_postgres.digesting import PostgresDigesting

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dativo_core.sql.comparing import Digesting
    from dativo_core.sql.dialect import Dialect
    from dativo_core.sql.reading import Event, FullLoad, Source
    from dativo_core.sql.relation import Column

    from tap_postgres.catalog import Table
    from tap_postgres.connections import Connections


@dataclass(frozen=True, slots=True)
class PostgresReader:
    """Reads one table through its pages and transactions."""

    connections: Connections
    table: Table

    @property
    def dialect(self) -> Dialect:
        """How Postgres spells names."""
        return queries.DIALECT

    @property
    def digesting(self) -> Digesting:
        """How Postgres digests values."""
        return PostgresDigesting(self.connections)

    def plan(
        self,
        source: Source,  # noqa: ARG002
        state: Mapping[str, t.Any],
        version: int,
    ) -> FullLoad:
        """Continue an interrupted load if that is safe, else begin one."""
        return full_load.plan(self.connections, self.table, state, version)

    def incremental(
        self, source: Source, cursor: Column, state: Mapping[str, t.Any]
    ) -> Iterator[Event]:
        """Read the row versions that no run before has read."""
        by = queries.Cursor.of(source.relation, cursor)
        with self.connections.lend() as client:
            yield from incremental.incremental(client, self.table, source, by, state)
