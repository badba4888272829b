"""What happens with a PyIceberg that nobody has tested yet."""

from __future__ import annotations

from importlib.metadata import version

import pyarrow as pa
import pytest
from dativo_core.errors import ConfigurationError
from target_parquet_iceberg import probe, row_delta, transactions


def test_the_locked_version_is_the_tested_one() -> None:
    """Or every run would pay for the probe."""
    assert version("pyiceberg") == probe.TESTED


def test_another_version_that_works() -> None:
    """It is tried, and used."""
    probe.check("0.12.1")


def test_a_part_that_is_gone(monkeypatch) -> None:
    """The message names the version, what is wrong, and what to install."""
    monkeypatch.delattr(transactions, "_apply_table_update")
    with pytest.raises(ConfigurationError, match=r"0\.12\.9.*_apply_table_update.*==0"):
        probe.check("0.12.9")


def test_deletes_that_delete_nothing(monkeypatch) -> None:
    """What is written is read back: rows that should be gone are noticed."""
    whole = row_delta.write_position_deletes

    def harmless(io, path, file, positions):
        return whole(io, path, file, pa.array([], pa.int64()).cast(positions.type))

    monkeypatch.setattr(
        "target_parquet_iceberg.snapshots.write_position_deletes", harmless
    )
    with pytest.raises(ConfigurationError, match=r"it reads .*\(1, 'old'\)"):
        probe.check("0.12.9")
