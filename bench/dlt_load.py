#!/usr/bin/env python3
"""Move tables from a database with dlt, as its documentation shows."""

from __future__ import annotations

import sys
from pathlib import Path

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_database


def main(dsn: str, names: str, folder: str, backend: str, table_format: str) -> None:
    """Load the tables into a folder: `iceberg`, or `parquet` for plain files."""
    dsn = dsn.replace("mysql://", "mysql+pymysql://")
    source = sql_database(dsn, table_names=names.split(","), backend=backend)
    if table_format == "iceberg":
        for table in source.resources.values():
            table.apply_hints(table_format="iceberg")
    pipeline = dlt.pipeline(
        "bench",
        destination=filesystem(bucket_url=folder),
        dataset_name="bench",
        pipelines_dir=f"{folder}/.pipelines",
    )
    pipeline.run(source, loader_file_format="parquet", write_disposition="append")


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(encoding="utf-8"), *sys.argv[2:])
