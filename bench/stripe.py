#!/usr/bin/env python3
"""Measure tap-stripe on the simulator, which enforces Stripe's limits.

A peer is any other tap-stripe command: `--peer path/to/bin/tap-stripe`. It is sent to
the simulator by `stripe.api_base`, set where Python starts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from dativo_sandbox.stripe.server import StripeServer

PROGRAMS = Path(sys.executable).parent
MISSION = ("customers", "charges", "invoices", "subscriptions")
# What the tap itself says: without the start of Python, and without discovery.
_READING = re.compile(rb'"sync_duration","value":([0-9.]+)')
SHIM = """
import os, stripe
stripe.api_base = os.environ["SIMULATOR"]
import tap_stripe
tap_stripe.apply_request_timer_to_client = lambda client: client
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run came to."""

    title: str
    records: int
    seconds: float
    reading: float
    requests: int
    violations: int
    cpu_seconds: float
    megabytes: float

    def row(self) -> str:
        """Return a row of the report."""
        rate = self.records / self.seconds
        reading = self.records / self.reading
        return (
            f"| {self.title} | {self.records:,} | {self.seconds:.1f} | {rate:,.0f} "
            f"| {reading:,.0f} | {self.requests} | {self.violations} "
            f"| {self.cpu_seconds:.1f} | {self.megabytes:.0f} |"
        )


def main() -> int:
    """Run every case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--peer", type=Path)
    given = parser.parse_args()
    tell(HEADER)
    for latency in (100, 250):
        tell(ours(given.customers, latency, ("customers",)).row())
    tell(ours(given.customers // 2, 100, MISSION).row())
    if given.peer:
        tell(peer(given.peer, given.customers, 100).row())
    return 0


def tell(row: str) -> None:
    """Print a row at once."""
    sys.stdout.write(f"{row}\n")
    sys.stdout.flush()


HEADER = (
    "| what | records | s | records/s | reading | requests | refused | CPU s | MB |\n"
    "|:--|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def ours(customers: int, latency: float, streams: t.Sequence[str]) -> Result:
    """Measure tap-stripe of this checkout, from its start to its end."""
    title = f"tap-stripe, {len(streams)} stream(s), {latency:.0f} ms"
    with StripeServer(customers=customers, latency_ms=latency) as server:
        command = [str(PROGRAMS / "tap-stripe")]
        return measured(title, server, command, server.tap_config(), streams)


def peer(program: Path, customers: int, latency: float) -> Result:
    """Measure another tap-stripe."""
    with StripeServer(customers=customers, latency_ms=latency) as server:
        config = {
            "client_secret": server.api_key,
            "account_id": json.loads(server.ask("GET", "/__keys"))["account"],
            "start_date": "2020-01-01T00:00:00Z",
        }
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "sitecustomize.py").write_text(SHIM)
            added = {"PYTHONPATH": folder, "SIMULATOR": server.url}
            title = f"{program}, 1 stream, {latency:.0f} ms"
            return measured(title, server, [str(program)], config, ["customers"], added)


def measured(
    title: str,
    server: StripeServer,
    command: list[str],
    config: dict[str, t.Any],
    streams: t.Sequence[str],
    environment: dict[str, str] | None = None,
) -> Result:
    """Discover, select, and measure one run."""
    environ = {**os.environ, **(environment or {})}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, name) for name in ("config", "catalog", "out")}
        files["config"].write_text(json.dumps(config))
        command += ["--config", str(files["config"])]
        found = subprocess.run(
            [*command, "--discover"], check=True, capture_output=True, env=environ
        )
        files["catalog"].write_text(json.dumps(selected(found.stdout, streams)))
        server.forget()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.monotonic()
        with files["out"].open("wb") as out:
            done = subprocess.run(
                [*command, "--catalog", str(files["catalog"])],
                check=True,
                stdout=out,
                stderr=subprocess.PIPE,
                env=environ,
            )
        seconds = time.monotonic() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        with files["out"].open("rb") as out:
            records = sum(b'"RECORD"' in line for line in out)
    stats = server.stats()
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Result(
        title,
        records,
        seconds,
        max(map(float, _READING.findall(done.stderr)), default=seconds),
        stats["requests"],
        stats["quota_violations"],
        cpu,
        used.ru_maxrss / 1024,
    )


def selected(catalog: bytes, streams: t.Sequence[str]) -> dict[str, t.Any]:
    """Return the catalog with these streams selected, and no others."""
    content: dict[str, t.Any] = json.loads(catalog)
    for entry in content["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return content


if __name__ == "__main__":
    sys.exit(main())
