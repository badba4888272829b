"""One behaviour, whatever catalog keeps the tables: SQLite, PostgreSQL, REST or Glue.

REST is SeaweedFS' own catalog; Glue is moto, with the one rule of AWS that moto leaves
out (`GlueRule`). What a catalog does otherwise is a test of its own below.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pytest
from dativo_core.errors import ConfigurationError, FencedError, TryLaterError
from moto.core.exceptions import JsonRESTError
from moto.glue.responses import GlueResponse
from moto.server import ThreadedMotoServer
from pyiceberg.exceptions import CommitFailedException
from target_parquet_iceberg import upkeep
from target_parquet_iceberg.bookmarks import Bookmarks
from target_parquet_iceberg.catalogs import open_catalog
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.iceberg import IcebergWarehouse
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.rollback import open_table, points, rollback
from target_parquet_iceberg.snapshots import SnapshotWriter
from target_parquet_iceberg.table import Commit

LOOPBACK = "127.0.0.1"
WRITERS = 4
PARTS = {"id": {"type": "integer"}, "v": {"type": ["string", "null"]}}
CATALOGS = ["sqlite", "postgres", "rest", "glue"]
# They check a commit's requirements here and then swap one value over there.
SWAPPING = ["sqlite", "postgres", "glue"]


class GlueRule:
    """UpdateTable with a stale VersionId is refused, as AWS documents and moto forgets.

    https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateTable.html
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.versions: list[str] = []
        self._update = GlueResponse.update_table
        self._lock = threading.Lock()

    def update_table(self, response: GlueResponse) -> str:
        wanted = response.parameters["VersionId"]
        found = response.glue_backend.get_table(
            response.parameters["DatabaseName"],
            response.parameters["TableInput"]["Name"],
        )
        with self._lock:
            self.versions.append(wanted)
            if wanted != str(max(map(int, found.versions))):
                message = "Update table failed due to concurrent modifications."
                raise JsonRESTError("ConcurrentModificationException", message)
            return self._update(response)


@pytest.fixture(scope="session")
def moto():
    """Glue on loopback; it checks no credentials."""
    server = ThreadedMotoServer(LOOPBACK, 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def glue_rule(moto, monkeypatch) -> GlueRule:
    """Let moto refuse stale versions."""
    rule = GlueRule(moto)

    def update(response: GlueResponse) -> str:
        return rule.update_table(response)

    monkeypatch.setattr(GlueResponse, "update_table", update)
    return rule


@pytest.fixture
def glue(glue_rule):
    """The properties of a Glue catalog."""
    keys = ("glue.access-key-id", "glue.secret-access-key")
    here = {"glue.endpoint": glue_rule.url, "glue.region": "us-east-1"}
    return {"type": "glue", **here, **dict.fromkeys(keys, "none")}


@dataclass
class House:
    """A warehouse in some catalog: settings, and ways to look at its only table."""

    settings: dict

    def open(self):
        return open_catalog(self.settings)

    def table(self):
        with self.open() as catalog:
            return catalog.load_table((self.settings["namespace"], "s"))

    def rows(self):
        found = self.table().scan().to_arrow().to_pylist()
        return sorted(found, key=lambda row: row["id"])

    def run(self, run_id, catalog=None):
        """Return the table of stream `s` as a run sees it."""
        house = IcebergWarehouse(
            catalog or self.open(), self.settings["namespace"], run_id, lambda _n: None
        )
        return house.table(plan(Schema("s", {"properties": PARTS}, ("id",)), {}))


@pytest.fixture
def house(request, tmp_path) -> House:
    """An empty warehouse in the catalog that the test asks for."""
    need = request.getfixturevalue
    namespace = f"n{secrets.token_hex(4)}"
    settings = {"namespace": namespace, "warehouse": str(tmp_path / "warehouse")}
    settings["dead_letter"] = {"path": str(tmp_path / "letters")}
    if request.param == "postgres":
        settings["catalog"] = {"type": "sql", "uri": need("database").dsn}
    elif request.param == "rest":
        settings["catalog"] = need("seaweed").rest_catalog_properties()
        settings["warehouse"] = need("seaweed").warehouse
    elif request.param == "glue":
        settings["catalog"] = need("glue")
    return House(settings)


every = pytest.mark.parametrize("house", CATALOGS, indirect=True)


def rows(*ids, v="a"):
    """Return rows of id and v."""
    values = pa.array([v] * len(ids), pa.string())
    return pa.table({"id": pa.array(ids, pa.int64()), "v": values})


def commit(table, *ids, v="a", bookmark=None):
    """Upsert rows."""
    table.commit(Commit(rows(*ids, v=v), Method.UPSERT, ("id",), bookmark))


@every
def test_two_loads_with_a_new_column(house, lake, say) -> None:
    """Upsert, schema evolution and bookmark, each load in one snapshot."""
    first = say.schema("s", ("id",), id="integer", v="string")
    lines = [say.record("s", id=1, v="a"), say.record("s", id=2, v="a")]
    done = lake.load(first, *lines, say.state(s={"v": 1}), **house.settings)
    assert (done.code, done.errors) == (0, [])
    wider = say.schema("s", ("id",), id="integer", v="string", n="number")
    lines = [say.record("s", id=2, v="b", n=0.5), say.state(s={"v": 2})]
    before = say.state(s={"v": 1})
    assert lake.load(before, wider, *lines, **house.settings).code == 0
    assert house.rows() == [
        {"id": 1, "v": "a", "n": None},
        {"id": 2, "v": "b", "n": 0.5},
    ]
    assert len(house.table().snapshots()) == 2
    assert Bookmarks(house.settings).all() == {"s": {"v": 2}}  # as `dativo state show`


@every
def test_second_run_is_fenced(house) -> None:
    """Of two runs that opened a table, the slower one stores nothing."""
    first, second = house.run("r1"), house.run("r2")
    commit(first, 1, bookmark={"v": 1})
    with pytest.raises(FencedError, match="run r1 has committed"):
        commit(second, 2)
    commit(first, 3)
    assert [row["id"] for row in house.rows()] == [1, 3]


def begun_at_once(house) -> list:
    """Let runs create one table at the same moment; leave out those told to retry."""
    start = threading.Barrier(WRITERS)
    catalogs = [house.open() for _ in range(WRITERS)]

    def begin(number: int):
        start.wait()
        with contextlib.suppress(TryLaterError), explained("lake"):
            return house.run(f"r{number}", catalogs[number])

    with ThreadPoolExecutor(WRITERS) as pool:
        return [run for run in pool.map(begin, range(WRITERS)) if run]


@pytest.mark.parametrize("house", SWAPPING, indirect=True)
def test_runs_that_create_one_table_at_once(house) -> None:
    """All find one table; the first that commits has it, the others are fenced."""
    first, *others = begun_at_once(house)
    assert len(others) == WRITERS - 1
    commit(first, 1)
    for other in others:
        with pytest.raises(FencedError, match="run r0 has committed"):
            commit(other, 2)
    assert [row["id"] for row in house.rows()] == [1]


@pytest.mark.parametrize("house", ["rest"], indirect=True)
def test_creation_that_is_not_atomic(house) -> None:
    """SeaweedFS fails some who create at once and replaces the tables of others.

    They are told to run again, or fenced by their first commit: nothing is mixed.
    """
    won = []
    for number, run in enumerate(begun_at_once(house)):
        with contextlib.suppress(FencedError):
            commit(run, number)
            won.append(number)
    commit(house.run("again"), 99)
    assert len(won) <= 1
    assert [row["id"] for row in house.rows()] == [*won, 99]


@every
def test_first_runs_open_the_catalog_at_once(house) -> None:
    """SQL catalogs make their own tables first; that is nobody's failure."""
    start = threading.Barrier(WRITERS)

    def begin(_number: int) -> None:
        start.wait()
        house.open().close()

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(begin, range(WRITERS)))


def staged(house, number: int) -> SnapshotWriter:
    """Return a writer that has all but sent its commit, on the table as it is now."""
    writer = SnapshotWriter(house.table().transaction())
    writer.transaction.set_properties({"winner": str(number)})
    writer.commit(writer.append(rows(number)), {"dativo.run-id": str(number)})
    return writer


@every
@pytest.mark.parametrize("retries", [None, "4"])
def test_one_writer_wins(house, retries) -> None:
    """Many writers from one base: one commit lands, and nobody tries it again."""
    commit(house.run("r1"), 100)
    if retries is not None:
        with house.table().transaction() as change:
            change.set_properties({"commit.retry.num-retries": retries})
    base = len(house.table().snapshots())
    writers = [staged(house, number) for number in range(WRITERS)]
    start = threading.Barrier(WRITERS)

    def send(writer: SnapshotWriter) -> bool:
        start.wait()
        try:
            writer.send()
        except CommitFailedException:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        won = list(pool.map(send, writers))
    assert won.count(True) == 1
    assert len(house.table().snapshots()) == base + 1
    assert house.table().properties["winner"] == str(won.index(True))
    assert [row["id"] for row in house.rows()] == [won.index(True), 100]


def overtaken(house, monkeypatch) -> None:
    """Send a commit, with another between its check and its swap."""
    commit(house.run("r1"), 100)
    slow, fast = staged(house, 1), staged(house, 2)
    catalog = slow.transaction._table.catalog
    write = type(catalog)._write_metadata

    def write_late(metadata, io, metadata_path) -> None:
        write(metadata, io, metadata_path)
        fast.send()

    monkeypatch.setattr(catalog, "_write_metadata", write_late)
    slow.send()


@pytest.mark.parametrize("house", SWAPPING, indirect=True)
def test_swap_is_atomic(house, monkeypatch) -> None:
    """What was checked may be old when it is swapped: then nothing is."""
    with pytest.raises(CommitFailedException):
        overtaken(house, monkeypatch)
    assert [row["id"] for row in house.rows()] == [2, 100]


@pytest.mark.parametrize("house", ["glue"], indirect=True)
def test_glue_gets_the_version_that_was_checked(house, glue_rule, monkeypatch) -> None:
    """Alone, moto takes any VersionId; that it is sent right is all it can show.

    Without the rule the very same race loses a commit, as it never would on AWS.
    """
    run = house.run("r1")
    commit(run, 1)
    commit(run, 2)
    assert glue_rule.versions == ["1", "2"]
    monkeypatch.setattr(GlueResponse, "update_table", glue_rule._update)
    with house.open() as catalog:
        name = {"DatabaseName": house.settings["namespace"]}
        present = catalog.glue.get_table(**name, Name="s")["Table"]
        kept = {part: present[part] for part in ("Name", "Parameters", "TableType")}
        catalog.glue.update_table(**name, TableInput=kept, VersionId="77")
        catalog.drop_table((house.settings["namespace"], "s"))
    overtaken(house, monkeypatch)
    assert [row["id"] for row in house.rows()] == [1, 100]


@every
def test_rollback(house) -> None:
    """Rows and bookmark go back together, and a run that goes on is fenced."""
    commit(house.run("r1"), 1, bookmark={"v": 1})
    second = house.run("r2")
    commit(second, 1, 2, v="b", bookmark={"v": 2})
    table = open_table(house.settings, "s")
    assert [point.run_id for point in points(table)] == ["r2", "r1"]
    rollback(table, "r1")
    assert house.rows() == [{"id": 1, "v": "a"}]
    assert Bookmarks(house.settings).all() == {"s": {"v": 1}}
    with pytest.raises(FencedError, match="run rollback has committed"):
        commit(second, 3)


@every
def test_maintenance(house) -> None:
    """Small files are merged and old snapshots go, under a run that goes on."""
    run = house.run("r1")
    for number in range(12):
        run.commit(Commit(rows(number), Method.APPEND, (), {"v": number}))
    rules = {"maintenance": {"keep_days": 0, "keep_snapshots": 1}}
    [report] = list(
        upkeep.maintain({**house.settings, **rules}, ("s",), 60, is_dry=False)
    )
    assert (report.merged, report.written) == (12, 1)
    assert report.snapshots > 1
    run.commit(Commit(rows(99), Method.APPEND, (), {"v": 99}))
    assert [row["id"] for row in house.rows()] == [*range(12), 99]
    assert Bookmarks(house.settings).all() == {"s": {"v": 99}}


@pytest.mark.parametrize("house", ["postgres"], indirect=True)
def test_lost_connection(house, database) -> None:
    """A server that drops idle connections costs an attempt, not the run."""
    run = house.run("r1")
    commit(run, 1)
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    database.query(
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}"
    )
    commit(run, 2)
    assert [row["id"] for row in house.rows()] == [1, 2]


@pytest.mark.parametrize("house", ["postgres"], indirect=True)
def test_wrong_password(house, lake, say) -> None:
    """It is a matter of credentials, and is not printed."""
    before, _, host = house.settings["catalog"]["uri"].rpartition("@")
    user = before.rpartition(":")[0]
    house.settings["catalog"]["uri"] = f"{user}:geheim@{host}"
    outcome = lake.load(say.schema("s", id="integer"), **house.settings)
    assert outcome.code == 77
    assert "password authentication failed" in outcome.errors[-1]
    assert "geheim" not in "".join(outcome.errors)


@pytest.mark.parametrize(
    ("module", "extra", "catalog"),
    [
        ("psycopg2", "postgres", {"type": "sql", "uri": "postgresql://h/db"}),
        ("boto3", "glue", {"type": "glue"}),
    ],
)
def test_missing_driver(tmp_path, monkeypatch, module, extra, catalog) -> None:
    """The message names our extra that brings it."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "pyiceberg.catalog.glue", raising=False)
    with pytest.raises(ConfigurationError, match=rf"iceberg\[{extra}\]") as caught:
        open_catalog({"warehouse": str(tmp_path), "catalog": catalog})
    assert module in caught.value.what
