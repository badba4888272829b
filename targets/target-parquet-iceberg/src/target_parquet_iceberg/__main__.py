"""Command line of the target."""

from __future__ import annotations

import gc

from dativo_core import starting


def main() -> None:
    """Run the target."""
    starting.begin()
    # Imports make no garbage: looking for it costs a tenth of the start. The reader
    # begins to look when it has something to read.
    gc.disable()
    from dativo_core.entrypoint import run  # noqa: PLC0415

    from target_parquet_iceberg.target import TargetParquetIceberg  # noqa: PLC0415

    run(TargetParquetIceberg)


if __name__ == "__main__":
    main()
