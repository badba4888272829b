"""Full loads: complete, versioned, and resumed without loss after a crash."""

from __future__ import annotations

import json

import pytest
from dativo_core.errors import ConfigurationError

ROWS = 500
TABLE = f"""
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT seq, CONCAT('v', seq) FROM seq_1_to_{ROWS};
"""


def merged(*runs, key="id"):
    """Return what a target holds that keeps the last record of each key."""
    return {record[key]: record["v"] for run in runs for record in run.records}


def table(source):
    """Return what the database holds."""
    return dict(source.database.query("SELECT id, v FROM t"))


def test_a_load_is_whole_and_its_version_is_said_before_and_after(source):
    """Every record carries the version that the first and last messages name."""
    source.sql(TABLE)

    run = source.run()

    [before, after] = run.of("ACTIVATE_VERSION")
    assert run.messages[-2:] == [after, run.of("STATE")[-1]]
    assert set(run.versions) == {before["version"]}
    assert before == after
    assert merged(run) == table(source)
    assert len(run.records) == ROWS
    assert run.state == {"bookmarks": {source.stream("t"): {}}}


@pytest.mark.parametrize("chunk", range(4))
def test_a_load_resumes_behind_every_state(source, chunk):
    """Each row is read once, and carries the version of the interrupted load."""
    source.sql(TABLE)
    first = source.run().until_state(chunk)
    marker = first.state["bookmarks"][source.stream("t")]["full_table"]
    assert marker["after"] == [str(100 * (chunk + 1))]

    second = source.run(state=first.state)

    assert merged(first, second) == table(source)
    assert len(first.records) + len(second.records) == ROWS
    versions = {*first.versions, *second.versions}
    assert versions == {m["version"] for m in second.of("ACTIVATE_VERSION")}
    assert len(versions) == 1


KEYS = [
    "bigint unsigned",
    "decimal(20, 5)",
    "varchar(20) COLLATE utf8mb4_unicode_ci",
    "varchar(20) CHARACTER SET latin1",
    "char(9) COLLATE utf8mb4_bin",
    "varbinary(20)",
    "datetime(6)",
    "date",
    "timestamp(3)",
    "time(2)",
    "uuid",
]
VALUES = {
    "bigint unsigned": "18446744073709551000 + seq",
    "decimal(20, 5)": "seq / 3 - 50",
    "varbinary(20)": "UNHEX(SHA1(seq))",
    "datetime(6)": "TIMESTAMP'2024-01-01 00:00:00.5' + INTERVAL seq * 7 HOUR",
    "date": "DATE'2024-01-01' + INTERVAL seq DAY",
    "timestamp(3)": "TIMESTAMP'2024-01-01 00:00:00.5' + INTERVAL seq * 7 HOUR",
    "time(2)": "SEC_TO_TIME(CAST(seq AS SIGNED) * 4000 - 900000)",
    "uuid": "UUID()",
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_can_be_resumed(source, kind):
    """In the order of their collation, and with signs that SQL quotes."""
    value = VALUES.get(kind, "CONCAT(CHAR(33 + seq % 90), '\\\\''ß', seq)")
    source.sql(
        f"CREATE TABLE t (k {kind} PRIMARY KEY, v int)",
        f"INSERT INTO t SELECT {value}, seq FROM seq_1_to_450",
    )
    whole = source.run()
    assert len(whole.states) == 5

    for chunk in range(4):
        first = whole.until_state(chunk)
        second = source.run(state=first.state)
        assert merged(first, second, key="k") == merged(whole, key="k")
        assert len(first.records) + len(second.records) == 450


@pytest.mark.parametrize(
    ("kind", "value", "setting"),
    [
        ("tinyint(1)", "seq > 220", {"tinyint1": "boolean"}),
        ("date", "IF(seq > 220, '2024-01-01', 0)", {"zero_dates": "null"}),
    ],
)
@pytest.mark.parametrize("parallel", [1, 2])
def test_keys_that_come_as_something_else_can_be_resumed(
    source, kind, value, setting, parallel
):
    """A flag as a boolean, and a zero date as null."""
    source.sql(
        f"CREATE TABLE t (k {kind}, v int, PRIMARY KEY (k, v))",
        f"INSERT INTO t SELECT {value}, seq FROM seq_1_to_450",
        "ANALYZE TABLE t",
    )
    whole = source.run(parallel_chunks=parallel, **setting)
    assert sorted(whole.values("v")) == list(range(1, 451))

    for chunk in range(len(whole.states) - 1):
        first = whole.until_state(chunk)
        second = source.run(state=first.state, parallel_chunks=parallel, **setting)
        assert [*first.values("v"), *second.values("v")] == whole.values("v")


def test_composite_keys_are_compared_as_tuples(source):
    """Where the first part repeats, the others decide; each row is read once."""
    source.sql(
        "CREATE TABLE t (a int, b varchar(9), c int, v int, PRIMARY KEY (c, a, b))",
        "INSERT INTO t SELECT seq % 7, CHAR(97 + seq DIV 7 % 8), seq DIV 56, seq "
        "FROM seq_1_to_450",
        "INSERT INTO t SELECT 1000 - seq, 'z', 3, seq FROM seq_1_to_150",
    )
    whole = source.run()
    expected = source.database.query("SELECT v FROM t ORDER BY c, a, b")
    assert whole.values("v") == [v for (v,) in expected]

    for chunk in range(len(whole.states) - 1):
        first = whole.until_state(chunk)
        second = source.run(state=first.state)
        assert [*first.values("v"), *second.values("v")] == whole.values("v")


def test_the_range_behind_a_key_is_found_by_its_index(source):
    """Otherwise every resumption would scan and sort the table."""
    source.sql(
        "CREATE TABLE t (a int, b int, v char(100), PRIMARY KEY (a, b))",
        "INSERT INTO t SELECT seq DIV 100, seq % 100, '' FROM seq_1_to_20000",
        "ANALYZE TABLE t",
    )
    condition = "(`t`.`a` > 150) OR (`t`.`a` = 150 AND `t`.`b` > 50)"
    [[*plan]] = source.database.query(
        f"EXPLAIN SELECT * FROM t WHERE {condition} ORDER BY a, b"
    )

    assert plan[3] == "range"
    assert plan[5] == "PRIMARY"
    assert "filesort" not in plan[-1]


def test_a_snapshot_is_of_one_moment(source):
    """What changes while rows are read is not seen, neither old nor new in part."""
    source.sql(TABLE.replace("text", "char(100)"))
    events = source.tap().streams[source.stream("t")]._events()
    first = next(events)
    with source.session() as other:
        other("UPDATE t SET v = 'changed'")
        other("DELETE FROM t WHERE id > 400")
        other("INSERT INTO t VALUES (1000, 'new')")

    rest = [event for event in events if hasattr(event, "num_rows")]

    values = [v for b in (first, *rest) for v in b.column("v").to_pylist()]
    assert values == [f"v{n}" for n in range(1, ROWS + 1)]


def test_a_table_with_another_key_is_loaded_afresh(source):
    """The marker is worth nothing then, and its version is not used again."""
    source.sql(TABLE)
    first = source.run().until_state(1)
    source.sql("ALTER TABLE t ADD COLUMN k int NOT NULL DEFAULT 1")
    source.sql("ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (k, id)")

    second = source.run(state=first.state)

    assert merged(second) == table(source)
    assert min(second.versions) > max(first.versions)


@pytest.mark.parametrize("change", ["column", "clause", "value"])
def test_a_load_that_asks_for_something_else_begins_anew(source, change):
    """Its first rows would lack a column, or be those of another condition."""
    source.sql(TABLE)
    first = source.run().until_state(1)
    settings = {}
    if change == "column":
        source.sql("ALTER TABLE t ADD COLUMN n int DEFAULT 5")
    elif change == "clause":
        options = {"custom_where_clauses": ["id > 3"]}
        settings = {"stream_options": {source.stream("t"): options}}
    else:
        source.sql("ALTER TABLE t MODIFY v varbinary(100)")

    second = source.run(state=first.state, **settings)

    assert min(second.values("id")) < 10
    assert min(second.versions) > max(first.versions)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t DROP PRIMARY KEY",
        "ALTER TABLE t ENGINE = MyISAM",
        "ALTER TABLE t DROP PRIMARY KEY, ADD e enum('a') DEFAULT 'a' FIRST, "
        "ADD PRIMARY KEY (id, e)",
    ],
)
def test_what_cannot_resume_is_read_at_once(source, change):
    """Without a key, without a snapshot, or in an order that SQL cannot spell."""
    source.sql(TABLE, change)

    run = source.run()

    assert run.states == [{"bookmarks": {source.stream("t"): {}}}]
    assert merged(run) == table(source)


def test_a_unique_index_stands_in_for_a_primary_key(source):
    """If none of its columns may be null."""
    source.sql(
        "CREATE TABLE t (a int UNIQUE, id int NOT NULL, v text, UNIQUE (id))",
        "INSERT INTO t SELECT NULL, seq, 'v' FROM seq_1_to_200",
    )

    run = source.run()

    assert run.of("SCHEMA")[0]["key_properties"] == ["id"]
    assert len(run.states) == 3


def test_views_are_read_at_once(source):
    """They have no key."""
    source.sql(TABLE, "CREATE VIEW w AS SELECT id, v FROM t")

    run = source.run(source.catalog("w"))

    assert merged(run) == table(source)
    assert len(run.states) == 1


def test_an_empty_table_is_a_complete_load(source):
    """No rows, but proof that there are none."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY)")

    run = source.run()

    assert run.records == []
    assert len(run.of("ACTIVATE_VERSION")) == 2


def test_deselected_columns_are_neither_read_nor_announced(source):
    """Keys stay, whatever is deselected."""
    source.sql("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
    source.sql("INSERT INTO t VALUES (1, 2, 3)")

    run = source.run(source.catalog("t", deselected=["id", "a"]))

    [schema] = run.of("SCHEMA")
    assert list(schema["schema"]["properties"]) == ["id", "b"]
    assert run.records == [{"id": 1, "b": 3}]


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_catalog_may_be_older_than_the_key(source, parallel):
    """The load is whole, and does not resume: what would mark its way is not read."""
    source.sql("CREATE TABLE t (v int)", "INSERT INTO t SELECT seq FROM seq_1_to_300")
    catalog = source.catalog("t")
    source.sql("ALTER TABLE t ADD id int AUTO_INCREMENT PRIMARY KEY", "ANALYZE TABLE t")

    run = source.run(catalog, parallel_chunks=parallel)

    assert sorted(run.values("v")) == list(range(1, 301))
    assert len(run.states) == 1


def test_a_stream_without_columns_is_refused(source):
    """A table without a key has none that is read in any case."""
    source.sql("CREATE TABLE t (v int)")

    with pytest.raises(ConfigurationError, match="selects no column"):
        source.run(source.catalog("t", deselected=["v"]))


def test_stream_maps_see_the_same_values(source):
    """The record-by-record way leaves the same records and state."""
    source.sql(TABLE)
    maps = {source.stream("t"): {"v": "v.upper()"}}

    run = source.run(stream_maps=maps)

    assert {r["id"]: r["v"] for r in run.records} == {
        key: value.upper() for key, value in table(source).items()
    }
    assert run.state == {"bookmarks": {source.stream("t"): {}}}
    assert len(run.of("ACTIVATE_VERSION")) == 2


def test_the_sdks_own_path_writes_the_same_records(source):
    """Flattening with nothing to flatten sends every record through the SDK alone."""
    source.sql(
        "CREATE TABLE t (id int PRIMARY KEY, big bigint unsigned, n decimal(30, 4),"
        " r double, s float, at timestamp(6) NULL, day date, flag bool, name text,"
        " doc json, b blob)",
        "INSERT INTO t VALUES (1, 18446744073709551615, 1.10, 0.1, 1e10,"
        " '2024-02-29 12:00', '2024-02-29', true, 'é\\n\"\\\\\u2028\x01/',"
        " '{\"a\": [1.0, null]}', 'x'),"
        " (3, 0, 0, 1e300, 1.5, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    flat = {"flattening_enabled": True, "flattening_max_depth": 5}

    blocks, one_by_one = source.run(), source.run(**flat)

    assert len(blocks.records) == 2
    assert json.dumps(one_by_one.records) == json.dumps(blocks.records)


def test_custom_where_clauses_choose_rows(source):
    """All clauses must hold; a comment in one does not hide the next."""
    source.sql(TABLE)
    clauses = ["id > 10 -- not the first", "t.id <= 12"]
    options = {source.stream("t"): {"custom_where_clauses": clauses}}

    run = source.run(stream_options=options)

    assert run.values("id") == [11, 12]
