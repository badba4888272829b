#!/usr/bin/env python3
"""Measure what no pipe shows alone: writing Parquet, and a tap's own work per record.

Runs in the environment of our programs; writes what it finds as JSON into a file.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import charges
import limit
import pyarrow as pa
import tables

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_stripe.streams import StripeStream

_PAGE = 100
_TIMES = 3


def main(dsn: str, records: str, output: str) -> None:
    """Measure all parts."""
    rows = pa.Table.from_batches(limit.read(dsn, tables.ORDERS))
    found = {
        "parquet": rows.nbytes / 1e6 / best(lambda: write_parquet(rows)),
        "charges": int(records) / best(lambda: send_charges(int(records))),
    }
    Path(output).write_text(json.dumps(found), encoding="utf-8")


def best(measured: Callable[[], float]) -> float:
    """Return the shortest of a few times: the one least disturbed."""
    return min(measured() for _ in range(_TIMES))


def write_parquet(rows: pa.Table) -> float:
    """Write rows as the data files of a table; return the seconds of it."""
    from target_parquet_iceberg.catalogs import open_catalog  # noqa: PLC0415
    from target_parquet_iceberg.data_files import DataFileWriter  # noqa: PLC0415

    with (
        tempfile.TemporaryDirectory() as folder,
        open_catalog({"warehouse": folder}) as catalog,
    ):
        catalog.create_namespace("lake")
        table = catalog.create_table("lake.t", rows.schema)
        begun = time.perf_counter()
        files = list(DataFileWriter(table.metadata, table.io).write(rows))
        spent = time.perf_counter() - begun
    assert sum(file.record_count for file in files) == rows.num_rows  # noqa: S101
    return spent


def send_charges(records: int) -> float:
    """Send charges through tap-stripe, from answers in memory to RECORD lines.

    Returns:
        The seconds of it, without the network.
    """
    from tap_stripe.gather import Gatherer, Wanted, no_rows  # noqa: PLC0415
    from tap_stripe.tap import TapStripe  # noqa: PLC0415

    tap = TapStripe(config={"api_key": "sk_test_0"}, parse_env_config=False)
    stream = t.cast("StripeStream", tap.streams["charges"])
    wanted = Wanted(stream.resource, {"charges": stream.shape}, ())
    gatherer = Gatherer(Answers(records), "", tells_account=False)
    stream.begin(None)
    begun = time.perf_counter()
    for _ in range(records // _PAGE):
        rows = no_rows()
        for item in gatherer.page(stream.resource, {}).data:
            gatherer.rows(wanted, item, rows)
        stream.write(rows["charges"])
    spent = time.perf_counter() - begun
    stream.close()
    return spent


class Answers:
    """Answers of Stripe's API, made before, page after page."""

    def __init__(self, records: int) -> None:
        self._pages = iter(list(pages(records)))

    def get(self, path: str, params: Mapping[str, t.Any], **_: str) -> bytes:  # noqa: ARG002
        """Return the next page."""
        return next(self._pages)


def pages(records: int) -> Iterator[bytes]:
    """Yield lists of charges, as the API gives them."""
    for first in range(0, records, _PAGE):
        numbers = range(first, first + _PAGE)
        data = [charges.record(n) | {"created": 1_760_000_000 + n} for n in numbers]
        body = {"object": "list", "data": data, "has_more": True}
        yield json.dumps(body).encode()


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(encoding="utf-8"), *sys.argv[2:])
