"""The target as a person uses it: lines in, tables out, read back by DuckDB."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import signal
import typing as t
from dataclasses import dataclass, field

import pytest
from dativo_core.entrypoint import guarded
from dativo_sandbox import lake as engine
from hypothesis import HealthCheck, settings
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.target import TargetParquetIceberg

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyiceberg.catalog.sql import SqlCatalog

settings.register_profile(
    "shared",
    deadline=None,  # two busy cores decide about time, not the code
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("shared")


@dataclass(frozen=True)
class Outcome:
    """What a run of the target left behind."""

    code: int
    states: list[t.Any]
    errors: list[str]


@dataclass
class Lake:
    """A warehouse in a folder of its own."""

    folder: Path
    letters: list[t.Any] = field(default_factory=list)

    def load(self, *messages: t.Any, **settings: t.Any) -> Outcome:
        """Run the target in this process over messages (dicts, or lines as bytes)."""
        lines = [
            m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages
        ]
        config = {"warehouse": str(self.folder), **settings}
        output = io.StringIO()
        with _errors() as errors, contextlib.redirect_stdout(output):
            code = guarded(lambda: _listen(config, b"\n".join(lines)))
        states = [json.loads(line) for line in output.getvalue().splitlines()]
        return Outcome(int(code), states, errors)

    def query(self, sql: str) -> list[tuple[t.Any, ...]]:
        """Ask DuckDB, which sees every Iceberg table as a view."""
        with engine.lake(self.folder) as connection:
            return connection.execute(sql).fetchall()

    def parquet(self, sql: str) -> list[tuple[t.Any, ...]]:
        """Ask DuckDB, with `{folder}` for the warehouse."""
        with engine.connect() as connection:
            return connection.execute(sql.format(folder=self.folder)).fetchall()

    @property
    def catalog(self) -> SqlCatalog:
        """The catalog of the warehouse, as PyIceberg opens it."""
        return open_catalog({"warehouse": str(self.folder)})

    def table(self, name: str) -> t.Any:
        """Return a table of namespace `lake`."""
        return self.catalog.load_table(("lake", name))

    def rows(self, name: str) -> list[dict[str, t.Any]]:
        """Return the rows of a table as PyIceberg reads them."""
        return self.table(name).scan().to_arrow().to_pylist()

    def dead(self) -> list[dict[str, t.Any]]:
        """Return all dead letters."""
        files = sorted((self.folder / "_dead_letters").glob("*/*.jsonl"))
        lines = [line for file in files for line in file.read_bytes().splitlines()]
        return [json.loads(line) for line in lines]

    def data_files(self) -> set[Path]:
        """Return the data files on disk, referred to or not."""
        return set(self.folder.glob("lake/**/*.parquet"))


def _listen(config: dict[str, t.Any], data: bytes) -> None:
    TargetParquetIceberg(config=config).listen(io.BytesIO(data))


@contextlib.contextmanager
def _errors() -> Iterator[list[str]]:
    errors: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    before = {number: signal.getsignal(number) for number in (2, 15)}
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(handler)
        for number, action in before.items():
            signal.signal(number, action)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty warehouse."""
    return Lake(tmp_path / "warehouse")


@pytest.fixture(scope="session")
def new_lake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Lake]:
    """As many empty warehouses as a test wants."""
    return lambda: Lake(tmp_path_factory.mktemp("warehouse"))


def schema(stream: str, keys: tuple[str, ...] = (), **properties: t.Any) -> t.Any:
    """Return a SCHEMA message; a property is a JSON Schema or a type's name."""
    full = {
        name: {"type": [kind, "null"]} if isinstance(kind, str) else kind
        for name, kind in properties.items()
    }
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"properties": full},
        "key_properties": list(keys),
    }


def record(stream: str, version: int | None = None, /, **values: t.Any) -> t.Any:
    """Return a RECORD message."""
    message = {"type": "RECORD", "stream": stream, "record": values}
    return message if version is None else {**message, "version": version}


def state(**bookmarks: t.Any) -> t.Any:
    """Return a STATE message with a bookmark for each stream."""
    return {"type": "STATE", "value": {"bookmarks": bookmarks}}


def activate(stream: str, version: int) -> t.Any:
    """Return an ACTIVATE_VERSION message."""
    return {"type": "ACTIVATE_VERSION", "stream": stream, "version": version}


@pytest.fixture
def say() -> t.Any:
    """The four message builders."""
    return _Say


class _Say:
    schema = staticmethod(schema)
    record = staticmethod(record)
    state = staticmethod(state)
    activate = staticmethod(activate)
