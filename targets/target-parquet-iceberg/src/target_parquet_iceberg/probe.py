"""See whether this PyIceberg still is what our commits are built on.

They use parts below its public API, tested with one version. With another one a small
table is written and read back first: a wrong commit would be found by readers, later.
PyIceberg's public path is no way out: it retries on top of another run, makes three
snapshots of an upsert, and its deletes rewrite whole files.
"""

from __future__ import annotations

import typing as t
from importlib.metadata import version

import pyarrow as pa
from dativo_core.errors import ConfigurationError
from dativo_core.scratch import Scratch

TESTED = "0.12.0"


def check(found: str | None = None) -> None:
    """Make sure that the installed PyIceberg can be used.

    Args:
        found: Its version, if not the installed one.

    Raises:
        ConfigurationError: if it cannot.
    """
    found = found or version("pyiceberg")
    if found == TESTED:
        return
    try:
        rows = _written_and_read()
    except Exception as error:  # whatever has changed
        raise _unusable(found, f"{type(error).__name__}: {error}") from error
    if rows != EXPECTED:
        raise _unusable(found, f"it reads {rows}")


EXPECTED = [(1, "new"), (2, "old"), (4, "new")]


def _written_and_read() -> list[tuple[t.Any, ...]]:
    from target_parquet_iceberg.catalogs import open_catalog  # noqa: PLC0415 see below
    from target_parquet_iceberg.messages import Schema  # noqa: PLC0415
    from target_parquet_iceberg.plan import plan  # noqa: PLC0415
    from target_parquet_iceberg.settings import with_defaults  # noqa: PLC0415

    # Here, so that a name that is gone is one of the things that may have changed.
    from target_parquet_iceberg.snapshots import (  # noqa: PLC0415
        CostRule,
        SnapshotWriter,
    )
    from target_parquet_iceberg.transactions import LightTransaction  # noqa: PLC0415

    properties = {"id": {"type": "integer"}, "v": {"type": "string"}}
    with Scratch() as folder:
        settings = with_defaults({"warehouse": str(folder)})
        with open_catalog(settings) as catalog:
            catalog.create_namespace("probe")
            columns = plan(Schema("t", {"properties": properties}, ("id",)), settings)
            fields = [(column.name, column.type) for column in columns.columns]
            table = catalog.create_table("probe.t", pa.schema(fields))
            # The second step is to write position deletes.
            by_deletes = CostRule(small_bytes=0, hit_ratio=1.0)
            steps = (([1, 2, 3], "old", CostRule()), ([1, 4], "new", by_deletes))
            for numbers, word, rule in steps:
                ids = pa.array(numbers, pa.int64())
                rows = pa.table({"id": ids, "v": [word] * len(numbers)})
                gone = pa.table({"id": pa.array([3], pa.int64())})
                writer = SnapshotWriter(LightTransaction(table), rule=rule)
                writer.commit(writer.upsert(rows, ["id"], gone), {"step": word})
                writer.send()
            read = catalog.load_table("probe.t").scan().to_arrow().sort_by("id")
            return [(row["id"], row["v"]) for row in read.to_pylist()]


def _unusable(found: str, why: str) -> ConfigurationError:
    what = f"PyIceberg {found} does not do what this version needs ({why})."
    return ConfigurationError(what, hint=f"Install pyiceberg=={TESTED}.")
