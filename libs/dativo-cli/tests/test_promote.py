"""`dativo promote` makes a Parquet folder an Iceberg table."""

from __future__ import annotations

import io
import json

import pytest
from click.testing import CliRunner
from dativo_cli.main import dativo
from dativo_core.errors import ConfigurationError
from dativo_sandbox.lake import lake
from target_parquet_iceberg.target import TargetParquetIceberg

LINES = [
    {
        "type": "SCHEMA",
        "stream": "s",
        "schema": {"properties": {"id": {"type": "integer"}, "p": {"type": "string"}}},
        "key_properties": [],
    },
    {"type": "RECORD", "stream": "s", "record": {"id": 1, "p": "x"}},
    {"type": "RECORD", "stream": "s", "record": {"id": 2, "p": "y"}},
    {"type": "STATE", "value": {"bookmarks": {"s": {"v": 2}}}},
]


def test_promote_leaves_files_and_bookmark_where_they_are(tmp_path, capsys) -> None:
    """The command says what to set; state and rows are those of the folder."""
    warehouse = tmp_path / "lake"
    config = {"warehouse": str(warehouse), "format": "parquet"}
    config["streams"] = {"*": {"partition_by": ["p"]}}
    file = tmp_path / "target.json"
    file.write_text(json.dumps(config))
    data = b"\n".join(json.dumps(line).encode() for line in LINES)
    TargetParquetIceberg(config=config).listen(io.BytesIO(data))
    capsys.readouterr()
    options = [f"--config={file}"]
    shown = _run("state", "show", *options)
    said = _run("promote", "s", *options)
    assert said.startswith("lake.s is an Iceberg table of 2 rows in 2 files.")
    file.write_text(json.dumps({"warehouse": str(warehouse)}))
    assert _run("state", "show", *options) == shown
    with lake(warehouse) as engine:
        found = engine.execute("FROM lake.s ORDER BY id").fetchall()
    assert found == [(1, "x"), (2, "y")]


def test_promote_names_what_it_does_not_find(tmp_path) -> None:
    """A table that is not there is one line."""
    with pytest.raises(ConfigurationError, match="no Parquet table 'nothing'"):
        _run("promote", "nothing", f"--warehouse={tmp_path}")


def _run(*arguments):
    done = CliRunner().invoke(dativo, arguments, catch_exceptions=False)
    return done.output
