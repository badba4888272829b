"""`dativo reconcile` on MySQL: both sides print and digest values alike."""

from __future__ import annotations

import json

import pytest
from conftest import PROGRAMS, run_alone
from torture.harness import Pipe

TABLE = """
CREATE TABLE every (
  id int, part char(5), big bigint unsigned, n decimal(12,2), wide decimal(60,30),
  tiny tinyint(1), bits bit(64), y year, day date, at datetime(6), whole datetime,
  zoned timestamp(3) NULL, clock time(6), bytes varbinary(40), word text, legacy
  varchar(20) CHARACTER SET latin1, u uuid, doc json, e enum('a', 'é'), s set('x', 'y'),
  place point, here geometry, real_ double, padded int(9) zerofill,
  PRIMARY KEY (part, id));
INSERT INTO every SELECT seq, CONCAT('p', seq % 3), 18446744073709551615 - seq, seq / 7,
  seq / 3, seq % 2, 18446744073709551615 - seq, 1901 + seq % 200,
  DATE '1000-01-01' + INTERVAL seq DAY,
  TIMESTAMP '1969-12-31 00:00:00.5' + INTERVAL seq * 1500 MICROSECOND,
  TIMESTAMP '1969-12-31 00:00:00' + INTERVAL seq SECOND,
  TIMESTAMP '2024-01-01 00:00:00.25' + INTERVAL seq SECOND, '-100:00:00.5',
  UNHEX(SHA1(seq)), CONCAT('é\\n"\\\\ ', seq), 'ÿ', UUID(), JSON_OBJECT('b', seq),
  'é', 'x,y', POINT(seq, 1), ST_GeomFromText('POINT(1 2)', 4326), seq / 3e0, seq
  FROM seq_1_to_1000;
INSERT INTO every (id, part) VALUES (0, '')
"""


@pytest.fixture
def pipe(tmp_path, mariadb):
    """Load the table by records."""
    mariadb.execute(TABLE)
    return Pipe("tap_mysql", tmp_path, mariadb)


def compare(database, folder):
    """Return the exit code and the report."""
    report = folder / "report.json"
    done = run_alone(
        [
            *(PROGRAMS / "dativo", "reconcile", "tap-mysql", "target-dativo"),
            *("--stream", f"{database.name}-every", "--report", report),
            *("--tap-config", folder / "tap.json"),
            *("--target-config", folder / "target.json"),
        ]
    )
    assert report.exists(), done
    return done.code, json.loads(report.read_text())


def test_a_table_that_was_loaded_is_equal_until_it_changes(pipe, mariadb, tmp_path):
    """With every type whose values are printed alike; then rows are named."""
    pipe.run(pipe.discover())

    code, report = compare(mariadb, tmp_path)

    assert (code, report["is_equal"]) == (0, True), report
    assert report["source_rows"] == report["table_rows"] == 1001
    assert report["not_compared"] == ["real_"]

    mariadb.execute(
        "DELETE FROM every WHERE id = 7; UPDATE every SET n = n + 0.01 WHERE id = 8;"
        "INSERT INTO every (id, part) VALUES (5000, 'new')"
    )
    code, report = compare(mariadb, tmp_path)

    assert (code, report["is_equal"]) == (1, False)
    assert report["missing_keys"] == [["new", "5000"]]
    assert report["extra_keys"] == [["p1", "7"]]
    assert report["different_keys"] == [["p2", "8"]]
