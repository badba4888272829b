"""A tap on a real database: what it writes, as messages."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from tap_mysql.tap import TapMySQL


@dataclass
class Run:
    """The messages of one run, in order."""

    messages: list = field(default_factory=list)

    def of(self, kind):
        """Return the messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    @property
    def records(self):
        """The records, in order."""
        return [message["record"] for message in self.of("RECORD")]

    @property
    def states(self):
        """The states, in order, but for the first: it says what the run starts from."""
        return [message["value"] for message in self.of("STATE")[1:]]

    @property
    def state(self):
        """The last state."""
        return self.states[-1]

    def until_state(self, index):
        """Return what was written up to one of the states, as if killed after it."""
        seen = -2
        for position, message in enumerate(self.messages):
            seen += message["type"] == "STATE"
            if seen == index:
                return Run(self.messages[: position + 1])
        return self

    def values(self, column):
        """Return one column of all records."""
        return [record[column] for record in self.records]


class Source:
    """A database, and taps on it."""

    def __init__(self, database):
        self.database = database
        self.config = {**database.tap_config(), "state_interval_rows": 100}

    def sql(self, *statements):
        """Run statements, each in a transaction of its own, and zero dates allowed."""
        for statement in statements:
            self.database.execute(f"SET sql_mode = ''; {statement}")

    def discover(self, **config):
        """Return the catalog."""
        return TapMySQL(
            config={**self.config, **config}, setup_mapper=False
        ).catalog_dict

    def catalog(self, table, *, key=None, deselected=(), **config):
        """Return a catalog that selects one stream, incremental if a key is given."""
        [entry] = [
            entry
            for entry in self.discover(**config)["streams"]
            if entry["tap_stream_id"] == self.stream(table)
        ]
        if key:
            entry |= {"replication_method": "INCREMENTAL", "replication_key": key}
        for item in entry["metadata"]:
            if item["breadcrumb"] and item["breadcrumb"][1] in deselected:
                item["metadata"]["selected"] = False
        return {"streams": [entry]}

    def run(self, catalog=None, state=None, **config):
        """Run a sync in this process."""
        return captured(self.tap(catalog, state, **config).sync_all)

    def tap(self, catalog=None, state=None, **config):
        """Return a tap."""
        return TapMySQL(
            config={**self.config, **config},
            catalog=json.loads(json.dumps(catalog)),
            state=json.loads(json.dumps(state)),
        )

    def cli(self, tmp_path, *arguments, **config):
        """Run the command as a process of its own."""
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**self.config, **config}))
        command = [sys.executable, "-m", "tap_mysql", "--config", str(path)]
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )

    @contextlib.contextmanager
    def session(self):
        """Open a session of another user of the database."""
        connection = self.database.connect(autocommit=True)
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor.execute

    def stream(self, table):
        """Return the name of a table's stream."""
        return f"{self.database.name}-{table}"


def captured(work):
    """Return the messages that some work writes to stdout."""
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(written):
        work()
    written.seek(0)
    return Run([json.loads(line) for line in written.read().split("\n") if line])


@pytest.fixture
def source(mariadb):
    """An empty database with a tap."""
    return Source(mariadb)
