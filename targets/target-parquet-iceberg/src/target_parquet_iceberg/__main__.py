"""Command line of the target."""

from __future__ import annotations

import gc
import os
import sys

from dativo_core import starting


def main() -> None:
    """Run the target."""
    starting.guard()
    # Imports make no garbage: looking for it costs a tenth of the start. The reader
    # begins to look when it has something to read.
    gc.disable()
    # One thread makes the rows, another one frees them: of that, mimalloc, Arrow's
    # default, keeps 30 to 50 MB more. Arrow looks when it is imported, at nothing else.
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    from dativo_core.entrypoint import run  # noqa: PLC0415

    from target_parquet_iceberg.target import TargetParquetIceberg  # noqa: PLC0415

    run(TargetParquetIceberg)


if __name__ == "__main__":
    main()
