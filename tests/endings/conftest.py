"""What is signalled while it reads."""

from __future__ import annotations

import os

import pytest
from endings.held import ROWS


@pytest.fixture
def source(pipeline):
    """A pipeline that reads more than pipe and target can hold, key by key."""
    pipeline.source.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, v text);"
        "INSERT INTO orders SELECT n, repeat('x', 1000)"
        f" FROM generate_series(1, {ROWS}) n"
    )
    pipeline.choose("public-orders", key="id")
    pipeline.target |= {"load_method": "append-only", "commit_interval_seconds": 0}
    pipeline.tap["state_interval_rows"] = 5000
    pipeline.gate = pipeline.folder / "gate"
    os.mkfifo(pipeline.gate)
    return pipeline
