"""A tap on a real database, run in this process: what it writes, as messages."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

Json: t.TypeAlias = "dict[str, t.Any]"


@dataclass
class Run:
    """The messages of one run, in order."""

    messages: list[Json] = field(default_factory=list)

    def of(self, kind: str) -> list[Json]:
        """Return the messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    @property
    def records(self) -> list[Json]:
        """The records, in order."""
        return [message["record"] for message in self.of("RECORD")]

    @property
    def versions(self) -> list[int]:
        """The version of each record."""
        return [message["version"] for message in self.of("RECORD")]

    @property
    def states(self) -> list[Json]:
        """The states, in order, but for the first: it says what the run starts from."""
        return [message["value"] for message in self.of("STATE")[1:]]

    @property
    def state(self) -> Json:
        """The last state."""
        return self.states[-1]

    def until_state(self, index: int) -> Run:
        """Return what was written up to one of the states, as if killed after it."""
        seen = -2
        for position, message in enumerate(self.messages):
            seen += message["type"] == "STATE"
            if seen == index:
                return Run(self.messages[: position + 1])
        return self

    def values(self, column: str) -> list[t.Any]:
        """Return one column of all records."""
        return [record[column] for record in self.records]


def captured(work: Callable[[], t.Any]) -> Run:
    """Return the messages that some work writes to stdout."""
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(written):
        work()
    written.seek(0)
    return Run([json.loads(line) for line in written.read().split("\n") if line])


def about(checkup: t.Any, words: str) -> t.Any:
    """Return the one complaint about a source that has the words, or None."""
    found = [each for each in checkup.complaints if words in each.what]
    assert len(found) <= 1, found  # noqa: S101 a judge of tests
    return found[0] if found else None


class TappedDatabase:
    """A database, and taps on it.

    Args:
        database: What the tap reads; it knows the settings for that.
        tap_class: The tap; its package has a `__main__`.
    """

    def __init__(self, database: t.Any, tap_class: t.Any) -> None:
        self.database = database
        self.config = {**database.tap_config(), "state_interval_rows": 100}
        self._tap_class = tap_class

    def sql(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        for statement in statements:
            self.database.execute(statement)

    def stream(self, table: str) -> str:
        """Return the name of a table's stream; here, it is given."""
        return table

    def discover(self, **config: t.Any) -> Json:
        """Return the catalog."""
        settings = {**self.config, **config}
        tap = self._tap_class(config=settings, setup_mapper=False)
        return t.cast("Json", tap.catalog_dict)

    def examine(self, catalog: t.Any = None, **config: t.Any) -> t.Any:
        """Return what the tap says of the database."""
        settings = {**self.config, **config}
        tap = self._tap_class(config=settings, catalog=catalog, setup_mapper=False)
        return tap.examine()

    def catalog(
        self,
        table: str,
        *,
        key: str | None = None,
        deselected: Collection[str] = (),
        **config: t.Any,
    ) -> Json:
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

    def tap(self, catalog: t.Any = None, state: t.Any = None, **config: t.Any) -> t.Any:
        """Return a tap."""
        return self._tap_class(
            config={**self.config, **config},
            catalog=json.loads(json.dumps(catalog)),
            state=json.loads(json.dumps(state)),
        )

    def run(self, catalog: t.Any = None, state: t.Any = None, **config: t.Any) -> Run:
        """Run a sync in this process."""
        return captured(self.tap(catalog, state, **config).sync_all)

    def cli(
        self, tmp_path: Path, *arguments: object, **config: t.Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the command as a process of its own."""
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**self.config, **config}))
        package = self._tap_class.__module__.partition(".")[0]
        command = [sys.executable, "-m", package, "--config", str(path)]
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
