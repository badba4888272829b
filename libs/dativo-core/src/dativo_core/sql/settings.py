"""Settings that mean the same in every tap of a SQL database."""

from __future__ import annotations

from singer_sdk import typing as th

DEFAULT_REPLICATION_METHOD = th.Property(
    "default_replication_method",
    th.StringType,
    default="FULL_TABLE",
    allowed_values=["FULL_TABLE", "INCREMENTAL"],
    description="Method of streams for which the catalog names none.",
)
STREAM_OPTIONS = th.Property(
    "stream_options",
    th.ObjectType(
        additional_properties=th.ObjectType(
            th.Property("custom_where_clauses", th.ArrayType(th.StringType)),
            additional_properties=False,
        )
    ),
    description="Options by stream name: `custom_where_clauses`, a list of SQL "
    "conditions that rows must meet, all of them.",
)
STATE_INTERVAL_ROWS = th.Property(
    "state_interval_rows",
    th.IntegerType(minimum=1),
    default=100_000,
    description="About how many rows lie between two STATE messages.",
)
PARALLEL_CHUNKS = th.Property(
    "parallel_chunks",
    th.IntegerType(minimum=1),
    default=1,
    description="How many chunks of a table a full load reads at the same time, each "
    "on a connection of its own; all see the same moment.",
)
PARALLEL_TABLES = th.Property(
    "parallel_tables",
    th.IntegerType(minimum=1),
    default=1,
    description="How many tables are read at the same time, each on connections of its "
    "own.",
)
BATCH_CONFIG = th.Property(
    "batch_config",
    th.ObjectType(
        th.Property(
            "encoding",
            th.ObjectType(
                th.Property("format", th.StringType, allowed_values=["parquet"]),
                th.Property(
                    "compression",
                    th.StringType,
                    allowed_values=["zstd", "snappy", "gzip", "none"],
                ),
                additional_properties=False,
            ),
        ),
        th.Property(
            "storage",
            th.ObjectType(
                th.Property("root", th.StringType),
                th.Property("prefix", th.StringType),
                th.Property(
                    "params",
                    th.ObjectType(additional_properties=True),
                    secret=True,
                ),
                additional_properties=False,
            ),
        ),
        th.Property("batch_size", th.IntegerType(minimum=1)),
        additional_properties=False,
    ),
    description="Write rows to Parquet files and send BATCH messages, not records: "
    "`encoding: {format: parquet, compression: zstd}`, `storage: {root, prefix, "
    "params}` with the folder `_staging` of the target's warehouse as root, and "
    "`batch_size`, the rows of a file (1,000,000). Rows that no column can hold "
    "still come as records. Not with stream maps or flattening.",
)
