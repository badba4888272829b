"""Plain Parquet dies at every operation on its storage, and the next run makes it good.

The machine under the table counts what is done to storage and dies before, in the
middle of or after the k-th operation, for all k.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dativo_core.errors import ConfigurationError, FencedError
from target_parquet_iceberg.messages import Schema
from target_parquet_iceberg.parquet import ParquetWarehouse
from target_parquet_iceberg.parquet_files import Files, hidden
from target_parquet_iceberg.parquet_log import KEPT, Log
from target_parquet_iceberg.parquet_store import LocalStore, open_stores
from target_parquet_iceberg.plan import Method, plan
from target_parquet_iceberg.table import Commit

COLUMNS = {"id": {"type": "integer"}, "p": {"type": "string"}}
MOMENTS = ("before", "torn", "after")


class Killed(BaseException):
    """The process is gone: nothing may catch this."""


class Mortal:
    """A local folder that dies at the k-th operation that changes it."""

    hides = True

    def __init__(self, inner: LocalStore, root: t.Any, life: t.Any) -> None:
        self._inner = inner
        self._root = root
        self._life = life
        self.names, self.read, self.open = inner.names, inner.read, inner.open

    def create(self, name, content):
        """Die with a temporary file in the log's folder, or before, or after."""

        def tear():
            path = self._root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f"_{path.name}-0.tmp").write_bytes(content[:9])

        return self._do(lambda: self._inner.create(name, content), tear)

    def write(self, name, rows):
        """Die with half a file."""

        def tear():
            self._inner.write(name, rows)
            (self._root / name).write_bytes((self._root / name).read_bytes()[:40])

        return self._do(lambda: self._inner.write(name, rows), tear)

    def move(self, old, new):
        """Rename."""
        return self._do(lambda: self._inner.move(old, new))

    def delete(self, name):
        """Delete."""
        return self._do(lambda: self._inner.delete(name))

    def _do(self, act, tear=lambda: None):
        moment = self._life()
        if moment == "before":
            raise Killed
        if moment == "torn":
            tear()
            raise Killed
        result = act()
        if moment == "after":
            raise Killed
        return result


def immortal():
    """Never die."""


def dies_at(number, moment):
    """Return a life that ends at an operation."""
    count = itertools.count(1)
    return lambda: moment if next(count) == number else None


class Machine:
    """One table on a local disk, loaded by runs that may die."""

    def __init__(self, folder, *, keys=("id",), by=("p",), method="append-only"):
        self.folder = folder
        self.path = folder / "lake" / "s"
        self.runs = itertools.count(1)
        message = Schema("s", {"properties": COLUMNS}, keys)
        settings = {"format": "parquet", "load_method": method}
        settings["streams"] = {"*": {"partition_by": list(by)}}
        self.plan = plan(message, settings)
        self.method = Method(method)

    def open(self, life=immortal):
        """Begin a run."""
        run_id = f"20240101T000000-{next(self.runs):08x}"

        def store(name):
            root = self.folder / name
            return Mortal(LocalStore(str(root)), root, life)

        return ParquetWarehouse(store, "lake", run_id, lambda _: None).table(self.plan)

    def commit(self, table, ids, *, until, since=0):
        """Commit rows with a bookmark."""
        rows = pa.table({"id": list(ids), "p": [f"p{i % 2}" for i in ids]})
        rows = rows.cast(pa.schema([("id", pa.int64()), ("p", pa.string())]))
        bookmark = None if until is None else {"v": until}
        started = {"v": since} if since else {}
        keys = self.plan.keys
        commit = Commit(rows, self.method, keys, bookmark, started_from=started)
        table.commit(commit)

    def log(self):
        """Return the log."""
        return Log(LocalStore(str(self.path)), "lake.s", lambda _: None)

    def state(self):
        """Return the bookmark."""
        newest = self.log().newest()
        return (newest.state or {}).get("v", 0) if newest else 0

    def ids(self):
        """Return the rows as the log tells them, those that are hidden still too."""
        newest, files = self.log().newest(), Files(LocalStore(str(self.path)), "r")
        found: Counter[int] = Counter()
        for file in newest.files if newest else ():
            is_waiting = (self.path / hidden(file.path)).exists()
            path = hidden(file.path) if is_waiting else file.path
            rows = files.read(replace(file, path=path), newest.columns)
            found.update(rows["id"].to_pylist())
        return found

    def seen(self):
        """Return the rows that a glob finds."""
        files = self.path.glob("**/*.parquet")
        tables = [pq.ParquetFile(file).read(["id"]) for file in files]
        return Counter(i for rows in tables for i in rows["id"].to_pylist())

    def files(self):
        """Return what lies in the folder, apart from entries of the log."""
        found = (p.relative_to(self.path).as_posix() for p in self.path.rglob("*"))
        return {name for name in found if "." in name and not name.endswith(".json")}


def appended(machine, life):
    """Append rows 0 to 5, then 6 to 9, as a tap does that resumes."""
    since = machine.state()
    table = machine.open(life)
    for first, until in ((0, 6), (6, 10)):
        if since < until:
            machine.commit(table, range(first, until), until=until, since=since)


def replaced(machine, life):
    """Replace all rows by 10 to 13."""
    machine.commit(machine.open(life), range(10, 14), until=99)


def ten(machine):
    """Load rows 0 to 9."""
    appended(machine, immortal)


def nothing(_machine):
    """Begin with no folder."""


SCENES = {
    "append": (appended, nothing, {"method": "append-only"}, range(10)),
    "append without keys": (appended, nothing, {"keys": ()}, range(10)),
    "append without folders": (appended, nothing, {"by": ()}, range(10)),
    "overwrite": (replaced, ten, {"method": "overwrite"}, range(10, 14)),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_death_at_any_operation_is_made_good(tmp_path, scene, moment) -> None:
    """0 lost, 0 duplicate; a glob shows only rows of the table, and then all."""
    act, prepare, settings, ids = SCENES[scene]
    expected = Counter(ids)
    deaths = 0
    for number in itertools.count(1):
        machine = Machine(tmp_path / str(number), **settings)
        prepare(machine)
        before = machine.seen()
        try:
            act(machine, dies_at(number, moment))
            break
        except Killed:
            deaths += 1
        present = machine.seen()
        assert present <= before or present <= machine.ids(), number
        if machine.log().newest() is not None and machine.state():
            machine.open()  # any run that opens the table finishes the last commit
            assert machine.seen() == machine.ids(), number
        act(machine, immortal)
        assert machine.ids() == machine.seen() == expected, number
        machine.commit(machine.open(), [], until=100, since=machine.state())
        live = {file.path for file in machine.log().newest().files}
        assert machine.files() == live, number
    assert deaths >= 6, deaths


def test_a_run_without_state_store_adds_nothing_twice(tmp_path) -> None:
    """A tap that begins anew is recognised by its rows, with keys and without."""
    for keys in (("id",), ()):
        machine = Machine(tmp_path / str(len(keys)), keys=keys)
        ten(machine)
        machine.commit(machine.open(), range(12), until=12, since=0)
        assert machine.ids() == Counter(range(12))


def test_a_run_that_starts_in_the_middle_adds_nothing_twice(tmp_path) -> None:
    """Rows added since the entry with its bookmark are recognised, and no others."""
    machine = Machine(tmp_path, keys=())
    ten(machine)
    # The source holds row 0 once more: it is new, since it was sent before bookmark 6.
    machine.commit(machine.open(), [6, 7, 8, 9, 0], until=11, since=6)
    assert machine.ids() == Counter([*range(10), 0])


def test_rows_behind_the_bookmark_come_again(tmp_path) -> None:
    """A commit without a bookmark lies behind the bookmark that the table keeps."""
    machine = Machine(tmp_path, keys=())
    table = machine.open()
    machine.commit(table, range(6), until=6)
    machine.commit(table, range(6, 8), until=None)
    machine.commit(table, range(8, 10), until=10)
    machine.commit(machine.open(), range(6, 12), until=12, since=6)
    assert machine.ids() == Counter(range(12))


def test_the_second_of_two_runs_is_fenced(tmp_path) -> None:
    """The first commit wins; the loser leaves no file, and is fenced for good."""
    machine = Machine(tmp_path)
    first, second = machine.open(), machine.open()
    machine.commit(first, range(3), until=3)
    files = machine.files()
    for _ in range(2):
        with pytest.raises(FencedError, match="run 20240101T000000-00000001 has comm"):
            machine.commit(second, range(3), until=3)
    assert machine.files() == files
    machine.commit(first, range(3, 5), until=5)
    assert machine.ids() == Counter(range(5))


def test_a_run_that_slept_while_its_number_was_deleted_is_fenced(tmp_path) -> None:
    """Entries are kept for a while only; a number that is free again wins nothing."""
    machine = Machine(tmp_path)
    sleeper, other = machine.open(), machine.open()
    for number in range(KEPT + 3):
        machine.commit(other, [number], until=number)
    assert machine.log().read(2) is None
    with pytest.raises(FencedError):
        machine.commit(sleeper, [99], until=99)
    assert machine.ids() == Counter(range(KEPT + 3))
    machine.commit(machine.open(), [50], until=50)
    assert machine.ids() == machine.seen() == Counter([*range(KEPT + 3), 50])


def test_a_newer_run_is_not_robbed(tmp_path) -> None:
    """Clearing takes what lay there before a commit, never what a newer run writes."""
    machine = Machine(tmp_path)
    ten(machine)
    late = machine.open()
    stray = machine.path / "20230101T000000-00000000-00002-00000.parquet"
    stray.touch()
    clearing = machine.open()
    _let_another_run_commit_before_the_clearing(clearing, machine)
    machine.commit(clearing, [10], until=11, since=10)
    assert not stray.exists()
    assert machine.ids() == machine.seen() == Counter(range(12))
    with pytest.raises(FencedError):
        machine.commit(late, [12], until=12, since=10)


def _let_another_run_commit_before_the_clearing(table, machine):
    publish = table._files.publish

    def publish_and_wait(entry):
        publish(entry)
        machine.commit(machine.open(), [11], until=12, since=11)

    table._files.publish = publish_and_wait


class Deaf:
    """Storage that does what it is told, and whose answer is lost."""

    hides = True

    def __init__(self, inner, lost):
        self._inner = inner
        self._lost = lost

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def create(self, name, content):
        """Create, and time out as often as `lost` says: before it, or after."""
        if self._lost:
            if self._lost.pop(0) == "after":
                self._inner.create(name, content)
            raise TimeoutError
        return self._inner.create(name, content)


@pytest.mark.parametrize("lost", [["after"], ["before"], ["before", "after"]])
def test_an_unknown_outcome_is_read_back(tmp_path, lost) -> None:
    """A commit whose answer is lost is one commit, whether it had landed or not."""
    machine = Machine(tmp_path)
    ten(machine)
    answers: list[str] = []

    def store(name):
        return Deaf(LocalStore(str(tmp_path / name)), answers)

    run_id = "20240101T000000-0000ffff"
    house = ParquetWarehouse(store, "lake", run_id, lambda _: None)
    table = house.table(machine.plan)
    answers += lost
    machine.commit(table, [10], until=11, since=10)
    machine.commit(table, [11], until=12, since=10)
    assert answers == []
    assert machine.ids() == machine.seen() == Counter(range(12))


def test_files_of_others_are_never_deleted(tmp_path) -> None:
    """A folder with Parquet files and no log is refused; strangers stay."""
    machine = Machine(tmp_path)
    machine.path.mkdir(parents=True)
    stranger = machine.path / "mine.parquet"
    stranger.touch()
    with pytest.raises(ConfigurationError, match="but no log of this target"):
        machine.open()
    stranger.rename(machine.path / "mine.txt")
    ten(machine)
    assert (machine.path / "mine.txt").exists()


def stores(seaweed, prefix):
    """Open folders in a bucket."""
    options = seaweed.storage_options()
    return open_stores({"warehouse": prefix, "storage_options": options})


def test_s3_refuses_the_second(seaweed, bucket_prefix) -> None:
    """A conditional PUT succeeds once; the content stays that of the winner."""
    store = stores(seaweed, bucket_prefix)("lake/s")
    assert store.create("_dativo/1.json", b"one")
    assert not store.create("_dativo/1.json", b"two")
    assert store.read("_dativo/1.json") == b"one"


def test_the_second_of_two_runs_is_fenced_on_s3(
    seaweed, bucket_prefix, tmp_path
) -> None:
    """As on a local disk; what a dead run has left is cleared by the next commit."""
    machine = Machine(tmp_path)
    open_store = stores(seaweed, bucket_prefix)

    def run(number):
        run_id = f"20240101T000000-{number:08x}"
        house = ParquetWarehouse(open_store, "lake", run_id, lambda _: None)
        return house.table(machine.plan)

    open_store("lake/s").write("p=p0/mine.parquet", pa.table({"id": [1]}))
    with pytest.raises(ConfigurationError, match="but no log"):
        run(1)
    open_store("lake/s").delete("p=p0/mine.parquet")
    first, second = run(1), run(2)
    stray = "p=p0/20230101T000000-00000000-00002-00000.parquet"
    open_store("lake/s").write(stray, pa.table({"id": [1]}))
    machine.commit(first, range(4), until=4)
    with pytest.raises(FencedError):
        machine.commit(second, range(4), until=4)
    machine.commit(run(3), range(6), until=6, since=0)
    entry = Log(open_store("lake/s"), "s", lambda _: None).newest()
    assert (entry.sequence, sum(file.rows for file in entry.files)) == (3, 6)
    names = open_store("lake/s").names("")
    found = {name for name in names if name.endswith(".parquet")}
    assert found == {file.path for file in entry.files}


def test_a_put_without_an_answer_is_no_refusal(seaweed, bucket_prefix) -> None:
    """A dead endpoint is an error of storage, which the log may try again."""
    options = {**seaweed.storage_options(), "s3.endpoint": "http://127.0.0.1:9"}
    settings = {"warehouse": bucket_prefix, "storage_options": options}
    store = open_stores(settings)("lake/s")
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        store.create("_dativo/1.json", b"one")


def test_a_store_that_ignores_conditions_is_refused(
    seaweed, bucket_prefix, tmp_path
) -> None:
    """It would fence nobody: the run ends before a row is read."""
    machine = Machine(tmp_path)
    open_store = stores(seaweed, bucket_prefix)

    def careless(name):
        store = open_store(name)
        put = store._put

        def overwrite(path, content):
            try:
                put(path, content)
            except OSError:
                store._system.open_output_stream(path).close()

        store._put = overwrite
        return store

    house = ParquetWarehouse(careless, "lake", "r", lambda _: None)
    with pytest.raises(ConfigurationError, match="ignores 'If-None-Match'"):
        house.table(machine.plan)
