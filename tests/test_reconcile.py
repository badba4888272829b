"""`dativo reconcile`: the table is compared with its source, row by row."""

from __future__ import annotations

import json
import stat
import typing as t

import pytest
from click.testing import CliRunner
from conftest import PROGRAMS
from dativo_cli.reconcile import reconcile
from dativo_core.entrypoint import explain


class Compared(t.NamedTuple):
    """How a comparison ended."""

    code: int
    said: str
    report: dict | None


TABLE = """
CREATE TABLE every (
  id int, part char(5), big int8, n numeric(12,2), tiny numeric(30,20), yes bool,
  day date, at timestamp, zoned timestamptz, clock time, bytes bytea, word text,
  u uuid, doc jsonb, span interval, real float8, list int[],
  PRIMARY KEY (part, id));
INSERT INTO every SELECT i, 'p' || i % 3, 9007199254740993 + i, i / 7.0,
  i * 1e-20::numeric, i % 2 = 0, date '0001-01-01' + i,
  timestamp '1969-12-31' + i * interval '1.5 s',
  timestamptz '2024-01-01Z' + i * interval '1 us', time '12:00' + i * interval '1 ms',
  sha256(i::text::bytea), E'é\\n"\\\\ \\x1f' || i, gen_random_uuid(),
  jsonb_build_object('b', i), i * interval '1 s', i / 3.0, ARRAY[i, NULL]
FROM generate_series(1, 3000) i;
INSERT INTO every (id, part) VALUES (0, '')
"""


@pytest.fixture
def compare(pipeline):
    """Compare a stream; return the exit code, what was said, and the report."""

    def run(stream, *options):
        report = pipeline.folder / "report.json"
        arguments = [
            *("tap-postgres", "target-dativo", "--stream", stream, *options),
            *("--report", report),
            *("--tap-config", pipeline.write("tap.json", pipeline.tap)),
            *("--target-config", pipeline.write("target.json", pipeline.target)),
        ]
        done = CliRunner().invoke(reconcile, list(map(str, arguments)))
        error = explain(done.exception) if done.exit_code else None
        code = done.exit_code if error is None else error.exit_code
        content = json.loads(report.read_text()) if report.exists() else None
        return Compared(code, f"{done.output}{error}", content)

    return run


@pytest.mark.parametrize("batches", [False, True])
def test_a_table_that_was_loaded_is_equal(pipeline, compare, batches):
    """With every type whose values are printed alike; others are named."""
    pipeline.source.execute(TABLE)
    if batches:
        root = str(pipeline.warehouse / "_staging")
        pipeline.tap["batch_config"] = {
            "encoding": {"format": "parquet"},
            "storage": {"root": root},
        }
    pipeline.run()

    code, said, report = compare("public-every")

    assert code == 0, (said, report)
    assert report["is_equal"]
    assert report["source_rows"] == report["table_rows"] == 3_001
    assert report["not_compared"] == ["list", "real"]
    assert report["key"] == ["part", "id"]
    path = pipeline.folder / "report.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rows_that_differ_are_named(pipeline, compare):
    """Missing, extra and different ones, each by its key."""
    pipeline.source.execute(TABLE)
    pipeline.run()
    pipeline.source.execute(
        "INSERT INTO every (id, part) VALUES (5000, 'new');"
        "DELETE FROM every WHERE id = 7;"
        "UPDATE every SET n = n + 0.01 WHERE id = 8;"
        "UPDATE every SET word = NULL WHERE id = 9"
    )

    code, said, report = compare("public-every")

    assert code == 1, said
    assert not report["is_equal"]
    assert report["missing_keys"] == [["new  ", "5000"]]
    assert report["extra_keys"] == [["p1   ", "7"]]
    assert report["different_keys"] == [["p0   ", "9"], ["p2   ", "8"]]
    assert [report[name] for name in ("missing", "extra", "different")] == [1, 1, 2]

    code, said, report = compare("public-every", "--keys-only")
    assert code == 1, said
    assert report["compared"] == ["part", "id"]
    assert [report[name] for name in ("missing", "extra", "different")] == [1, 1, 0]


def test_a_table_without_key_is_compared_by_whole_rows(pipeline, compare):
    """Equal rows count as often as they are there; no value is told."""
    pipeline.source.execute(
        "CREATE TABLE t (a int, b text);"
        "INSERT INTO t SELECT 1, 'secret' FROM generate_series(1, 5)"
    )
    pipeline.run()
    assert compare("public-t").code == 0
    pipeline.source.execute("INSERT INTO t VALUES (1, 'secret'), (2, NULL)")

    code, said, report = compare("public-t")

    assert code == 1, said
    assert (report["missing"], report["extra"]) == (2, 0)
    assert "secret" not in json.dumps(report) + said


def test_what_has_nothing_to_compare_is_refused(pipeline, compare):
    """Instead of a statement that the server does not understand."""
    pipeline.source.execute("CREATE TABLE t (a float8); INSERT INTO t VALUES (1)")
    pipeline.run()

    code, said, report = compare("public-t")

    assert (code, report) == (78, None)
    assert "no column that can be compared" in said


def test_what_is_meant_to_differ_is_no_difference(pipeline, compare):
    """What a custom clause leaves out, and rows that are marked as deleted."""
    pipeline.source.execute(
        "CREATE TABLE t (a int PRIMARY KEY, _sdc_deleted_at timestamptz);"
        "INSERT INTO t SELECT n, NULL FROM generate_series(1, 50) n;"
        "UPDATE t SET _sdc_deleted_at = now() WHERE a = 2"
    )
    clause = {"custom_where_clauses": ["a <= 20 -- few"]}
    pipeline.tap["stream_options"] = {"public-t": clause}
    pipeline.run()
    pipeline.source.execute("DELETE FROM t WHERE a = 2; CREATE TABLE u (a int)")

    found = compare("public-t")

    assert (found.code, found.report["source_rows"]) == (0, 19)
    for stream, words in (
        ("public-other", "It has: public-t"),
        ("public-u", "no table 'public_u'"),
    ):
        (pipeline.folder / "report.json").unlink(missing_ok=True)
        found = compare(stream)
        assert (found.code, found.report) == (78, None)
        assert words in found.said


def test_a_tap_that_is_not_installed_is_named(alone):
    """With the package that has it."""
    done = alone(
        [
            *(PROGRAMS / "dativo", "reconcile", "tap-nothing", "target-dativo"),
            *("--stream", "x", "--warehouse", "none"),
        ]
    )

    assert done.code == 78
    assert "Install dativo-tap-nothing" in done.stderr
