"""Spark, the engine that most tables of the world are read and looked after with.

One session for the module. `nox -s spark` makes its environment: 400 MB, and Java 17.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from dativo_core.errors import IncompleteError
from pyiceberg.table.snapshots import Operation
from readers.cases import CASES, LONG, REWRITES, TEXT, canonical, kv, load
from readers.conftest import run_target
from readers.jars import spark_jars
from target_parquet_iceberg.bookmarks import Bookmarks
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.snapshots import SnapshotWriter

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dativo_sandbox.database import Database
    from dativo_sandbox.postgres import PostgresServer
    from readers.cases import Lines, Row
    from readers.conftest import Lake

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("spark.py")
# A column of time makes a table unreadable to Spark, so such tables come twice.
WITH_TIME = {"types", "types_by_deletes"}
NO_TIME = "Spark does not support time fields"
REST = {"enabled": False}


class Spark:
    """The session, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def sql(self, statement: str) -> list[Row]:
        """Run SQL, which must succeed."""
        reply = self.ask({"sql": statement})
        assert "rows" in reply, reply
        return reply["rows"]

    def ask(self, request: Row) -> Row:
        """Return what the session answers: rows, or an error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        return json.loads(line)


@pytest.fixture(scope="module")
def shared(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, Path]]:
    """A catalog for us and Spark, in PostgreSQL, and its warehouse."""
    name = "spark"
    database = postgres_server.create_database(name)
    yield database, tmp_path_factory.mktemp("shared")
    postgres_server.drop_database(name)


@pytest.fixture(scope="module")
def spark(
    shared: tuple[Database, Path],
    peer: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Spark]:
    """Start Spark over the shared catalog."""
    if shutil.which("java") is None:
        pytest.fail("Spark needs Java 17; there is no `java` on PATH.", pytrace=False)
    programs, log = peer("spark"), tmp_path_factory.mktemp("spark") / "spark.log"
    jars = spark_jars(programs.parent)
    database, warehouse = shared
    login = f"user={database.user}&password={database.password}&sslmode=disable"
    place = f"{database.host}:{database.port}/{database.name}"
    uri = f"jdbc:postgresql://{place}?{login}"
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [programs / "python", PROGRAM, uri, warehouse, *jars],
                env={**os.environ, "TZ": "UTC"},
                cwd=log.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(log.open("w")),
                text=True,
            )
        )
        stack.callback(process.kill)
        yield Spark(process, log)


@pytest.mark.parametrize("case", CASES)
def test_reader(spark: Spark, lake: Lake, case: str) -> None:
    """Spark gives exactly the rows that were sent; a time of day it refuses."""
    reply = spark.ask({"read": lake.locations[case]})
    if case in WITH_TIME:
        assert NO_TIME in reply["error"]
    else:
        assert canonical(reply["rows"]) == canonical(CASES[case].rows)


def bookmark(number: int) -> Row:
    """Return a STATE."""
    return {"type": "STATE", "value": {"bookmarks": {"s": {"v": number}}}}


class Story:
    """One table of the lake: loads of ours, and care by Spark."""

    def __init__(
        self, name: str, spark: Spark, database: Database, warehouse: Path
    ) -> None:
        self.name = name
        self.spark = spark
        self.settings = {
            "warehouse": str(warehouse),
            "catalog": {"type": "sql", "uri": database.dsn},
            "streams": {"s": {"table": name}},
            "maintenance": REST,
        }

    def load(self, number: int, lines: Lines, since: int | None = None) -> None:
        """Run the target up to a bookmark, from an earlier one on."""
        first = [] if since is None else [bookmark(since)]
        run_target(self.settings, [*first, *lines, bookmark(number)])

    def compact(self) -> Row:
        """Let Spark write all data files anew, deletes applied."""
        [done] = self.spark.sql(
            "CALL dativo.system.rewrite_data_files("
            f"table => 'lake.{self.name}', options => map('rewrite-all', 'true'))"
        )
        return done

    def expire(self) -> Row:
        """Let Spark forget all snapshots but those that refs name."""
        [done] = self.spark.sql(
            f"CALL dativo.system.expire_snapshots(table => 'lake.{self.name}', "
            "older_than => TIMESTAMP '9999-01-01 00:00:00', retain_last => 1)"
        )
        return done

    def table(self) -> t.Any:
        """Return the table as it is now."""
        with open_catalog(self.settings) as catalog:
            return catalog.load_table(("lake", self.name))

    def has(self, rows: list[Row], number: int) -> None:
        """The table has these rows and this bookmark, to us and to Spark."""
        ours = self.table().scan().to_arrow().to_pylist()
        theirs = self.spark.sql(f"SELECT * FROM dativo.lake.{self.name}")
        assert canonical(ours) == canonical(rows)
        assert canonical(theirs) == canonical(rows)
        assert Bookmarks(self.settings).all()["s"] == {"v": number}


@pytest.fixture
def story(
    request: pytest.FixtureRequest, spark: Spark, shared: tuple[Database, Path]
) -> Iterator[Story]:
    """A table that is dropped after the test: bookmarks are looked up by stream."""
    made = Story(request.node.name, spark, *shared)
    yield made
    with open_catalog(made.settings) as catalog:
        catalog.drop_table(("lake", made.name))


def test_upserts_go_on_after_compaction_and_expiry(story: Story) -> None:
    """Bookmark and rows survive Spark's care, and the next upsert finds its keys."""
    case = CASES["upsert_twice_by_deletes"]
    for number, lines in enumerate(case.loads):
        run_target(story.settings, [*lines, bookmark(number)], case.rule)
    assert story.compact()["rewritten_data_files_count"] > 1
    story.has(case.rows, 2)
    expired = story.expire()
    assert expired["deleted_data_files_count"] > 1
    assert expired["deleted_position_delete_files_count"] > 0
    [snapshot] = story.table().metadata.snapshots
    assert snapshot.summary.operation == Operation.REPLACE
    story.has(case.rows, 2)
    story.load(3, load(kv(range(20, 40), "last")), since=2)
    others = [row for row in case.rows if row["id"] not in range(20, 40)]
    story.has([*others, *kv(range(20, 40), "last")], 3)


def test_appends_are_recognised_after_compaction_and_expiry(story: Story) -> None:
    """Rows without keys that come again are stored once, their history gone or not."""
    story.load(0, load(kv(range(5), "a"), ()))
    story.load(1, load(kv(range(5, 10), "b"), ()), since=0)
    story.compact()
    story.expire()
    again = [*kv(range(5, 10), "b"), *kv(range(10, 15), "c")]
    story.load(2, load(again, ()), since=0)
    story.has([*kv(range(5), "a"), *again], 2)


def test_a_cut_full_load_goes_on_after_care(story: Story) -> None:
    """The branch of a load that is not whole is no orphan to Spark."""
    story.load(0, load(kv(range(20), "old"), version=1))
    *part, last, _ = load(kv(range(4), "new"), version=2)
    with pytest.raises(IncompleteError):
        run_target({**story.settings, "commit_max_rows": 1}, [*part, bookmark(1), last])
    assert "dativo-load-2" in story.table().metadata.refs
    story.compact()
    story.expire()
    assert "dativo-load-2" in story.table().metadata.refs
    story.load(2, load(kv(range(3, 6), "new"), version=2), since=1)
    story.has(kv(range(6), "new"), 2)


def test_compaction_under_a_load(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark commits between our plan and our commit: the plan is made anew."""
    story.load(0, load(kv(range(100), "old")))
    compacted = []
    send = SnapshotWriter.send

    def send_late(writer: SnapshotWriter) -> None:
        if not compacted:
            compacted.append(story.compact())
        send(writer)

    monkeypatch.setattr(SnapshotWriter, "send", send_late)
    story.load(1, load(kv(range(10), "new")), since=0)
    assert compacted[0]["rewritten_data_files_count"] == 1
    operations = [s.summary.operation for s in story.table().metadata.snapshots]
    assert operations.count(Operation.REPLACE) == 1
    story.has([*kv(range(10), "new"), *kv(range(10, 100), "old")], 1)


def test_rows_by_spark_are_upserted(story: Story) -> None:
    """What Spark inserts and deletes is the table that the next load works on."""
    story.load(0, load(kv(range(10), "old"), id=LONG, v=TEXT))
    where = f"dativo.lake.{story.name}"
    story.spark.sql(f"INSERT INTO {where} VALUES (10, 'spark')")
    story.spark.sql(f"DELETE FROM {where} WHERE id < 5")
    run_target(
        story.settings,
        [bookmark(0), *load(kv(range(4, 6), "new")), bookmark(1)],
        REWRITES,
    )
    story.has(
        [*kv(range(4, 6), "new"), *kv(range(6, 10), "old"), {"id": 10, "v": "spark"}], 1
    )
