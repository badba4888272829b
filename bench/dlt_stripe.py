#!/usr/bin/env python3
"""Read customers from Stripe's API with dlt's own REST source, as documented.

Stripe's cursor is the id of the last object, for which dlt has no paginator of its own.
"""

from __future__ import annotations

import sys
import typing as t

import dlt
from dlt.destinations import filesystem
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.rest_api import rest_api_source

if t.TYPE_CHECKING:
    from requests import Request, Response


class LastId(BasePaginator):  # type: ignore[misc]  # dlt is not installed here
    """Goes on after the last object of a page."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    def update_state(self, response: Response, data: list[t.Any] | None = None) -> None:
        """Remember where the page ended, and whether it was the last."""
        self._has_next_page = bool(response.json()["has_more"])
        self._last = data[-1]["id"] if data else ""

    def update_request(self, request: Request) -> None:
        """Ask for what comes after it."""
        params = t.cast("dict[str, t.Any]", request.params or {})
        request.params = {**params, "starting_after": self._last}


def main(url: str, key: str, folder: str) -> None:
    """Load all customers into a folder; print how many there are."""
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/v1/",
                "auth": {"type": "bearer", "token": key},
                "paginator": LastId(),
            },
            "resources": [
                {
                    "name": "customers",
                    "endpoint": {
                        "path": "customers",
                        "params": {"limit": 100},
                        "data_selector": "data",
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "bench",
        destination=filesystem(bucket_url=folder),
        dataset_name="bench",
        pipelines_dir=f"{folder}/.pipelines",
    )
    pipeline.run(source, write_disposition="append")
    counts = pipeline.last_trace.last_normalize_info.row_counts
    sys.stdout.write(f"{counts['customers']}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
