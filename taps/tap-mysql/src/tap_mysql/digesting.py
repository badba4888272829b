"""How MySQL digests values, so that they can be compared with a copy of them."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from dativo_core.reconciling import NULL, SEPARATOR

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from dativo_core.sql.comparing import Ask
    from dativo_core.sql.pool import Pool
    from dativo_core.sql.relation import Value

    from tap_mysql.client import Client
    from tap_mysql.values import Described

# What is made of the bytes after they have come, done by the server instead.
_SHORT = (
    "REPLACE(IF(LOCATE('.', {c}), TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {c})), "
    "{c}), ' ', 'T')"
)
_EWKB = (
    "IF(ST_SRID({c}) = 0, ST_AsBinary({c}), CONCAT(SUBSTR(ST_AsBinary({c}), 1, 4), "
    "x'20', REVERSE(UNHEX(LPAD(HEX(ST_SRID({c})), 8, '0'))), "
    "SUBSTR(ST_AsBinary({c}), 6)))"
)
_TEXTS = {
    "flag": "CASE {c} WHEN 0 THEN 'false' WHEN 1 THEN 'true' ELSE {c} END",
    # The other side has moments as they stand in a line of JSON.
    "moment": f"CONCAT('\"', {_SHORT}, '\"')",
    "utc": f"CONCAT('\"', {_SHORT}, '+00:00\"')",
    "bytes": "REPLACE(TO_BASE64({c}), '\\n', '')",
    "geometry": f"REPLACE(TO_BASE64({_EWKB}), '\\n', '')",
}


@dataclass(frozen=True, slots=True)
class MySQLDigesting:
    """Digests values within the server.

    Attributes:
        described: What is made of the columns.
    """

    connections: Pool[Client]
    described: Mapping[str, Described]

    def text(self, value: Value) -> str:
        """Return the text of a value as its RECORD has it, or a record separator."""
        forms = {found.value.select: found.form for found in self.described.values()}
        made = _TEXTS.get(forms.get(value.select, ""), "{c}")
        text = made.replace("{c}", value.select)
        as_utf8 = f"CONVERT({text} USING utf8mb4)"
        return f"COALESCE({as_utf8}, {_code(NULL)})"

    def md5(self, texts: Sequence[str]) -> str:
        """Return the md5 of texts in UTF-8, a unit separator between them."""
        return f"MD5(CONCAT_WS({_code(SEPARATOR)}, {', '.join(texts)}))"

    def number(self, md5: str, digits: int) -> str:
        """Return the first digits of an md5 as an integer."""
        return f"CAST(CONV(SUBSTR({md5}, 1, {digits}), 16, 10) AS UNSIGNED)"

    def as_text(self, number: str) -> str:
        """Return an integer of any size as text."""
        return f"CAST({number} AS CHAR)"

    @contextlib.contextmanager
    def asking(self) -> Iterator[Ask]:
        """Open a transaction."""
        with self.connections.lend() as client, client.transaction():

            def ask(query: str, subject: str) -> Iterator[pa.RecordBatch]:
                return client.read(query, subject)

            yield ask


def _code(character: str) -> str:
    return f"_utf8mb4 x'{character.encode().hex()}'"
