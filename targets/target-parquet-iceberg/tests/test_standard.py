"""The SDK's standard tests, against real tables on disk."""

from __future__ import annotations

import typing as t

import pytest
from singer_sdk.testing import get_target_test_class
from target_parquet_iceberg.target import TargetParquetIceberg

if t.TYPE_CHECKING:
    from pathlib import Path

# The suite wants the first bad record to stop the run.
# One of its streams is a full load that ends without any STATE.
STRICT = {"dead_letter": {"max_records": 0}, "completion": "eof"}


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class TestIceberg(get_target_test_class(TargetParquetIceberg, config=STRICT)):
    """Iceberg tables in a SQLite catalog."""


class TestParquet(
    get_target_test_class(
        TargetParquetIceberg,
        config={**STRICT, "format": "parquet", "load_method": "append-only"},
    )
):
    """Plain Parquet files."""
