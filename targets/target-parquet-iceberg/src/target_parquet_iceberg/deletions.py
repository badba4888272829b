"""Take the rows that the source has deleted out of a commit."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pyarrow.compute as pc

from target_parquet_iceberg.merge import last_by_key
from target_parquet_iceberg.metadata import DELETED_AT
from target_parquet_iceberg.plan import Deletes

if t.TYPE_CHECKING:
    from target_parquet_iceberg.table import Commit


def hard(commit: Commit, deletes: Deletes) -> Commit:
    """Return the commit with the rows that live on, and the keys of the others.

    What comes last for a key decides: a row may be deleted and made anew.
    """
    if commit.rows is None or deletes is Deletes.NONE:
        return commit
    rows = last_by_key(commit.rows, commit.keys)
    is_gone = pc.is_valid(rows[DELETED_AT.name])
    gone = rows.filter(is_gone).select(list(commit.keys))
    live = rows.filter(pc.invert(is_gone))
    if deletes is Deletes.HARD_BY_MARK:
        live = live.drop_columns([DELETED_AT.name])
    return replace(commit, rows=live, gone=gone if gone.num_rows else None)
