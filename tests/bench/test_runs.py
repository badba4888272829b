"""A run counts if its programs end well and its result is the source's rows."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import contenders
import course
import pytest
import sources
import tables
from contenders import DATA
from journal import Journal, from_run, to_run
from measure import Cost, FailedError, Run

RUN = Run(1.5, (Cost("tap", 0, 0.5, 10), Cost("target", 0, 1.0, 20)))
ORDER = {"names": ["pipe"], "rows": 10}


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    """What was noted is not measured again; half a line was not noted."""
    path = tmp_path / "output" / "journal.jsonl"
    Journal(path, ORDER).add("pipe", 0, from_run(RUN))
    with path.open("a") as file:
        file.write('{"name": "pipe", "rou')

    journal = Journal(path, ORDER)

    assert to_run(journal.find("pipe", 0)) == RUN
    assert journal.find("pipe", 1) is None


def test_another_order_begins_anew(tmp_path):
    """Figures of other rows or of another commit are not mixed in."""
    path = tmp_path / "journal.jsonl"
    Journal(path, ORDER).add("pipe", 0, from_run(RUN))

    assert Journal(path, ORDER | {"rows": 20}).find("pipe", 0) is None
    assert Journal(path, ORDER).find("pipe", 0) is None


def test_a_journal_ends_with_the_report(tmp_path):
    """The next run measures everything anew."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, ORDER)
    journal.close()

    assert not path.exists()


@pytest.fixture
def ready(postgres_server, tmp_path, monkeypatch):
    """Make rows, to be moved by the programs of this environment."""
    monkeypatch.setattr(course, "OURS", Path(sys.prefix))

    def make(name: str, data: contenders.Data) -> course.Course:
        source = sources.PostgresSource(postgres_server)
        wanted = source if data.source == "postgres" else None
        return course.Course(data, 30, wanted, tmp_path / name, tmp_path / "work")

    return make


def test_both_lanes_and_the_limit_bring_every_value(ready):
    """The same checksum over all columns, by every way of ours."""
    found = ready("bench_lanes", DATA["orders"])
    ways = [contenders.CONTENDERS[name] for name in ("limit", "pipe", "batch", "tap")]
    found.prepare(ways)

    for way in ways:
        run = found.run(way)

        assert len(run.costs) == len(way.pipe)
        assert all(cost.cpu_seconds > 0 for cost in run.costs)


def test_a_result_with_other_values_does_not_count(ready):
    """The number of rows alone is not enough."""
    found = ready("bench_wrong", DATA["narrow"])
    wrong = "(SELECT * REPLACE (value + 1 AS value) FROM '{work}/limit.parquet')"

    with pytest.raises(FailedError, match="arrived, and not"):
        found.run(replace(contenders.LIMIT, data="narrow", result=wrong))


def test_a_result_that_is_not_there_does_not_count(ready):
    """A peer that stores nothing does not end the benchmark."""
    found = ready("bench_nothing", DATA["narrow"])

    with pytest.raises(FailedError, match="its result cannot be read"):
        found.run(
            replace(contenders.LIMIT, data="narrow", result="'{work}/no.parquet'")
        )


def test_a_program_that_fails_is_named(ready):
    """Its time counts for nothing."""
    found = ready("bench_fails", DATA["narrow"])

    with pytest.raises(FailedError, match="python ended with 7"):
        found.run(replace(contenders.LIMIT, pipe=("{programs}/python -c exit(7)",)))


def test_records_of_thousands_of_columns_arrive_as_they_were_sent(ready):
    """More of them than a table of Postgres could have."""
    wide = tables.Table("wide", ())
    command = "{programs}/python {bench}/wide_lines.py 1700 {rows}"
    data = contenders.Data("columns", (wide,), source="file", made_by=command)
    found = ready("lines", data)
    lines = contenders.CONTENDERS["charges"]
    found.prepare([lines])

    found.run(lines)

    assert found.rows == 30
