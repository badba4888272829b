#!/usr/bin/env python3
"""Move a table from Postgres with dlt and connectorx, as its documentation shows."""

from __future__ import annotations

import sys
from pathlib import Path

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table


def main(dsn: str, folder: str, table_format: str) -> None:
    """Load the table into a folder: `iceberg`, or `parquet` for plain files."""
    table = sql_table(credentials=dsn, table="orders", backend="connectorx")
    if table_format == "iceberg":
        table.apply_hints(table_format="iceberg")
    pipeline = dlt.pipeline(
        "bench",
        destination=filesystem(bucket_url=folder),
        dataset_name="bench",
        pipelines_dir=f"{folder}/.pipelines",
    )
    pipeline.run(table, loader_file_format="parquet", write_disposition="append")


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(encoding="utf-8"), *sys.argv[2:])
