"""The settings of the target: names, meanings and defaults."""

from __future__ import annotations

import typing as t

from singer_sdk import typing as th

LOAD_METHODS = ["upsert", "append-only", "overwrite"]
DELETE_FILES = ["position", "equality"]
NESTED = ["struct", "json"]
ON_TYPE_CONFLICT = ["widen", "new_column", "json", "dead_letter", "fail"]

_RATIO = th.NumberType(minimum=0, maximum=1)
_COUNT = th.IntegerType(minimum=0)
_OWN_LIMITS = th.ObjectType(
    th.Property("max_ratio", _RATIO),
    th.Property("min_sample", _COUNT),
    th.Property("max_records", _COUNT),
    additional_properties=False,
)
_DEAD_LETTER = th.ObjectType(
    th.Property(
        "path",
        th.StringType,
        description="Folder or s3:// URL. Default: <warehouse>/_dead_letters.",
    ),
    th.Property(
        "table",
        th.BooleanType,
        default=True,
        description=(
            "Keep them in Iceberg tables <table>__dlq as well, where format is iceberg."
        ),
    ),
    th.Property(
        "max_ratio",
        _RATIO,
        default=0.01,
        description="Stop with exit code 65 beyond this part of a stream's records.",
    ),
    th.Property(
        "min_sample",
        _COUNT,
        default=1000,
        description="Records of a stream to see before max_ratio counts.",
    ),
    th.Property(
        "max_records",
        _COUNT,
        default=10_000,
        description="Stop with exit code 65 beyond this many dead letters of a stream.",
    ),
    additional_properties=False,
)
_MAINTENANCE = th.ObjectType(
    th.Property(
        "enabled",
        th.BooleanType,
        default=True,
        description="Look after the tables of a run at its end.",
    ),
    th.Property(
        "budget_seconds",
        th.NumberType(minimum=0),
        default=5,
        description="Begin nothing more after this time.",
    ),
    th.Property(
        "budget_bytes",
        th.IntegerType(minimum=0),
        default=256 * 2**20,
        description="Rewrite no more data than this at the end of a run.",
    ),
    th.Property(
        "keep_snapshots",
        th.IntegerType(minimum=1),
        default=10,
        description="Keep at least so many snapshots of a table.",
    ),
    th.Property(
        "keep_days",
        th.NumberType(minimum=0),
        default=1,
        description="Keep what readers saw within this time.",
    ),
    th.Property(
        "max_snapshots",
        th.IntegerType(minimum=1),
        default=100,
        description="With more snapshots than this, those of the last hour are enough.",
    ),
    th.Property(
        "orphan_hours",
        th.NumberType(minimum=24),
        default=72,
        description="Delete files that no table refers to after this time.",
    ),
    th.Property(
        "load_days",
        th.NumberType(minimum=1),
        default=7,
        description="Give up a full load that has not gone on for this time.",
    ),
    additional_properties=False,
)
_STORAGE = th.ObjectType(
    th.Property("endpoint", th.StringType, description="URL of the S3 server."),
    th.Property(
        "path_style",
        th.BooleanType,
        description=(
            "Whether the bucket is in the path of URLs, not in the host name. Default: "
            "with an endpoint."
        ),
    ),
    th.Property(
        "ca_file",
        th.StringType,
        description="PEM file of the CA that signed the server's certificate.",
    ),
    th.Property(
        "request_checksum_calculation",
        th.StringType(allowed_values=["when_supported", "when_required"]),
        description=(
            "With when_required, uploads carry no checksum trailers: older MinIO and "
            "other servers refuse them with HTTP 411 or 400."
        ),
    ),
    th.Property("access_key_id", th.StringType, secret=True),
    th.Property("secret_access_key", th.StringType, secret=True),
    th.Property("session_token", th.StringType, secret=True),
    th.Property("region", th.StringType),
    additional_properties=True,
)

_PROPERTIES = th.PropertiesList(
    th.Property(
        "warehouse",
        th.StringType,
        default="warehouse",
        title="Warehouse",
        description="Where tables live: a folder or s3://bucket/prefix.",
    ),
    th.Property(
        "format",
        th.StringType(allowed_values=["iceberg", "parquet"]),
        default="iceberg",
        title="Format",
        description="Iceberg tables, or plain Parquet files in a Hive layout.",
    ),
    th.Property(
        "namespace",
        th.StringType,
        default="lake",
        title="Namespace",
        description="Namespace of the tables in the catalog, folder of Parquet files.",
    ),
    th.Property(
        "catalog",
        th.ObjectType(additional_properties=True),
        title="Catalog",
        secret=True,
        description=(
            "PyIceberg catalog properties, passed through. Default: a SQLite catalog "
            "named dativo at <warehouse>/catalog.db."
        ),
    ),
    th.Property(
        "storage_options",
        _STORAGE,
        title="Storage options",
        description=(
            "Access to S3 or MinIO; PyIceberg's own names (s3.*) are taken too."
        ),
    ),
    th.Property(
        "load_method",
        th.StringType(allowed_values=LOAD_METHODS),
        title="Load method",
        description=(
            "Default: full loads that carry a version replace the table when they are "
            "whole; else upsert with key properties, append-only without."
        ),
    ),
    th.Property(
        "hard_delete",
        th.BooleanType,
        default=False,
        title="Hard delete",
        description=(
            "Delete the rows whose records carry _sdc_deleted_at, instead of storing "
            "that time with them. Appends keep every record."
        ),
    ),
    th.Property(
        "delete_files",
        th.StringType(allowed_values=DELETE_FILES),
        default="position",
        title="Delete files",
        description=(
            "What upserts write for rows in large files: their positions (position), "
            "or their keys (equality). Equality deletes cost the writer nothing and "
            "every reader a join; DuckDB, PyIceberg, Polars, Daft and Snowflake cannot "
            "read them, and only another engine can compact them."
        ),
    ),
    th.Property(
        "nested",
        th.StringType(allowed_values=NESTED),
        default="struct",
        title="Nested",
        description=(
            "What objects and arrays of a known shape become: typed columns (struct), "
            "or the JSON text that came (json). Those of no known shape are JSON text."
        ),
    ),
    th.Property(
        "completion",
        th.StringType(allowed_values=["evidence", "eof"]),
        default="evidence",
        title="Completion",
        description=(
            "What proves that a full load is complete: the tap's marker or final STATE "
            "(evidence), or just the end of the input (eof)."
        ),
    ),
    th.Property(
        "on_type_conflict",
        th.StringType(allowed_values=ON_TYPE_CONFLICT),
        default="widen",
        title="On type conflict",
        description=(
            "When a column's type has changed and cannot be widened: stop (widen), "
            "store the values in a new column `<name>__<type>` (new_column) or as JSON "
            "text in `<name>__json` (json), or keep the table's type and send what "
            "does not fit to the dead letters (dead_letter). With fail, a change that "
            "could be widened stops the run too."
        ),
    ),
    th.Property(
        "streams",
        th.ObjectType(
            additional_properties=th.ObjectType(
                th.Property("table", th.StringType),
                th.Property("load_method", th.StringType(allowed_values=LOAD_METHODS)),
                th.Property("hard_delete", th.BooleanType),
                th.Property("delete_files", th.StringType(allowed_values=DELETE_FILES)),
                th.Property("nested", th.StringType(allowed_values=NESTED)),
                th.Property("key_properties", th.ArrayType(th.StringType)),
                th.Property("partition_by", th.ArrayType(th.StringType)),
                th.Property("sort_by", th.ArrayType(th.StringType)),
                th.Property("properties", th.ObjectType(additional_properties=True)),
                th.Property("dead_letter", _OWN_LIMITS),
                th.Property(
                    "on_type_conflict", th.StringType(allowed_values=ON_TYPE_CONFLICT)
                ),
                additional_properties=False,
            )
        ),
        title="Streams",
        description=(
            "Overrides for streams by glob: table, load_method, hard_delete, "
            "delete_files, nested, key_properties, on_type_conflict; partition_by (for "
            "example [region, 'bucket(16, id)', 'day(created_at)']), sort_by (for "
            "example [id, '-updated_at']) and properties of the table; "
            "dead_letter (max_ratio, min_sample, max_records)."
        ),
    ),
    th.Property(
        "contracts",
        th.StringType,
        title="Contracts",
        description=(
            "Folder of data contracts (ODCS 3). Columns whose classification is not "
            "public or internal, or that have the tag pii, are masked in dead letters."
        ),
    ),
    th.Property(
        "validate_records",
        th.BooleanType,
        default=True,
        title="Validate records",
        description=(
            "Send records to the dead letters that break their SCHEMA: required, null, "
            "enum, const, formats, additionalProperties. If false, only values that "
            "their column cannot hold go there."
        ),
    ),
    th.Property(
        "max_line_bytes",
        th.IntegerType(minimum=1024),
        default=64 * 2**20,
        title="Max line bytes",
        description=(
            "Longer lines are dead letters, of which only the beginning is kept."
        ),
    ),
    th.Property(
        "add_record_metadata",
        th.BooleanType,
        default=False,
        title="Add record metadata",
        description="Add the SDK's _sdc_ columns to every table.",
    ),
    th.Property(
        "commit_max_rows",
        th.IntegerType(minimum=1),
        default=1_000_000,
        title="Commit max rows",
        description="Commit at the first STATE after this many rows.",
    ),
    th.Property(
        "commit_max_bytes",
        th.IntegerType(minimum=1),
        default=512 * 2**20,
        title="Commit max bytes",
        description="Commit at the first STATE after this many bytes are held.",
    ),
    th.Property(
        "buffer_max_bytes",
        th.IntegerType(minimum=1),
        default=32 * 2**20,
        title="Buffer max bytes",
        description=(
            "Hold so many bytes of rows in memory, of all streams together, and as "
            "many on their way into files; the others wait for their commit in data "
            "files, or in the temporary folder: TMPDIR names another one."
        ),
    ),
    th.Property(
        "commit_interval_seconds",
        th.NumberType(minimum=0),
        default=60,
        title="Commit interval",
        description="Commit at the first STATE after this many seconds.",
    ),
    th.Property(
        "dead_letter",
        _DEAD_LETTER,
        title="Dead letters",
        description="Where refused records go, and how many are too many.",
    ),
    th.Property(
        "batch_roots",
        th.ArrayType(th.StringType),
        title="Batch roots",
        description=(
            "Folders and s3:// URLs below which BATCH messages may name files. "
            "Default: <warehouse>/_staging, where files are deleted when their rows "
            "are stored."
        ),
    ),
    th.Property(
        "maintenance",
        _MAINTENANCE,
        title="Maintenance",
        description=(
            "Compaction, expiry and cleaning of the tables a run has touched, when "
            "they need it; also the rules of `dativo maintain`."
        ),
    ),
)

SCHEMA: dict[str, t.Any] = _PROPERTIES.to_dict()


def with_defaults(config: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the settings with the defaults of those that are not given, or null."""
    return _fill(config, SCHEMA)


def _fill(
    config: t.Mapping[str, t.Any], schema: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    filled = {name: value for name, value in config.items() if value is not None}
    for name, definition in schema.get("properties", {}).items():
        if "default" in definition:
            filled.setdefault(name, definition["default"])
        elif "properties" in definition:
            filled[name] = _fill(config.get(name) or {}, definition)
    return filled
