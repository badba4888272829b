"""The contenders: what each one runs, and how DuckDB sees what it has stored.

Words in braces are places: `{programs}` of this project, `{peers}` of others,
`{bench}` with these files, `{data}` made once, `{work}` fresh for each run, and
`{charges}` the number of nested records.
"""

from __future__ import annotations

from dataclasses import dataclass

import charges

REFERENCE = "limit"
OURS = "pipe"
PEERS = ("meltanolabs", "dlt-iceberg")

# What must be the same at the source and wherever the rows end up.
ORDER_FACTS = "count(*), sum(CAST(id AS BIGINT)), sum(CAST(price AS DECIMAL(38, 2)))"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to move the rows.

    Attributes:
        title: What it is, for the report.
        pipe: Its programs, each reading what the one before it writes.
        result: The rows it stored, as a FROM clause of DuckDB; None if it stores none.
        stdin: What the first program reads.
        peers: Other projects' packages that it needs.
        data: The rows that it moves.
        is_quick: Whether it belongs into a short run too.
    """

    title: str
    pipe: tuple[str, ...]
    result: str | None = None
    stdin: str = "/dev/null"
    peers: tuple[str, ...] = ()
    data: str = "orders"
    is_quick: bool = True


@dataclass(frozen=True, slots=True)
class Data:
    """Rows to move.

    Attributes:
        title: What they are, for the report.
        share: One such row for so many rows that were asked for.
        facts: What DuckDB selects to compare a result with the source.
    """

    title: str
    share: int
    facts: str


DATA = {
    "orders": Data("rows of 18 columns, 540 bytes a line", 1, ORDER_FACTS),
    "charges": Data("nested records of 2.7 kB, 506 values declared", 10, charges.FACTS),
}

CONTENDERS = {
    REFERENCE: Contender(
        "ADBC to zstd Parquet, one process: the limit",
        ("{programs}/python {bench}/limit.py {data}/dsn.txt {work}/orders.parquet",),
        "'{work}/orders.parquet'",
    ),
    "pipe": Contender(
        "tap-postgres \\| target-dativo, RECORD to Iceberg",
        (
            "{programs}/tap-postgres --config {data}/tap.json"
            " --catalog {data}/catalog.json",
            "{programs}/target-dativo --config {work}/target-dativo.json",
        ),
        "lake.public_orders",
    ),
    "batch": Contender(
        "tap-postgres \\| target-dativo, BATCH to Iceberg",
        (
            "{programs}/tap-postgres --config {work}/tap-batch.json"
            " --catalog {data}/catalog.json",
            "{programs}/target-dativo --config {work}/target-dativo.json",
        ),
        "lake.public_orders",
    ),
    "tap": Contender(
        "tap-postgres alone, to /dev/null",
        (
            "{programs}/tap-postgres --config {data}/tap.json"
            " --catalog {data}/catalog.json",
        ),
    ),
    "target": Contender(
        "target-dativo alone, from a file",
        ("{programs}/target-dativo --config {work}/target-dativo.json",),
        "lake.public_orders",
        stdin="{data}/orders.singer",
    ),
    "dlt-iceberg": Contender(
        "dlt, connectorx to Iceberg",
        (
            "{peers}/dlt/bin/python {bench}/dlt_load.py {data}/dsn.txt {work}/dlt"
            " iceberg",
        ),
        "'{work}/dlt/bench/orders/data/*.parquet'",
        peers=("dlt",),
    ),
    "dlt-parquet": Contender(
        "dlt, connectorx to Parquet files",
        (
            "{peers}/dlt/bin/python {bench}/dlt_load.py {data}/dsn.txt {work}/dlt"
            " parquet",
        ),
        "'{work}/dlt/bench/orders/*.parquet'",
        peers=("dlt",),
    ),
    "charges": Contender(
        "target-dativo alone, nested records from a file",
        ("{programs}/target-dativo --config {work}/target-dativo.json",),
        "lake.charges",
        stdin="{data}/charges.singer",
        data="charges",
    ),
    "foreign-tap": Contender(
        "meltanolabs-tap-postgres \\| target-dativo",
        (
            "{peers}/meltanolabs-tap-postgres/bin/tap-postgres"
            " --config {data}/tap.json --catalog {data}/peer-catalog.json",
            "{programs}/target-dativo --config {work}/target-foreign.json",
        ),
        "lake.public_orders",
        peers=("meltanolabs-tap-postgres",),
        is_quick=False,
    ),
    "foreign-target": Contender(
        "tap-postgres \\| meltanolabs-target-csv",
        (
            "{programs}/tap-postgres --config {data}/tap.json"
            " --catalog {data}/catalog.json",
            "{peers}/meltanolabs-target-csv/bin/target-csv"
            " --config {work}/target-csv.json",
        ),
        "read_csv('{work}/csv/public-orders*.csv', all_varchar = true)",
        peers=("meltanolabs-target-csv",),
        is_quick=False,
    ),
    "meltanolabs": Contender(
        "meltanolabs-tap-postgres \\| meltanolabs-target-csv",
        (
            "{peers}/meltanolabs-tap-postgres/bin/tap-postgres"
            " --config {data}/tap.json --catalog {data}/peer-catalog.json",
            "{peers}/meltanolabs-target-csv/bin/target-csv"
            " --config {work}/target-csv.json",
        ),
        "read_csv('{work}/csv/public-orders*.csv', all_varchar = true)",
        peers=("meltanolabs-tap-postgres", "meltanolabs-target-csv"),
        is_quick=False,
    ),
}

# Files that are made once, if a contender names them, from what a command prints.
PREPARED = {
    "catalog.json": "{programs}/tap-postgres --config {data}/tap.json --discover",
    "charges.singer": "{programs}/python {bench}/charges.py {charges}",
    "orders.singer": "{programs}/tap-postgres --config {data}/tap.json",
    "peer-catalog.json": (
        "{peers}/meltanolabs-tap-postgres/bin/tap-postgres"
        " --config {data}/tap.json --discover"
    ),
}

# Settings, written into the folder of each run; `@` names more of them.
SETTINGS: dict[str, dict[str, object]] = {
    "target-dativo.json": {"warehouse": "{work}/lake", "load_method": "append-only"},
    # Its last record has no STATE behind it: only the end tells that it is done.
    "target-foreign.json": {
        "warehouse": "{work}/lake",
        "load_method": "append-only",
        "completion": "eof",
    },
    "target-csv.json": {"output_path": "{work}/csv"},
    "tap-batch.json": {
        "@": "{data}/tap.json",
        "batch_config": {
            "encoding": {"format": "parquet", "compression": "zstd"},
            "storage": {"root": "{work}/lake/_staging"},
        },
    },
}
