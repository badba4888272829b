"""Read how Parquet files are to be written out of a table's properties."""

from __future__ import annotations

import inspect
import typing as t
from functools import cache
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import TableProperties

if t.TYPE_CHECKING:
    from collections.abc import Mapping

BLOOM_ENABLED = "write.parquet.bloom-filter-enabled.column."
BLOOM_RATE = "write.parquet.bloom-filter-fpp.column."
BLOOM_RATE_DEFAULT = 0.01


def writer_options(properties: Mapping[str, str]) -> dict[str, t.Any]:
    """Translate table properties to the arguments of pyarrow's ParquetWriter."""
    number = numbers(properties)
    codec = properties.get(TableProperties.PARQUET_COMPRESSION, "zstd")
    level = properties.get(TableProperties.PARQUET_COMPRESSION_LEVEL)
    return {
        "compression": "none" if codec == "uncompressed" else codec,
        "compression_level": None if level is None else int(level),
        "data_page_size": number(
            TableProperties.PARQUET_PAGE_SIZE_BYTES,
            TableProperties.PARQUET_PAGE_SIZE_BYTES_DEFAULT,
        ),
        "dictionary_pagesize_limit": number(
            TableProperties.PARQUET_DICT_SIZE_BYTES,
            TableProperties.PARQUET_DICT_SIZE_BYTES_DEFAULT,
        ),
        "max_rows_per_page": number(
            TableProperties.PARQUET_PAGE_ROW_LIMIT,
            TableProperties.PARQUET_PAGE_ROW_LIMIT_DEFAULT,
        ),
        "store_decimal_as_integer": True,
        "write_page_index": True,
    }


@cache
def known_options() -> frozenset[str]:
    """Return the arguments that this pyarrow's ParquetWriter takes."""
    named = frozenset(inspect.signature(pq.ParquetWriter.__init__).parameters)
    # Version 25, the last for Python 3.10, takes one that it does not name.
    try:
        with pq.ParquetWriter(BytesIO(), pa.schema([]), bloom_filter_options=None):
            return named | {"bloom_filter_options"}
    except TypeError:
        return named


def bloom_columns(properties: Mapping[str, str]) -> dict[str, float]:
    """Return the columns that want a bloom filter, and its rate of false positives."""
    return {
        key.removeprefix(BLOOM_ENABLED): float(
            properties.get(
                BLOOM_RATE + key.removeprefix(BLOOM_ENABLED), BLOOM_RATE_DEFAULT
            )
        )
        for key, value in properties.items()
        if key.startswith(BLOOM_ENABLED) and value == "true"
    }


def has_bloom_filter(kind: pa.DataType) -> bool:
    """Tell whether engines look up values of a type in bloom filters."""
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind))


def numbers(properties: Mapping[str, str]) -> t.Callable[[str, int], int]:
    """Return a function that reads a number, or its default."""
    return lambda name, default: int(properties.get(name, default))
