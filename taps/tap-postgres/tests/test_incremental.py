"""Incremental runs: each row version exactly once, however late it commits."""

from __future__ import annotations

import contextlib
import itertools
import random

import pytest
from tap_postgres.tap import TapPostgres

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now(), v text);
INSERT INTO t (id, v) SELECT i, 'first' FROM generate_series(1, 10) i;
"""


class Stream:
    """One incremental stream, run again and again."""

    def __init__(self, source, key="at", stream="public-t"):
        self.source = source
        self.catalog = source.catalog(stream, key=key)
        self.name = stream
        self.state = None

    def ids(self, **config):
        """Run once and return the keys that were sent."""
        run = self.source.run(self.catalog, self.state, **config)
        self.state = run.state
        return sorted(run.values("id"))

    @property
    def bookmark(self):
        """The state of the stream."""
        return self.state["bookmarks"][self.name]


def test_a_second_run_sends_nothing_although_all_rows_tie(source):
    """Ten rows share the bookmark's value, and none comes again."""
    source.sql(TABLE)
    stream = Stream(source)

    assert stream.ids() == list(range(1, 11))
    assert stream.ids() == []
    assert stream.bookmark["replication_key"] == "at"
    assert stream.bookmark["replication_key_value"].endswith("+00:00")


def test_a_late_commit_with_a_lower_value_is_sent(source):
    """Its transaction began before rows that an earlier run has sent already."""
    source.sql(TABLE)
    stream = Stream(source)
    with source.session() as other:
        other("BEGIN")
        other("INSERT INTO t VALUES (100)")
        source.sql("INSERT INTO t VALUES (200)")
        early = stream.ids()
        other("COMMIT")

    late = stream.ids()

    assert 100 not in early
    assert sorted(early + late) == [*range(1, 11), 100, 200]
    assert stream.ids() == []


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("timestamp", "2024-10-27 02:59:59", "2024-10-27 02:00:01"),
        ("date", "2024-10-27", "2024-10-26"),
    ],
)
def test_a_clock_that_goes_back_in_autumn_hides_no_row(source, kind, before, after):
    """Local time has an hour twice, in some places around midnight."""
    source.sql(
        f"CREATE TABLE t (id int PRIMARY KEY, at {kind})",
        f"INSERT INTO t VALUES (1, '{before}')",
    )
    stream = Stream(source)
    assert stream.ids() == [1]
    source.sql(f"INSERT INTO t VALUES (2, '{after}')")

    assert stream.ids() == [2]


def test_who_writes_in_another_database_hides_no_row(source, postgres_server):
    """What began to write after it waits for the next run, which must look for it."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    stream = Stream(source, key="id")
    assert stream.ids() == [1]
    database = postgres_server.create_database("elsewhere")
    elsewhere = type(source)(database, TapPostgres)
    with elsewhere.session() as other:
        other("BEGIN")
        other("CREATE TABLE x (n int)")
        source.sql("INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)")
        early = stream.ids()
        other("ROLLBACK")
    postgres_server.drop_database("elsewhere")

    assert sorted(early + stream.ids()) == [2, 3]
    assert stream.ids() == []


def test_a_late_commit_from_a_subtransaction_is_sent(source):
    """Rows written after a savepoint carry a transaction number of their own."""
    source.sql(TABLE)
    stream = Stream(source)
    with source.session() as other:
        other("BEGIN")
        other("INSERT INTO t VALUES (100)")
        other("SAVEPOINT a")
        other("INSERT INTO t VALUES (101)")
        source.sql("INSERT INTO t VALUES (200)")
        early = stream.ids()
        other("RELEASE SAVEPOINT a")
        other("COMMIT")

    assert sorted(early + stream.ids()) == [*range(1, 11), 100, 101, 200]


def test_a_transaction_that_writes_only_after_the_run_is_not_missed(source):
    """It had no number yet when the run looked, but its clock had started."""
    source.sql(TABLE)
    stream = Stream(source)
    with source.session() as other:
        other("BEGIN")
        other("SELECT now()")
        source.sql("INSERT INTO t VALUES (200)")
        early = stream.ids()
        other("INSERT INTO t VALUES (100)")
        other("COMMIT")

    assert early == [*range(1, 11), 200]
    assert stream.ids() == [100]


@pytest.mark.parametrize("runs", [1, 3, 12])
def test_a_long_transaction_over_many_runs_is_not_missed(source, runs):
    """The floor stays below it for as long as it is open."""
    source.sql(TABLE)
    stream = Stream(source)
    assert stream.ids() == [*range(1, 11)]
    with source.session() as other:
        other("BEGIN")
        other("INSERT INTO t VALUES (100)")
        sent = []
        for run in range(runs):
            source.sql(f"INSERT INTO t VALUES ({200 + run})")
            sent += stream.ids()
        other("COMMIT")

    sent += stream.ids()

    assert sorted(sent) == [100, *range(200, 200 + runs)]
    assert stream.ids() == []


def test_a_row_held_back_by_another_transaction_is_not_missed(source):
    """Committed, but with a higher number than one in progress; begun before both.

    Its value is lower than the checkpoint that the open transaction alone would allow.
    """
    source.sql("CREATE TABLE t (id int PRIMARY KEY, at int)")
    source.sql("INSERT INTO t VALUES (1, 10)", "CREATE TABLE other (i int)")
    stream = Stream(source)
    sent = stream.ids()
    with source.session() as early, source.session() as late:
        early("BEGIN")
        early("SELECT now()")
        source.sql("INSERT INTO t VALUES (2, 20)")
        sent += stream.ids()
        source.sql("INSERT INTO t VALUES (3, 30)")
        sent += stream.ids()
        late("BEGIN")
        late("INSERT INTO other VALUES (1)")
        early("INSERT INTO t VALUES (4, 11)")
        early("COMMIT")
        held_back = stream.ids()
        late("COMMIT")

    sent += stream.ids()

    assert held_back == []
    assert sorted(sent) == [1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_any_interleaving_of_writers_and_runs_sends_each_row_once(source, seed):
    """Writers take their value when they begin, and write and commit whenever."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY, at int)", "CREATE TABLE other ()")
    stream = Stream(source)
    chance = random.Random(seed)  # noqa: S311 chance, not secrets
    ids, clock, sent = itertools.count(1), itertools.count(1), []
    with contextlib.ExitStack() as opened:
        idle = [opened.enter_context(source.session()) for _ in range(4)]
        busy = []

        def begin():
            session = idle.pop(chance.randrange(len(idle)))
            session("BEGIN")
            session("SELECT now()")
            busy.append((session, next(clock)))

        def write():
            session, at = chance.choice(busy)
            if chance.random() < 0.3:
                session("SAVEPOINT s")
            if chance.random() < 0.2:
                session("INSERT INTO other DEFAULT VALUES")
            session(f"INSERT INTO t VALUES ({next(ids)}, {at})")

        def end():
            session, _ = busy.pop(chance.randrange(len(busy)))
            session("COMMIT" if chance.random() < 0.9 else "ROLLBACK")
            idle.append(session)

        def run():
            sent.extend(stream.ids())

        for _ in range(120):
            possible = [run, *([begin] * 2 if idle else []), *([write, end] * 2)]
            step = chance.choice(possible if busy else [run, begin])
            step()
        while busy:
            end()
    run()

    assert sorted(sent) == [
        key for [key] in sorted(source.database.query("SELECT id FROM t"))
    ]


def test_a_prepared_transaction_is_not_missed(source):
    """It belongs to no session, and may be committed at any time."""
    source.sql(TABLE)
    stream = Stream(source)
    assert stream.ids() == [*range(1, 11)]
    with source.session() as other:
        other("BEGIN")
        other("INSERT INTO t VALUES (100)")
        other("PREPARE TRANSACTION 'slow'")
    source.sql("INSERT INTO t VALUES (200)")
    sent = stream.ids() + stream.ids()
    source.sql("COMMIT PREPARED 'slow'")

    sent += stream.ids()

    assert sorted(sent) == [100, 200]
    assert stream.ids() == []


def test_a_user_who_may_not_see_others_misses_nothing(source):
    """Without pg_read_all_stats the starts of others are hidden."""
    source.sql(
        TABLE,
        "DROP ROLE IF EXISTS watcher",
        "CREATE ROLE watcher LOGIN PASSWORD 'secret'",
        "GRANT SELECT ON t TO watcher",
    )
    source.config |= {"user": "watcher", "password": "secret"}
    stream = Stream(source)
    with source.session() as other:
        other("BEGIN")
        other("INSERT INTO t VALUES (100)")
        source.sql("INSERT INTO t VALUES (200)")
        sent = stream.ids() + stream.ids()
        other("COMMIT")

    sent += stream.ids()

    assert sorted(sent) == [*range(1, 11), 100, 200]
    source.sql("DROP OWNED BY watcher", "DROP ROLE watcher")


def test_an_updated_row_comes_again(source):
    """Each version of a row is sent, also one that keeps its cursor value."""
    source.sql(TABLE)
    stream = Stream(source)
    stream.ids()
    source.sql("UPDATE t SET v = 'second' WHERE id = 3")

    assert stream.ids() == [3]


def test_rows_without_a_cursor_value_come_once(source):
    """A null is neither above nor below any bookmark."""
    source.sql(TABLE, "INSERT INTO t VALUES (50, NULL)")
    stream = Stream(source)

    assert 50 in stream.ids()

    source.sql("INSERT INTO t VALUES (51, NULL)")
    assert stream.ids() == [51]
    assert stream.ids() == []


def test_a_value_in_the_future_does_not_hide_later_rows(source):
    """A date of next century, or infinity, must not become the floor."""
    source.sql(
        TABLE,
        "INSERT INTO t VALUES (50, '2999-01-01'), (51, 'infinity'), (52, '-infinity')",
    )
    stream = Stream(source)
    assert len(stream.ids()) == 13
    source.sql("INSERT INTO t VALUES (60)")

    assert stream.ids() == [60]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("int8", "id"),
        ("int2", "id"),
        ("numeric(10, 3)", "id / 7.0"),
        ("float8", "id / 3.0"),
        ("float4", "id / 3.0"),
        ("text", "'key ''\\' || chr(955) || id"),
        ("date", "date '2024-01-01' + id"),
        ("timestamp", "timestamp '2024-01-01' + id * interval '1 day 1 microsecond'"),
        ("uuid", "md5(id::text)::uuid"),
    ],
)
def test_cursors_of_every_kind_find_what_is_new(source, declared, value):
    """The bookmark survives its way through JSON and back into SQL."""
    source.sql(
        f"CREATE TABLE t (id int PRIMARY KEY, at {declared})",
        f"INSERT INTO t SELECT id, {value} FROM generate_series(1, 250) id",
    )
    stream = Stream(source)
    assert len(stream.ids()) == 250
    source.sql("INSERT INTO t SELECT 999, at FROM t ORDER BY at DESC LIMIT 1")

    assert stream.ids() == [999]
    assert stream.ids() == []


@pytest.mark.parametrize("stop", [0, 1, 5])
def test_an_interrupted_run_goes_on_where_it_was(source, stop):
    """What was sent stays sent, also over a second crash."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, at int)",
        "INSERT INTO t SELECT i, i / 2 FROM generate_series(1, 3000) i",
    )
    catalog = source.catalog("public-t", key="at")
    sent, state = [], None
    for _ in range(2):
        run = source.run(catalog, state).until_state(stop)
        assert "partial" in run.state["bookmarks"]["public-t"]
        sent += run.values("id")
        state = run.state
        source.sql("UPDATE t SET at = at + 1 WHERE id = 7")
    resumed = source.run(catalog, state)

    sent += resumed.values("id")
    # The changed row comes again; of rows with one value, no state splits them.
    assert sorted(sent) == sorted([*range(1, 3001), *[7] * (len(sent) - 3000)])
    assert len(sent) <= 3002
    assert "partial" not in resumed.state["bookmarks"]["public-t"]
    assert source.run(catalog, resumed.state).records == []


@pytest.mark.parametrize("declared", ["date", "timestamp", "timestamptz", "int8"])
def test_an_interrupted_run_repeats_no_tie(source, declared):
    """A table without a key could not tell, and each row would be there twice."""
    value = (
        "i / 70"
        if declared == "int8"
        else "timestamp '2024-01-01' + i / 70 * '1 d'::interval"
    )
    source.sql(
        f"CREATE TABLE t (id int, at {declared})",
        f"INSERT INTO t SELECT i, ({value})::{declared} FROM generate_series(1, 999) i",
        "INSERT INTO t SELECT i, NULL FROM generate_series(1000, 1200) i",
    )
    catalog = source.catalog("public-t", key="at")
    sent, state = [], None
    while state is None or "partial" in state["bookmarks"]["public-t"]:
        run = source.run(catalog, state).until_state(1)
        sent += run.values("id")
        state = run.state

    assert sorted(sent) == [*range(1, 1201)]


def test_texts_that_are_equal_are_not_taken_for_different(source):
    """Where a collation takes "A" for "a", what is above one leaves out the other."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, at text)",
        "INSERT INTO t SELECT i, i / 7 FROM generate_series(1, 900) i",
    )
    catalog = source.catalog("public-t", key="at")
    run = source.run(catalog, None).until_state(1)
    last = run.records[-1]["at"]
    again = source.run(catalog, run.state)

    assert [r["at"] for r in again.records].count(last) == 7
    assert {*run.values("id"), *again.values("id")} == {*range(1, 901)}


def test_the_state_of_another_tap_is_taken_over(source):
    """It knows a value only: ties come once more, lower rows do not."""
    source.sql(TABLE.replace("now()", "'2024-01-01'"))
    source.sql("INSERT INTO t VALUES (50, '2023-01-01'), (51, '2024-06-01')")
    stream = Stream(source)
    stream.state = {
        "bookmarks": {
            "public-t": {
                "replication_key": "at",
                "replication_key_value": "2024-01-01T00:00:00+00:00",
            }
        }
    }

    assert stream.ids() == [*range(1, 11), 51]
    assert stream.ids() == []


@pytest.mark.parametrize("change", [{"cluster": "x/1"}, {"horizon": 2**40}])
def test_the_state_of_another_server_is_not_trusted(source, change):
    """Transaction numbers of a restored copy mean nothing: ties come again."""
    source.sql(TABLE)
    stream = Stream(source)
    stream.ids()
    stream.bookmark.update(change)

    assert stream.ids() == [*range(1, 11)]
    assert stream.ids() == []


def test_a_changed_replication_key_starts_over(source):
    """A bookmark of another column is no bookmark."""
    source.sql(TABLE)
    stream = Stream(source)
    stream.ids()
    stream.catalog = source.catalog("public-t", key="id")

    assert stream.ids() == [*range(1, 11)]
    assert stream.bookmark["replication_key_value"] == 10


def test_a_view_repeats_ties_and_waits_for_open_transactions(source):
    """Views have no transaction numbers, only a cap at the oldest open start."""
    source.sql(TABLE, "CREATE VIEW w AS SELECT * FROM t")
    stream = Stream(source, stream="public-w")
    assert stream.ids() == [*range(1, 11)]
    assert stream.ids() == [*range(1, 11)]
    with source.session() as other:
        other("BEGIN")
        other("INSERT INTO t VALUES (100)")
        source.sql("INSERT INTO t VALUES (200)")
        assert stream.ids() == [*range(1, 11)]
        other("COMMIT")

    assert stream.ids() == [*range(1, 11), 100, 200]
    assert stream.ids() == [200]


def test_a_view_by_an_ordinary_number_repeats_the_last_value(source):
    """No cap is possible, and none is needed where nothing commits late."""
    source.sql(TABLE, "CREATE VIEW w AS SELECT * FROM t")
    stream = Stream(source, key="id", stream="public-w")

    assert stream.ids() == [*range(1, 11)]
    assert stream.ids() == [10]


def test_a_materialized_view_sends_what_a_refresh_wrote(source):
    """Also rows that are older than the newest one sent before."""
    source.sql(TABLE, "CREATE MATERIALIZED VIEW w AS SELECT * FROM t")
    source.sql("CREATE UNIQUE INDEX ON w (id)")
    stream = Stream(source, stream="public-w")
    assert stream.ids() == [*range(1, 11)]
    source.sql("INSERT INTO t VALUES (50, '1999-01-01')")
    assert stream.ids() == []
    source.sql("REFRESH MATERIALIZED VIEW CONCURRENTLY w")

    assert stream.ids() == [50]


def test_stream_maps_leave_the_same_state(source):
    """The record-by-record way arrives at the same bookmark."""
    source.sql(TABLE)
    catalog = source.catalog("public-t", key="id")

    plain = source.run(catalog)
    mapped = source.run(catalog, stream_maps={"public-t": {"v": "v"}})

    assert mapped.records == plain.records
    first, second = (run.state["bookmarks"]["public-t"] for run in (plain, mapped))
    assert first["replication_key_value"] == second["replication_key_value"] == 10
    assert first["horizon"] == second["horizon"]
    assert first.keys() == second.keys()
