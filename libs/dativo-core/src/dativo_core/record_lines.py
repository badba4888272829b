"""Render Arrow batches as Singer RECORD lines, column by column.

A Python loop over rows costs ten times more than the database does. Here each column
becomes JSON text in one call, and one more call joins the columns into lines.
"""

from __future__ import annotations

import functools
import json
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

Rendering: t.TypeAlias = t.Literal["json", "plain", "text", "float"]
"""How a column becomes JSON.

- `json`: integers, booleans, or strings that hold JSON already.
- `plain`: strings that need quotes, but never an escape (digits, dates, base64).
- `text`: any other string.
- `float`: floating-point numbers; NaN and infinity become strings.
"""

MAX_BLOCK_BYTES = 8_000_000
# A string array counts its bytes in 32 bits, and one byte may become six.
_WIDE_BYTES = 2**28
_CONTROLS = bytes(range(0x20))
_ESCAPED = b'\\"' + _CONTROLS
_SHORT_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all RECORD messages of a block share."""

    stream: str
    time_extracted: str
    version: int | None = None

    @property
    def head(self) -> str:
        """Everything before the record."""
        return f'{{"type":"RECORD","stream":{json.dumps(self.stream)},"record":'

    @property
    def tail(self) -> str:
        """Everything after the record, with the end of the line."""
        version = "" if self.version is None else f',"version":{self.version}'
        return f',"time_extracted":{json.dumps(self.time_extracted)}{version}}}\n'

    def lines(self, records: Iterable[bytes]) -> bytes:
        """Return records, which are JSON, as lines."""
        head, tail = self.head.encode(), self.tail.encode()
        return b"".join([head + record + tail for record in records])


@functools.lru_cache(maxsize=10_000)
def label(name: str) -> bytes:
    """Return what goes before a value of that name."""
    return json.dumps(name).encode() + b":"


def render(
    batch: pa.RecordBatch, renderings: Sequence[Rendering], envelope: Envelope
) -> Iterator[tuple[int, memoryview]]:
    """Yield blocks of whole lines, each with its number of records.

    A block stays near `MAX_BLOCK_BYTES` unless a single record is larger.
    """
    rows = max(1, _rows_of_a_block(batch, envelope))
    for start in range(0, batch.num_rows, rows):
        part = batch.slice(start, rows)
        yield part.num_rows, _block(part, renderings, envelope)


def _rows_of_a_block(batch: pa.RecordBatch, envelope: Envelope) -> int:
    names = sum(len(name) + 5 for name in batch.schema.names)
    fixed = len(envelope.head) + len(envelope.tail) + 2 + names
    values: int = 2 * batch.nbytes // max(1, batch.num_rows)
    return MAX_BLOCK_BYTES // (fixed + values)


def _block(
    batch: pa.RecordBatch, renderings: Sequence[Rendering], envelope: Envelope
) -> memoryview:
    import pyarrow as pa  # noqa: PLC0415 heavy, and taps start without it
    import pyarrow.compute as pc  # noqa: PLC0415

    string = pa.large_string() if batch.nbytes > _WIDE_BYTES else pa.string()
    pieces: list[t.Any] = []
    literal = envelope.head + "{"
    separator = ""
    for name, column, rendering in zip(
        batch.schema.names, batch.columns, renderings, strict=True
    ):
        before, values, after = _column(column, rendering, string)
        literal += f"{separator}{json.dumps(name)}:{before}"
        pieces += [pa.scalar(literal, string), values]
        literal, separator = after, ","
    pieces.append(pa.scalar(literal + "}" + envelope.tail, string))
    if not batch.num_columns:
        pieces.append(pa.array([""] * batch.num_rows, string))
    return _bytes(
        pc.binary_join_element_wise(*pieces, pa.scalar("", string)), batch.num_rows
    )


def _column(
    column: pa.Array, rendering: Rendering, string: pa.DataType
) -> tuple[str, pa.Array, str]:
    """Return what goes before, for and after each value of the column."""
    import pyarrow.compute as pc  # noqa: PLC0415

    values = pc.cast(column, string)
    if rendering == "float":
        values = _as_json_numbers(column, values)
    if rendering == "text":
        values = _escape(values)
    if rendering in {"json", "float"}:
        return "", pc.fill_null(values, "null"), ""
    # Quotes cost a pass of their own only where a null must go without them.
    if not values.null_count:
        return '"', values, '"'
    quote, nothing = (pc.cast(sign, string) for sign in ('"', ""))
    quoted = pc.binary_join_element_wise(quote, values, quote, nothing)
    return "", pc.fill_null(quoted, "null"), ""


def _as_json_numbers(numbers: pa.Array, values: pa.Array) -> pa.Array:
    import pyarrow.compute as pc  # noqa: PLC0415

    # JSON parsers read -0 as the integer 0.
    minus_zero = pc.equal(values, pc.cast("-0", values.type))
    if pc.any(minus_zero).as_py():
        values = pc.if_else(minus_zero, pc.cast("-0.0", values.type), values)
    finite = pc.is_finite(numbers)
    if not pc.any(pc.invert(finite)).as_py():
        return values
    infinite = pc.if_else(pc.greater(numbers, 0), '"Infinity"', '"-Infinity"')
    named = pc.if_else(pc.is_nan(numbers), '"NaN"', infinite)
    return pc.if_else(finite, values, pc.cast(named, values.type))


def _escape(values: pa.Array) -> pa.Array:
    import pyarrow.compute as pc  # noqa: PLC0415

    content = bytes(_bytes(values, len(values)))
    if len(content.translate(None, _ESCAPED)) == len(content):
        return values
    for code in _ESCAPED:
        if code in content:
            character = chr(code)
            escape = _SHORT_ESCAPES.get(character, f"\\u{code:04x}")
            values = pc.replace_substring(values, character, escape)
    return values


def _bytes(strings: pa.Array, rows: int) -> memoryview:
    """Return the characters of a string array as they lie in memory."""
    validity_offsets_data = strings.buffers()
    data = validity_offsets_data[2]
    if not rows or data is None:
        return memoryview(b"")
    wide = str(strings.type) == "large_string"
    offsets = memoryview(validity_offsets_data[1]).cast("b").cast("q" if wide else "i")
    first, last = offsets[strings.offset], offsets[strings.offset + rows]
    return memoryview(data)[first:last]
