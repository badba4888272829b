"""How a stream of MySQL is read."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from dativo_core.errors import ConfigurationError

from tap_mysql import full_load, incremental, queries
from tap_mysql.digesting import MySQLDigesting

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dativo_core.sql.comparing import Digesting
    from dativo_core.sql.dialect import Dialect
    from dativo_core.sql.reading import Event, FullLoad, Source
    from dativo_core.sql.relation import Column

    from tap_mysql.catalog import Table
    from tap_mysql.connections import Connections


@dataclass(frozen=True, slots=True)
class MySQLReader:
    """Reads one table through its key and its cursor.

    Attributes:
        look_back_seconds: How long a transaction of others may stay open, where the
            server does not show it.
    """

    connections: Connections
    table: Table
    look_back_seconds: int

    @property
    def dialect(self) -> Dialect:
        """How MySQL spells names."""
        return queries.DIALECT

    @property
    def digesting(self) -> Digesting:
        """How MySQL digests values."""
        return MySQLDigesting(self.connections, self.table.described)

    def plan(
        self,
        source: Source,
        state: Mapping[str, t.Any],
        version: int,
    ) -> FullLoad:
        """Continue an interrupted load if that is safe, else begin one."""
        table = self.table
        if not source.columns:
            msg = f"The catalog selects no column of '{source.relation.stream}'."
            raise ConfigurationError(msg, hint="Select one, or deselect the stream.")
        # A catalog that is older than the key may leave it out.
        if not {key.name for key in table.path}.issubset(source.columns):
            table = replace(table, path=())
        return full_load.plan(self.connections, table, state, version)

    def incremental(
        self, source: Source, cursor: Column, state: Mapping[str, t.Any]
    ) -> Iterator[Event]:
        """Read what may have changed since the bookmark."""
        key = queries.Key.of(
            self.table.relation.name,
            cursor,
            nullable=cursor.name in self.table.nullable,
        )
        with self.connections.lend() as client:
            yield from incremental.incremental(
                client, self.table, source, key, state, self.look_back_seconds
            )
