"""Several tables and chunks at once, cut anywhere: what is missing comes, once."""

from __future__ import annotations

import random

import pytest

TABLES = ("whole", "changes", "events", "lines")
ROWS = 3_000
CUTS = 3


@pytest.fixture
def cut_anywhere(pipeline):
    """A pipeline of tables with and without keys, whose tap can be cut at a byte."""
    for name in TABLES:
        key = "PRIMARY KEY" if name in {"whole", "changes"} else ""
        pipeline.source.execute(
            f"CREATE TABLE {name} (id int {key}, v text);"
            f"INSERT INTO {name} SELECT i, repeat('{name[0]}', 40 + i % 50)"
            f" FROM generate_series(1, {ROWS}) i; ANALYZE {name}"
        )
    catalog = pipeline.discover()
    for entry in catalog["streams"]:
        [root] = [item for item in entry["metadata"] if not item["breadcrumb"]]
        root["metadata"]["selected"] = True
        if entry["table_name"] in {"changes", "events"}:
            root["metadata"] |= {
                "replication-method": "INCREMENTAL",
                "replication-key": "id",
            }
    pipeline.catalog = catalog
    pipeline.tap |= {
        "parallel_tables": 3,
        "parallel_chunks": 2,
        "state_interval_rows": 400,
    }
    pipeline.target |= {"commit_max_rows": 1_000}
    return pipeline


def cutting(pipeline, length):
    """Return a program that is the tap until it has written so many bytes."""
    script = pipeline.folder / "cut.sh"
    script.write_text(f'#!/bin/sh\n{pipeline.programs[0]} "$@" | head -c {length}\n')
    script.chmod(0o755)
    return script


def test_a_cut_run_goes_on_without_loss_or_repetition(cut_anywhere):
    """A pipe that ends at any byte is what SIGKILL leaves."""
    chance = random.Random(1)  # noqa: S311 the same every time
    tap, target = cut_anywhere.programs
    for _ in range(CUTS):
        length = chance.randrange(50_000, 1_200_000)
        cut_anywhere.programs = [cutting(cut_anywhere, length), target]
        assert cut_anywhere.flow().target.code == 75
        cut_anywhere.programs = [tap, target]

    cut_anywhere.run()

    columns = "id, v, count(*)"
    for name in TABLES:
        query = f"SELECT {columns} FROM {{}} GROUP BY id, v ORDER BY id"
        found = cut_anywhere.rows(query.format(f"lake.public_{name}"))
        expected = cut_anywhere.source.query(query.format(name))
        assert [row[:2] for row in found] == [row[:2] for row in expected]
        # Without a key, a scan that goes on repeats the row at its bookmark.
        repeated = sum(count - 1 for *_, count in found)
        assert repeated <= (CUTS if name == "events" else 0)
    assert "currently_syncing" not in cut_anywhere.state
