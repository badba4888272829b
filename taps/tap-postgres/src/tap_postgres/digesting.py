"""How Postgres digests values, so that they can be compared with a copy of them."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from dativo_core.reconciling import NULL, SEPARATOR

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dativo_core.sql.comparing import Ask
    from dativo_core.sql.relation import Value

    from tap_postgres.connections import Connections


@dataclass(frozen=True, slots=True)
class PostgresDigesting:
    """Digests values within the server."""

    connections: Connections

    def text(self, value: Value) -> str:
        """Return the text of a value as its RECORD has it, or a record separator."""
        # A cast would take the trailing blanks of char(n), and concat() say t for true.
        is_text = value.rendering == "text"
        text = f"concat({value.select})" if is_text else f"({value.select})::text"
        return f"CASE WHEN ({value.select}) IS NULL THEN {_code(NULL)} ELSE {text} END"

    def md5(self, texts: Sequence[str]) -> str:
        """Return the md5 of texts in UTF-8, a unit separator between them."""
        joined = f" || {_code(SEPARATOR)} || ".join(texts)
        return f"md5(convert_to({joined}, 'UTF8'))"

    def number(self, md5: str, digits: int) -> str:
        """Return the first digits of an md5 as an integer."""
        return f"('x' || substr({md5}, 1, {digits}))::bit({4 * digits})::int8"

    def as_text(self, number: str) -> str:
        """Return an integer of any size as text."""
        return f"({number})::text"

    @contextlib.contextmanager
    def asking(self) -> Iterator[Ask]:
        """Open a transaction."""
        with self.connections.lend() as client, client.transaction():
            yield client.read


def _code(character: str) -> str:
    return f"chr({ord(character)})"
