"""What the torture matrices of all databases share: cases, pipes, and readers.

A matrix lists types, values and what must become of them. Every value has a row of its
own. The rows go through a tap and the target as processes; then DuckDB and PyIceberg
read the table, and what DuckDB makes of each value is compared with what the source
prints of it.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import json
import re
import struct
import subprocess
import sys
from dataclasses import dataclass, field

import yaml
from dativo_sandbox import lake
from pyiceberg.table import StaticTable

# The same text from DuckDB. Its own casts leave out a zero before the point, and show
# a moment in the zone of the machine. It has no function for the bits of a float.
READ = {
    "binary": "lower(hex({}))",
    "decimal": r"regexp_replace(CAST({} AS VARCHAR), '^(-?)[.]', '\10.')",
    "double": "{}",
    "float": "{}",
    "timestamptz": "CAST(make_timestamp(epoch_us({})) AS VARCHAR)",
}


# What makes a tap send record by record.
WAYS = ("a stream map", "flattening")


@dataclass(frozen=True)
class Case:
    """One value, its row, and what must become of it.

    Attributes:
        path: Where a dead letter must point to, below the column; None if it arrives.
        is_special: Whether the settings can turn it into null.
    """

    id: int
    value: str
    path: str | None = None
    is_special: bool = False

    def is_dead(self, mode):
        """Tell whether the row must be among the dead letters."""
        return self.path is not None and not (self.is_special and mode == "null")


@dataclass(frozen=True)
class Kind:
    """A type, as one column."""

    group: str
    type: str
    column: str
    iceberg: str
    printed: str
    cases: tuple[Case, ...]
    generated: str = ""
    needs: dict = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    def __str__(self):
        return f"{self.group}-{self.column}"


def read_matrix(path, printed):
    """Return the preparations and all types; every value gets a number.

    `printed` returns the SQL for what the source prints of a value `v`.
    """
    # This loader takes all scalars as text: NaN, 1e400 and 0001-01-01 among them.
    content = yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506
    kinds, cases = [], 0
    for group, entries in content["types"].items():
        for entry in entries:
            found = list(read_cases(entry, cases + 1))
            cases += len(found)
            iceberg = entry.get("iceberg", "string")
            kind = Kind(
                group=group,
                type=entry["type"],
                column=entry.get("column") or slug(entry["type"]),
                iceberg=iceberg,
                printed=entry.get("print") or printed(iceberg),
                generated=entry.get("generated", ""),
                needs={
                    name: entry[name]
                    for name in ("since", "extension", "needs_xml")
                    if name in entry
                },
                cases=tuple(found),
                refused=tuple(entry.get("refused", ())),
            )
            kinds.append(kind)
    return content.get("setup", ""), kinds


def read_cases(entry, first):
    """Yield the values of an entry with their fates."""
    dead = entry.get("dead", {})
    paths = dead if isinstance(dead, dict) else dict.fromkeys(dead, "")
    listed = [
        *((value, None, False) for value in entry.get("values", ())),
        *((value, None, True) for value in entry.get("or_null", ())),
        *((value, path, False) for value, path in paths.items()),
        *((value, "", True) for value in entry.get("dead_or_null", ())),
    ]
    for number, (value, path, is_special) in enumerate(listed, first):
        yield Case(number, value, path, is_special)


def slug(text):
    """Name a column after its type."""
    return re.sub(r"\W+", "_", text.replace("[]", " list")).strip("_")


def quoted(name):
    """Quote a name, for Postgres and DuckDB alike."""
    return '"' + name.replace('"', '""') + '"'


def read(iceberg, value, depth=0):
    """Return the SQL for the text that DuckDB makes of the same value."""
    element = element_of(iceberg)
    if element is None:
        name = iceberg.partition("(")[0]
        return READ.get(name, "CAST({} AS VARCHAR)").replace("{}", value)
    inner = read(element, f"x{depth}", depth + 1)
    return f"list_transform({value}, lambda x{depth}: {inner})"


def element_of(iceberg):
    """Return what a list holds; None for what is not a list."""
    return iceberg[5:-1] if iceberg.startswith("list<") else None


def parsed(kind, text):
    """Read the JSON that Postgres prints of a list."""
    is_list = element_of(kind.iceberg) is not None
    return json.loads(text) if is_list and text is not None else text


@dataclass
class Lake:
    """What a load has left: tables, as read by two engines, and dead letters."""

    types: dict
    rows: dict
    pyiceberg: dict
    dead: dict
    adopted: dict = field(default_factory=dict)


def read_lake(server, warehouse, tables):
    """Read all there is."""
    found = Lake({}, {}, {}, read_dead_letters(server.schema, warehouse))
    locations = lake.tables(warehouse)
    with lake.lake(warehouse) as engine:
        for table in tables:
            kinds = server.of(table)
            iceberg = StaticTable.from_metadata(
                locations["lake", f"{server.schema}_{table}"]
            )
            types = {f.name: str(f.field_type) for f in iceberg.schema().fields}
            found.types[table] = types
            summaries = [snapshot.summary for snapshot in iceberg.snapshots()]
            found.adopted[table] = sum(
                int(s.get("dativo.adopted-files") or 0) for s in summaries
            )
            found.rows[table] = texts(engine, f"lake.{server.schema}_{table}", kinds)
            engine.register("arrow", iceberg.scan().to_arrow())
            found.pyiceberg[table] = texts(engine, "arrow", kinds)
    return found


def texts(engine, relation, kinds):
    """Return the text of every value, by row and column."""
    selected = ", ".join(read(kind.iceberg, quoted(kind.column)) for kind in kinds)
    rows = engine.execute(f"SELECT id, {selected} FROM {relation}").fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    return {
        key: {
            str(kind): as_bits(kind.iceberg, value)
            for kind, value in zip(kinds, values, strict=True)
        }
        for key, *values in rows
    }


def as_bits(iceberg, value):
    """Turn floats into their bits; all else is text already."""
    if isinstance(value, list):
        return [as_bits(element_of(iceberg), item) for item in value]
    if isinstance(value, float):
        return struct.pack({"float": ">f", "double": ">d"}[iceberg], value).hex()
    return value


def read_dead_letters(schema, warehouse):
    """Return (row, stage, path) of every dead letter, by table."""
    found = collections.defaultdict(list)
    for file in sorted(warehouse.glob("_dead_letters/**/*.jsonl")):
        for line in file.read_text().split("\n"):
            if line:
                letter = json.loads(line)
                record = letter.get("record", "").encode()
                record = record or base64.b64decode(letter["record_base64"])
                key = int(re.search(rb'"id":(\d+)', record)[1])
                table = letter["stream"].removeprefix(f"{schema}-")
                found[table].append((key, letter["stage"], letter["path"]))
    return found


class Pipe:
    """Both programs as processes, with a pipe between them.

    `module` is the tap's, as `python -m` takes it.
    """

    def __init__(self, module, folder, database, tap=(), target=()):
        self._module = module
        self.warehouse = folder / "warehouse"
        self._folder = folder
        self._tap = self._write("tap", {**database.tap_config(), **dict(tap)})
        self._target = self._write(
            "target",
            {
                "warehouse": str(self.warehouse),
                "dead_letter": {"max_ratio": 1, "max_records": 10_000},
                **dict(target),
            },
        )

    def discover(self):
        """Return the catalog of the matrix."""
        done = subprocess.run(
            self._command(self._module, self._tap, "--discover"),
            check=True,
            capture_output=True,
        )
        return json.loads(done.stdout)

    def run(self, catalog, state=None):
        """Run the pipe once and return the last state that the target confirms."""
        options = ["--catalog", self._write("catalog", catalog)]
        options += ["--state", self._write("state", state)] if state else []
        with subprocess.Popen(
            self._command(self._module, self._tap, *options), stdout=subprocess.PIPE
        ) as tap:
            target = subprocess.run(
                self._command("target_parquet_iceberg", self._target),
                stdin=tap.stdout,
                stdout=subprocess.PIPE,
                check=False,
            )
        assert (tap.returncode, target.returncode) == (0, 0)
        return json.loads(target.stdout.splitlines()[-1])

    def tapped(self, catalog):
        """Run the tap alone and return its RECORD lines."""
        done = subprocess.run(
            self._command(
                self._module, self._tap, "--catalog", self._write("catalog", catalog)
            ),
            check=True,
            capture_output=True,
        )
        lines = done.stdout.split(b"\n")
        return [line for line in lines if line.startswith(b'{"type":"RECORD"')]

    def _command(self, module, config, *options):
        return [sys.executable, "-m", module, "--config", config, *options]

    def _write(self, name, content):
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


def lines_alike(module, folder, server, way):
    """Return the RECORD lines of a tap as it sends them in blocks, and one by one.

    One by one it sends them in either of the `WAYS`, neither of which changes a value.
    What only the clock tells is left out.
    """
    catalog = Pipe(module, folder, server.database).discover()
    config = {"flattening_enabled": True, "flattening_max_depth": 1}
    if way == "flattening":
        catalog = without_lists(catalog)
    else:
        streams = (entry["tap_stream_id"] for entry in catalog["streams"])
        config = {"stream_maps": {stream: {"id": "id"} for stream in streams}}
    found = []
    for name, extra in (("blocks", {}), ("records", config)):
        here = folder / name
        here.mkdir()
        pipe = Pipe(module, here, server.database, extra)
        found.append([undated(line) for line in pipe.tapped(catalog)])
    return found


def undated(line):
    """Take the digits of the clock out of a line."""
    return re.sub(
        rb'"time_extracted":"[-\dT:.]+\+00:00","version":\d+}$',
        b'"time_extracted":"+00:00","version":0}',
        line,
    )


def without_lists(catalog):
    """Return a catalog without the columns that flattening turns into text."""
    chosen = json.loads(json.dumps(catalog))
    for entry in chosen["streams"]:
        columns = entry["schema"]["properties"]
        for item in entry["metadata"]:
            if item["breadcrumb"] and "items" in columns[item["breadcrumb"][1]]:
                item["metadata"]["selected"] = False
    return chosen


def checksum(rows):
    """Return the number of rows and a hash of them."""
    content = json.dumps(sorted(rows.items())).encode()
    return len(rows), hashlib.sha256(content).hexdigest()
