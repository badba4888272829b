"""The `dativo` command and the target in this process: a start takes a second."""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import typing as t
from dataclasses import dataclass

import pytest
from dativo_cli.main import dativo as command
from dativo_core.entrypoint import guarded
from dativo_core.logs import PlainLines
from target_parquet_iceberg.target import TargetParquetIceberg

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    stdout: bytes
    stderr: bytes


def run(work: Callable[[], t.Any]) -> Ended:
    """Do what a program does, but for its start and its signals."""
    said, told = io.BytesIO(), io.TextIOWrapper(io.BytesIO(), write_through=True)
    output = io.TextIOWrapper(said, write_through=True)
    with (
        _logs_to(told),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(told),
    ):
        code = guarded(work)
    return Ended(int(code), said.getvalue(), told.buffer.getvalue())


def dativo(*arguments: object) -> Ended:
    """Run the `dativo` command."""
    given = list(map(str, arguments))
    return run(lambda: command.main(given, "dativo", standalone_mode=False))


def load(config: dict[str, t.Any], data: bytes) -> Ended:
    """Run the target over lines."""
    return run(lambda: TargetParquetIceberg(config=config).listen(io.BytesIO(data)))


@contextlib.contextmanager
def _logs_to(stream: t.TextIO) -> Iterator[None]:
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    handler.setFormatter(PlainLines("%(message)s"))
    before = {number: signal.getsignal(number) for number in (2, 15)}
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        for number, action in before.items():
            signal.signal(number, action)


@pytest.fixture(name="dativo")
def dativo_fixture():
    """The `dativo` command, given its arguments."""
    return dativo


@pytest.fixture(name="load")
def load_fixture():
    """The target, given its settings and lines."""
    return load
