"""Make Arrow columns with the table's values of the bytes that the server sends."""

from __future__ import annotations

import typing as t

import pyarrow as pa
import pyarrow.compute as pc
from dativo_core.errors import ConfigurationError
from dativo_core.typed_columns import recorded

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_mysql.rules import Form

_SRID_BYTES = 4
_EWKB_HAS_SRID = 0x20000000
_LITTLE_ENDIAN = 1


def batch(
    raw: Sequence[pa.Array], forms: Mapping[str, Form], *, native: bool
) -> pa.RecordBatch:
    """Return a batch of values.

    Args:
        raw: A binary array for each column.
        forms: By the columns' names, what to make of them.
        native: Leave bytes as bytes, for a file; else they become base64.

    Raises:
        ConfigurationError: Text is not UTF-8, though the server was asked for it.
    """
    made = [_made(name, form, raw[n]) for n, (name, form) in enumerate(forms.items())]
    columns = made if native else [recorded(column) for column in made]
    return pa.RecordBatch.from_arrays(columns, names=list(forms))


def texts(raw: Sequence[pa.Array]) -> pa.RecordBatch:
    """Return a batch of texts, as they came."""
    columns = [column.cast(pa.string()) for column in raw]
    return pa.RecordBatch.from_arrays(columns, names=[str(n) for n in range(len(raw))])


def _made(name: str, form: Form, raw: pa.Array) -> pa.Array:
    try:
        return _MAKERS[form](raw)
    except pa.ArrowInvalid as error:
        msg = f"Column '{name}' has a value that is no {form}."
        raise ConfigurationError(msg, hint="Correct it, or deselect it.") from error


def _text(raw: pa.Array) -> pa.Array:
    # The cast makes sure that it is UTF-8.
    return raw.cast(pa.string())


def _digits(raw: pa.Array) -> pa.Array:
    return raw.cast(pa.string(), safe=False)


def _double(raw: pa.Array) -> pa.Array:
    return _digits(raw).cast(pa.float64())


def _float(raw: pa.Array) -> pa.Array:
    return _double(raw).cast(pa.float32())


def _flag(raw: pa.Array) -> pa.Array:
    digits = _digits(raw)
    named = pc.if_else(pc.equal(digits, "0"), "false", digits)
    return pc.if_else(pc.equal(digits, "1"), "true", named)


def _moment(raw: pa.Array) -> pa.Array:
    return pc.replace_substring(_digits(raw), " ", "T", max_replacements=1)


def _utc(raw: pa.Array) -> pa.Array:
    zone = pa.scalar("+00:00", pa.string())
    return pc.binary_join_element_wise(_moment(raw), zone, "")


def _bytes(raw: pa.Array) -> pa.Array:
    return raw


def _geometry(raw: pa.Array) -> pa.Array:
    values = [None if value is None else wkb(value) for value in raw.to_pylist()]
    return pa.array(values, pa.binary())


def wkb(stored: bytes) -> bytes:
    """Return a stored geometry as WKB, or as EWKB if it has a reference system."""
    srid, plain = stored[:_SRID_BYTES], stored[_SRID_BYTES:]
    if not any(srid) or plain[0] != _LITTLE_ENDIAN:
        return plain
    kind = int.from_bytes(plain[1:5], "little") | _EWKB_HAS_SRID
    return plain[:1] + kind.to_bytes(4, "little") + srid + plain[5:]


_MAKERS: Mapping[str, Callable[[pa.Array], pa.Array]] = {
    "digits": _digits,
    "text": _text,
    "float": _float,
    "double": _double,
    "flag": _flag,
    "moment": _moment,
    "utc": _utc,
    "bytes": _bytes,
    "geometry": _geometry,
}
