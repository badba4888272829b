"""Take the rows that the source has deleted out of a commit."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from target_parquet_iceberg.evolution import conform, merge
from target_parquet_iceberg.merge import hits, last_by_key
from target_parquet_iceberg.metadata import DELETED_AT
from target_parquet_iceberg.plan import Deletes

if t.TYPE_CHECKING:
    from target_parquet_iceberg.table import Commit


def stored(columns: pa.Schema, deletes: Deletes) -> pa.Schema:
    """Return the columns of rows that their table has, too."""
    if deletes is not Deletes.HARD_BY_MARK:
        return columns
    return columns.remove(columns.get_field_index(DELETED_AT.name))


def hard(stream: str, commit: Commit) -> Commit:
    """Return the commit with the rows that live on, and the keys of the others.

    What comes last for a key decides: a row may be deleted and made anew.
    """
    if commit.deletes is Deletes.NONE:
        return commit
    earlier = commit.written.gone if commit.written is not None else None
    if commit.rows is None:
        return replace(commit, gone=earlier)
    rows = last_by_key(commit.rows, commit.keys)
    is_gone = pc.is_valid(rows[DELETED_AT.name])
    keys = rows.select(list(commit.keys))
    gone = keys.filter(is_gone)
    if earlier is not None:
        # Either may be wider: a SCHEMA came between them.
        kinds = merge(stream, earlier.schema, keys.schema)
        earlier, keys, gone = (conform(part, kinds) for part in (earlier, keys, gone))
        gone = pa.concat_tables([earlier.filter(pc.invert(hits(earlier, keys))), gone])
    live = rows.filter(pc.invert(is_gone))
    if commit.deletes is Deletes.HARD_BY_MARK:
        live = live.drop_columns([DELETED_AT.name])
    return replace(commit, rows=live, gone=gone if gone.num_rows else None)
