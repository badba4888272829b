"""The contenders: what each one runs, and how DuckDB sees what it has stored.

Words in braces are places: `{programs}` of this project, `{peers}` of others,
`{bench}` with these files, `{data}` made once for each kind of rows, `{work}` fresh for
each run; `{table}` is a table's name, `{tables}` all of them, `{rows}` how many rows.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import tables
from tables import Table

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ALWAYS = 1_000


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
        is_text: Whether it stores all values as text.
        most_rounds: In how many rounds it runs at most; few for what takes minutes.
    """

    title: str
    pipe: tuple[str, ...]
    result: str | None = None
    stdin: str = "/dev/null"
    peers: tuple[str, ...] = ()
    data: str = "orders"
    is_quick: bool = True
    is_text: bool = False
    most_rounds: int = ALWAYS


@dataclass(frozen=True, slots=True)
class Data:
    """Rows to move.

    Attributes:
        title: What they are, for the report.
        tables: What holds them, each with an equal part of the rows.
        source: What they are read from: a server, or a file.
        share: One such row for so many rows that were asked for.
        made_by: The command that prints the file.
    """

    title: str
    tables: tuple[Table, ...]
    source: str = "postgres"
    share: int = 1
    made_by: str = ""


DATA = {
    "orders": Data("rows of 18 columns, 540 bytes a line", (tables.ORDERS,)),
    "narrow": Data("narrow rows, 3 columns", (tables.NARROW,)),
    "wide": Data("wide rows, 200 columns", (tables.wide(200),), share=10),
    "nested": Data("rows of JSON and arrays", (tables.NESTED,), share=5),
    "texts": Data("rows of long texts, 2.5 kB", (tables.TEXTS,), share=10),
    "lineitem": Data("rows of TPC-H's lineitem", (tables.LINEITEM,), share=2),
    "charges": Data(
        "nested records of 2.7 kB, 506 values declared",
        (Table("charges", ()),),
        source="file",
        share=10,
        made_by="{programs}/python {bench}/charges.py {rows}",
    ),
    "mysql": Data("rows of 18 columns, from MariaDB", (tables.ORDERS,), "mysql"),
}
SHAPES = ("narrow", "wide", "nested", "texts", "lineitem")

_TAP = "{programs}/tap-postgres --config {data}/tap.json --catalog {data}/catalog.json"
_BATCHES = _TAP.replace("{data}/tap.json", "{work}/tap-batch.json")
_TARGET = "{programs}/target-dativo --config {work}/target-dativo.json"
_DLT = "{peers}/dlt/bin/python {bench}/dlt_load.py {data}/dsn.txt {tables} {work}/dlt"
_PEER_TAP = (
    "{peers}/meltanolabs-tap-postgres/bin/tap-postgres"
    " --config {data}/tap.json --catalog {data}/peer-catalog.json"
)
_PEER_TARGET = (
    "{peers}/meltanolabs-target-csv/bin/target-csv --config {work}/target-csv.json"
)
_CSV = "read_csv('{work}/csv/public-{table}*.csv', all_varchar = true)"
_RIVET = "{peers}/rivet/bin/rivet run --config {work}/rivet.json"
_RIVET_FILES = "'{work}/rivet/**/*.parquet'"

LIMIT = Contender(
    "ADBC to zstd Parquet, one process: the limit",
    ("{programs}/python {bench}/limit.py {data}/dsn.txt {table} {work}/limit.parquet",),
    "'{work}/limit.parquet'",
)
PIPE = Contender(
    "tap-postgres \\| target-dativo, RECORD to Iceberg",
    (_TAP, _TARGET),
    "lake.public_{table}",
)
BATCH = Contender(
    "tap-postgres \\| target-dativo, BATCH to Iceberg",
    (_BATCHES, _TARGET),
    "lake.public_{table}",
)
DLT_ICEBERG = Contender(
    "dlt, connectorx to Iceberg",
    (f"{_DLT} connectorx iceberg",),
    "'{work}/dlt/bench/{table}/data/*.parquet'",
    peers=("dlt",),
)


def _shaped() -> Iterator[tuple[str, Contender]]:
    """Yield ours, the limit and dlt for each other shape of rows."""
    ways = {"limit": LIMIT, "pipe": PIPE, "batch": BATCH, "dlt-iceberg": DLT_ICEBERG}
    for data in SHAPES:
        for way, it in ways.items():
            yield f"{way}:{data}", _of(it, data)


def _of(it: Contender, data: str) -> Contender:
    return Contender(
        it.title, it.pipe, it.result, it.stdin, it.peers, data=data, most_rounds=2
    )


CONTENDERS = {
    "limit": LIMIT,
    "pipe": PIPE,
    "batch": BATCH,
    "tap": Contender("tap-postgres alone, to /dev/null", (_TAP,)),
    "target": Contender(
        "target-dativo alone, from a file",
        (_TARGET,),
        "lake.public_{table}",
        stdin="{data}/rows.singer",
    ),
    "dlt-iceberg": DLT_ICEBERG,
    "dlt-parquet": Contender(
        "dlt, connectorx to Parquet files",
        (f"{_DLT} connectorx parquet",),
        "'{work}/dlt/bench/{table}/*.parquet'",
        peers=("dlt",),
    ),
    "dlt-pyarrow-iceberg": Contender(
        "dlt, pyarrow to Iceberg",
        (f"{_DLT} pyarrow iceberg",),
        "'{work}/dlt/bench/{table}/data/*.parquet'",
        peers=("dlt",),
        is_quick=False,
        most_rounds=1,
    ),
    "dlt-pyarrow-parquet": Contender(
        "dlt, pyarrow to Parquet files",
        (f"{_DLT} pyarrow parquet",),
        "'{work}/dlt/bench/{table}/*.parquet'",
        peers=("dlt",),
        is_quick=False,
        most_rounds=1,
    ),
    "rivet": Contender(
        "rivet-cli to zstd Parquet files",
        (_RIVET,),
        _RIVET_FILES,
        peers=("rivet",),
    ),
    "foreign-tap": Contender(
        "meltanolabs-tap-postgres \\| target-dativo",
        (_PEER_TAP, "{programs}/target-dativo --config {work}/target-foreign.json"),
        "lake.public_{table}",
        peers=("meltanolabs-tap-postgres",),
        is_quick=False,
        most_rounds=1,
    ),
    "foreign-target": Contender(
        "tap-postgres \\| meltanolabs-target-csv",
        (_TAP, _PEER_TARGET),
        _CSV,
        peers=("meltanolabs-target-csv",),
        is_quick=False,
        is_text=True,
        most_rounds=1,
    ),
    "meltanolabs": Contender(
        "meltanolabs-tap-postgres \\| meltanolabs-target-csv",
        (_PEER_TAP, _PEER_TARGET),
        _CSV,
        peers=("meltanolabs-tap-postgres", "meltanolabs-target-csv"),
        is_quick=False,
        is_text=True,
        most_rounds=2,
    ),
    **dict(_shaped()),
    "charges": Contender(
        "target-dativo alone, nested records from a file",
        (_TARGET,),
        "lake.{table}",
        stdin="{data}/rows.singer",
        data="charges",
    ),
    "mysql-pipe": Contender(
        "tap-mysql \\| target-dativo, RECORD to Iceberg",
        (_TAP.replace("tap-postgres", "tap-mysql"), _TARGET),
        "lake.bench_{table}",
        data="mysql",
        most_rounds=2,
    ),
    "mysql-batch": Contender(
        "tap-mysql \\| target-dativo, BATCH to Iceberg",
        (_BATCHES.replace("tap-postgres", "tap-mysql"), _TARGET),
        "lake.bench_{table}",
        data="mysql",
        most_rounds=2,
    ),
    "mysql-dlt-parquet": Contender(
        "dlt, connectorx to Parquet files",
        (f"{_DLT} connectorx parquet",),
        "'{work}/dlt/bench/{table}/*.parquet'",
        peers=("dlt",),
        data="mysql",
        most_rounds=2,
    ),
    "mysql-pipelinewise": Contender(
        "pipelinewise-tap-mysql \\| meltanolabs-target-csv",
        (
            "{peers}/pipelinewise-tap-mysql/bin/tap-mysql --config {data}/tap.json"
            " --catalog {data}/peer-catalog.json",
            _PEER_TARGET,
        ),
        "read_csv('{work}/csv/bench-{table}*.csv', all_varchar = true)",
        peers=("pipelinewise-tap-mysql", "meltanolabs-target-csv"),
        data="mysql",
        is_quick=False,
        is_text=True,
        most_rounds=1,
    ),
}

# Files that are made once, if a contender names them, from what a command prints.
PREPARED = {
    "postgres": {
        "catalog.json": "{programs}/tap-postgres --config {data}/tap.json --discover",
        "rows.singer": "{programs}/tap-postgres --config {data}/tap.json",
        "peer-catalog.json": (
            "{peers}/meltanolabs-tap-postgres/bin/tap-postgres"
            " --config {data}/tap.json --discover"
        ),
    },
    "mysql": {
        "catalog.json": "{programs}/tap-mysql --config {data}/tap.json --discover",
        "peer-catalog.json": (
            "{peers}/pipelinewise-tap-mysql/bin/tap-mysql"
            " --config {data}/tap.json --discover"
        ),
    },
    "file": {"rows.singer": "{made_by}"},
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
    "rivet.json": {
        "source": {
            "type": "postgres",
            "url_file": "{data}/dsn.txt",
            "tuning": {"profile": "fast"},
        },
        "exports": [
            {
                "name": "{table}",
                "query": "SELECT * FROM {table}",
                "mode": "full",
                "format": "parquet",
                "compression": "zstd",
                "destination": {"type": "local", "path": "{work}/rivet"},
            }
        ],
    },
}
