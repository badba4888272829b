"""tap-postgres | target-dativo by way of files: the same rows, on disk and on S3."""

from __future__ import annotations

import pytest
from dativo_sandbox import lake
from pyiceberg.table import StaticTable
from test_pipe import CHANGES, IN_LAKE, IN_SOURCE, ORDERS, assert_equal

PARQUET = {"format": "parquet", "compression": "zstd"}


def by_files(pipeline, root, **storage):
    """Let the tap write files; nothing else changes."""
    pipeline.tap["batch_config"] = {
        "encoding": PARQUET,
        "storage": {"root": str(root), **storage},
    }


def adopted(pipeline):
    """Return how many files each commit took as they were."""
    [location] = lake.tables(pipeline.warehouse).values()
    table = StaticTable.from_metadata(location, pipeline.storage)
    found = [snapshot.summary["dativo.adopted-files"] for snapshot in table.snapshots()]
    return [int(number) for number in found if number]


def test_a_full_load_then_only_what_changed(pipeline):
    """No row comes as a record, each file becomes the table's, none stays behind."""
    pipeline.source.execute(ORDERS)
    staging = pipeline.warehouse / "_staging"
    by_files(pipeline, staging)
    assert pipeline.run().records == []
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)
    pipeline.choose("public-orders", key="updated_at")
    pipeline.run()
    pipeline.source.execute(CHANGES)
    flow = pipeline.run()
    assert "5 records read, 5 stored" in flow.target.log[-1]["message"]
    assert flow.records == []
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)
    assert adopted(pipeline) == [1, 1, 1]
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize("key", [None, "updated_at"])
def test_a_file_in_the_middle_of_records(pipeline, key):
    """From a state of the one lane the other goes on, and back."""
    pipeline.source.execute(ORDERS)
    pipeline.choose("public-orders", key=key)
    pipeline.run()
    pipeline.source.execute(CHANGES)
    by_files(pipeline, pipeline.warehouse / "_staging")
    pipeline.run()
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)
    pipeline.source.execute("UPDATE orders SET paid = 3, updated_at = now()")
    del pipeline.tap["batch_config"]
    pipeline.run()
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)


def test_s3(pipeline, seaweed, bucket_prefix):
    """Objects are copied by the server; the staging prefix is empty afterwards."""
    pipeline.move_to_s3(seaweed, bucket_prefix)
    client = {"endpoint_url": seaweed.endpoint, "region_name": seaweed.region}
    params = {
        "key": seaweed.access_key,
        "secret": seaweed.secret_key,
        "client_kwargs": client,
    }
    by_files(pipeline, f"{bucket_prefix}/_staging", params=params)
    pipeline.source.execute(ORDERS)
    pipeline.choose("public-orders", key="updated_at")
    pipeline.run()
    pipeline.source.execute(CHANGES)
    assert pipeline.run().records == []
    assert_equal(pipeline, IN_SOURCE, IN_LAKE)
    assert adopted(pipeline) == [1, 1]
    found = f"SELECT count(*) FROM glob('{bucket_prefix}/_staging/**')"
    assert pipeline.rows(found) == [(0,)]
