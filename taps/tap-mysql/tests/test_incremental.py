"""Incremental runs: nothing missed, however late a transaction commits."""

from __future__ import annotations

import pytest
from dativo_core.errors import ConfigurationError
from tap_mysql import bookmarks, incremental
from tap_mysql.bookmarks import Activity, Bookmark, Checkpoint
from tap_mysql.queries import Key

TABLE = """
CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v text,
                at datetime(6) NOT NULL DEFAULT NOW(6), KEY (at));
"""
ID, AT = Key("t", "id", "int"), Key("t", "at", "datetime")
DAY = Key("t", "day", "date")


def fill(source, count=10, start=1):
    """Add rows with numbers for values."""
    source.sql(
        f"INSERT INTO t (v, at) SELECT seq, NOW(6) - INTERVAL 1 HOUR + INTERVAL seq "
        f"MICROSECOND FROM seq_{start}_to_{start + count - 1}"
    )


def mark(run, source):
    """Return the last bookmark."""
    return run.state["bookmarks"][source.stream("t")]


@pytest.mark.parametrize("key", ["id", "at"])
def test_a_run_reads_what_came_after_the_one_before(source, key):
    """The last row is read again: another may have the same value."""
    source.sql(TABLE)
    fill(source)
    catalog = source.catalog("t", key=key)
    first = source.run(catalog)
    assert len(first.records) == 10
    assert mark(first, source)["replication_key_value"] == first.values(key)[-1]
    source.sql("INSERT INTO t (v) VALUES ('new')")

    second = source.run(catalog, first.state)

    assert [v for v in second.values("v") if v not in first.values("v")] == ["new"]
    if key == "id":
        assert second.values("v") == ["10", "new"]
    third = source.run(catalog, second.state)
    assert third.values("v")[-1:] == ["new"]


@pytest.mark.parametrize("key", ["id", "at"])
def test_a_late_commit_is_not_missed(source, key):
    """A row with a low value becomes visible after a run has seen a higher one."""
    source.sql(TABLE)
    fill(source)
    catalog = source.catalog("t", key=key)
    first = source.run(catalog)
    with source.session() as other:
        other("BEGIN")
        other("INSERT INTO t (v) VALUES ('late')")
        source.sql("INSERT INTO t (v) VALUES ('early')")
        second = source.run(catalog, first.state)
        assert second.values("v")[-1] == "early"
        other("COMMIT")

    third = source.run(catalog, second.state)

    assert {"late", "early"} <= set(third.values("v"))
    fourth = source.run(catalog, third.state)
    assert fourth.values(key)[-1] == max(third.values(key))
    if key == "id":
        assert len(fourth.records) == 1


def test_a_list_of_transactions_that_is_not_new_is_not_believed(source):
    """InnoDB shows to all who ask within a tenth of a second what it showed before."""
    source.sql(TABLE)
    waits = []
    with source.tap().connections.lend() as client, source.session() as other:
        source.database.query("SELECT 1 FROM information_schema.innodb_trx")
        other("BEGIN")
        other("INSERT INTO t (v) VALUES ('late')")

        found = incremental._activity(client, waits.append)

    assert found.oldest_open is not None or not found.is_known


def test_a_transaction_may_stay_open_for_many_runs(source):
    """The bookmark waits below what it may write, for as long as it takes."""
    source.sql(TABLE)
    fill(source)
    catalog = source.catalog("t", key="id")
    state = source.run(catalog).state
    with source.session() as other:
        other("BEGIN")
        other("INSERT INTO t (v) VALUES ('late')")
        for number in range(12):
            source.sql(f"INSERT INTO t (v) VALUES ('early {number}')")
            state = source.run(catalog, state).state
        other("COMMIT")

    assert "late" in source.run(catalog, state).values("v")


def test_without_the_privilege_the_look_back_decides(source):
    """Transactions of others cannot be seen: rows of so many seconds come again."""
    source.sql(TABLE)
    fill(source)
    user, password = "nosy", "secret"
    source.sql(
        f"CREATE OR REPLACE USER {user} IDENTIFIED BY '{password}'",
        f"GRANT SELECT ON `{source.database.name}`.* TO {user}",
    )
    source.config |= {"user": user, "password": password}
    catalog = source.catalog("t", key="at")

    careful = source.run(catalog, look_back_seconds=7200)
    hasty = source.run(catalog, look_back_seconds=0)
    again = source.run(catalog, careful.state)
    source.sql(f"DROP USER {user}")

    highest = careful.values("at")[-1]
    assert mark(careful, source)["replication_key_value"] < highest
    assert mark(hasty, source)["replication_key_value"] <= highest
    assert len(again.records) == 10


def test_a_run_is_resumed_where_it_was_stopped(source):
    """By an index, rows come in order, and states between them."""
    source.sql(TABLE)
    fill(source, 450)
    catalog = source.catalog("t", key="at")
    whole = source.run(catalog)
    assert len(whole.states) == 6

    for chunk in range(4):
        first = whole.until_state(chunk)
        second = source.run(catalog, first.state)
        found = {*first.values("id"), *second.values("id")}
        assert found == set(whole.values("id"))
    assert whole.states[0] != whole.states[1]


def test_without_an_index_nothing_is_sorted(source):
    """The whole run is one step then."""
    source.sql(TABLE.replace(", KEY (at)", ""))
    fill(source, 450)

    run = source.run(source.catalog("t", key="at"))

    # One for the bookmark, and one that names no stream to follow.
    assert len(run.states) == 2
    assert len(run.records) == 450


def test_rows_without_a_value_come_every_time(source):
    """They cannot be told apart from those that were sent."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n int, KEY (n))",
        "INSERT INTO t VALUES (1, NULL), (2, 5), (3, 6)",
    )
    catalog = source.catalog("t", key="n")

    state = source.run(catalog).state

    assert source.run(catalog, state).values("id") == [1, 3]


def test_a_value_in_the_future_does_not_hide_the_present(source):
    """It stands above all others for good."""
    source.sql(TABLE)
    fill(source)
    source.sql("INSERT INTO t (v, at) VALUES ('future', '9999-12-31')")
    catalog = source.catalog("t", key="at")
    first = source.run(catalog)
    source.sql("INSERT INTO t (v) VALUES ('new')")

    assert "new" in source.run(catalog, first.state).values("v")


@pytest.mark.parametrize("zero", ["0000-00-00", "2024-00-00"])
@pytest.mark.parametrize("kind", ["date", "datetime(6)"])
@pytest.mark.parametrize("user", ["root", "blind"])
def test_a_bookmark_at_a_zero_date_hides_no_row(source, zero, kind, user):
    """Nothing lies before it, neither here nor to the server."""
    source.sql(
        f"CREATE TABLE t (id int PRIMARY KEY, at {kind} NOT NULL)",
        f"INSERT INTO t VALUES (1, '{zero}'), (2, '{zero}')",
        "CREATE OR REPLACE USER blind IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON `{source.database.name}`.* TO blind",
    )
    password = source.database.password if user == "root" else "secret"
    who = {"user": user, "password": password}
    catalog = source.catalog("t", key="at")
    first = source.run(catalog, **who)
    assert first.values("id") == [1, 2]
    source.sql("UPDATE t SET at = NOW() - INTERVAL 2 DAY WHERE id = 2")

    second = source.run(catalog, first.state, **who)
    source.sql("DROP USER blind")

    assert 2 in second.values("id")


def test_an_empty_table_leaves_an_empty_bookmark(source):
    """And the next run reads what has come."""
    source.sql(TABLE)
    catalog = source.catalog("t", key="id")
    state = source.run(catalog).state
    fill(source)

    assert len(source.run(catalog, state).records) == 10


@pytest.mark.parametrize(
    ("key", "value", "count"),
    [
        ("at", "2024-01-02T00:00:00+00:00", 9),
        ("at", "2024-01-02T00:00:00Z", 9),
        ("at", "2024-01-02T02:00:00+02:00", 9),
        ("at", "2024-01-02", 9),
        ("day", "2024-01-02T00:00:00+00:00", 9),
        ("id", 2, 9),
        ("id", "2", 9),
        ("n", "2.50", 8),
        ("d", 2.5, 8),
        ("s", "k2", 8),
    ],
)
def test_the_state_of_another_tap_is_understood(source, key, value, count):
    """It has only the last value, in a spelling of its own."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, at datetime, day date, n decimal(9, 2), "
        "d double, s varchar(9) COLLATE utf8mb4_bin)",
        "INSERT INTO t SELECT seq, '2023-12-31' + INTERVAL seq DAY, "
        "'2023-12-31' + INTERVAL seq DAY, seq, seq, CONCAT('k', seq) "
        "FROM seq_1_to_10",
    )
    bookmark = {"replication_key": key, "replication_key_value": value}
    state = {"bookmarks": {source.stream("t"): bookmark}}

    run = source.run(source.catalog("t", key=key), state)

    assert len(run.records) == count


@pytest.mark.parametrize(
    ("key", "value"), [("id", "1 OR 1=1"), ("at", "yesterday"), ("n", "NaN")]
)
def test_a_state_that_makes_no_sense_is_refused(source, key, value):
    """Instead of becoming part of a statement."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, at datetime, n decimal)",
        "INSERT INTO t VALUES (1, '2024-01-01', 1)",
    )
    bookmark = {"replication_key": key, "replication_key_value": value}
    state = {"bookmarks": {source.stream("t"): bookmark}}

    with pytest.raises(ConfigurationError, match=f"no value of column '{key}'"):
        source.run(source.catalog("t", key=key), state)


def planned(previous, activity, value=50, key=ID, look_back=600):
    """Plan at 1,000 s."""
    checkpoint = Checkpoint(1_000_000_000, value)
    return bookmarks.plan(key, previous, checkpoint, activity, look_back).value


OLD = Bookmark(10, (Checkpoint(100_000_000, 20), Checkpoint(500_000_000, 40)))


@pytest.mark.parametrize(
    ("activity", "value"),
    [
        (Activity(None, is_known=True), 50),
        (Activity(600_000_000, is_known=True), 40),
        (Activity(500_000_000, is_known=True), 20),
        (Activity(100_000_000, is_known=True), 10),
        (Activity(None, is_known=False), 20),
    ],
)
def test_the_bookmark_stays_below_what_open_transactions_may_write(activity, value):
    """To the newest checkpoint before the oldest of them, and never back."""
    assert planned(OLD, activity) == value


def test_a_first_run_that_sees_nobody_goes_back_in_time():
    """For a clock; a counter has to wait for the second run."""
    unknown = Activity(None, is_known=False)

    first = planned(Bookmark(), unknown, "2024-01-01T00:10:00", AT)

    assert first == "2024-01-01 00:00:00"
    assert planned(Bookmark(), unknown, "2024-01-01T00:10:00.5", AT) == f"{first}.5"
    assert planned(Bookmark(), unknown, "2024-01-02", DAY) == "2024-01-01"
    assert planned(Bookmark(), unknown, 50, ID) is None


def test_values_are_compared_as_what_they_are():
    """Numbers by size, moments in any spelling."""
    assert bookmarks.later(ID, "9", 10) == 10
    assert bookmarks.later(AT, "2024-01-01T00:00:00.5", "2024-01-01 00:00:00") == (
        "2024-01-01T00:00:00.5"
    )
    assert bookmarks.later(Key("t", "s", "varchar"), "z", "a") == "a"
    assert bookmarks.reached(ID, 5, 3) == 3
    assert bookmarks.reached(ID, 5, None) is None
