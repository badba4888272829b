#!/usr/bin/env python3
"""Move a table from Postgres into an Iceberg table with dlt, as its manual says.

Run by the Python that dlt is installed for.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before dlt is there, since it reports as soon as it is.
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from data import TABLE
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table


def main(dsn: str, folder: Path) -> None:
    """Read with ConnectorX, its fastest backend; append to the Iceberg table."""
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "pipelines"),
        destination=filesystem(bucket_url=str(folder / "lake")),
        dataset_name="lake",
    )
    rows = sql_table(dsn, TABLE, backend="connectorx")
    done = pipeline.run(rows, table_format="iceberg", write_disposition="append")
    done.raise_on_failed_jobs()


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2]))
