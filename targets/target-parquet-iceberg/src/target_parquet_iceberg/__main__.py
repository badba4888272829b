"""Command line of the target."""

from __future__ import annotations

from dativo_core.entrypoint import run

from target_parquet_iceberg.target import TargetParquetIceberg


def main() -> None:
    """Run the target."""
    run(TargetParquetIceberg)


if __name__ == "__main__":
    main()
