"""The rows of a relation, digested by the database that holds them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from dativo_core.reconciling import DIGEST_DIGITS, SLICE_DIGITS, Slice

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from dativo_core.reconciling import Row
    from dativo_core.sql.reading import Source
    from dativo_core.sql.relation import Value

Ask: t.TypeAlias = "Callable[[str, str], Iterator[pa.RecordBatch]]"
"""Runs a query; its second argument names it in messages."""


class Digesting(t.Protocol):
    """How a database digests values, in SQL. All see one moment, within `asking()`."""

    def text(self, value: Value) -> str:
        """Return the text of a value as its RECORD has it, or a record separator."""

    def md5(self, texts: Sequence[str]) -> str:
        """Return the md5 of texts in UTF-8, a unit separator between them."""

    def number(self, md5: str, digits: int) -> str:
        """Return the first digits of an md5 as an integer."""

    def as_text(self, number: str) -> str:
        """Return an integer of any size as text."""

    def asking(self) -> AbstractContextManager[Ask]:
        """Open a transaction."""


def is_digestible(value: Value) -> bool:
    """Tell whether two systems print the value alike: no floats, no arrays."""
    kinds = value.schema.get("type") or ()
    return value.rendering != "float" and not {"array", "object"}.intersection(kinds)


@dataclass(frozen=True, slots=True)
class SqlSide:
    """One side of a comparison: a relation.

    Attributes:
        keys: The columns that name a row; the first of `source.columns`.
    """

    source: Source
    keys: tuple[str, ...]
    digesting: Digesting
    ask: Ask

    def slices(self) -> dict[str, Slice]:
        """Count and sum up, within the database."""
        total = self.digesting.as_text(f"sum({self._number})")
        query = (
            f"SELECT {self._slice} AS s, count(*) AS n, {total} AS d "  # noqa: S608 quoted
            f"FROM ({self._rows()}) digested GROUP BY {self._slice}"
        )
        return {
            str(name): Slice(int(rows), int(total))
            for name, rows, total in self._answer(query)
        }

    def rows(self, slices: Collection[str]) -> Iterable[Row]:
        """List the rows of some slices."""
        names = ", ".join(f"'{name}'" for name in slices)
        keys = [f"k{number}" for number in range(len(self.keys))]
        query = (
            f"SELECT {', '.join(keys)}, {self._number} AS d "  # noqa: S608 quoted
            f"FROM ({self._rows()}) digested WHERE {self._slice} IN ({names})"
        )
        for *key, digest in self._answer(query):
            yield tuple(map(str, key)), int(digest)

    def _rows(self) -> str:
        texts = [*map(self.digesting.text, self.source.columns.values())]
        keys = texts[: len(self.keys)]
        columns = [(text, f"k{number}") for number, text in enumerate(keys)]
        columns += [
            (self.digesting.md5(keys), "key_md5"),
            (self.digesting.md5(texts), "row_md5"),
        ]
        source = self.source
        return source.dialect.select(source.name, columns, source.where)

    @property
    def _slice(self) -> str:
        return f"substr(key_md5, 1, {SLICE_DIGITS})"

    @property
    def _number(self) -> str:
        return self.digesting.number("row_md5", DIGEST_DIGITS)

    def _answer(self, query: str) -> Iterator[tuple[t.Any, ...]]:
        for batch in self.ask(query, self.source.subject):
            yield from zip(*(c.to_pylist() for c in batch.columns), strict=True)
