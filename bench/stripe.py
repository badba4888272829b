#!/usr/bin/env python3
"""Measure tap-stripe on the simulator, which enforces Stripe's limits.

With `--peers`, others are measured on the same simulator: singer-io's tap, which is
sent there by `stripe.api_base`, set where Python starts; and dlt's REST source.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from dativo_sandbox.stripe.server import StripeServer
from environments import BENCH, PEERS, install

PROGRAMS = Path(sys.executable).parent
MISSION = ("customers", "charges", "invoices", "subscriptions")
# https://docs.stripe.com/rate-limits
PAGE, ENDPOINT_RATE, GLOBAL_RATE = 100, 25, 100
# Peers take minutes for what we read in seconds; their rate does not depend on it.
PEERS_SHARE = 4
# What a tap of the SDK says itself: without the start of Python, and discovery.
_READING = re.compile(rb'"sync_duration","value":([0-9.]+)')
SHIM = """
import os, stripe
stripe.api_base = os.environ["SIMULATOR"]
import tap_stripe
tap_stripe.apply_request_timer_to_client = lambda client: client
"""
INTRODUCTION = (
    "# How fast Stripe is read\n\n"
    "Made by `nox -s bench_stripe`. A simulator of Stripe on loopback answers every "
    "request after the time given, counts requests in a sliding second, and refuses "
    "what is beyond 25 a second to one endpoint or 100 in all. Seconds are those of "
    "the whole process, from its start to its end, with output to a file; `reading` "
    "is what a tap of the SDK itself calls its sync. The limit of one stream is 2,500 "
    "records a second, that of four is 100 requests a second.\n"
)
HEAD = (
    "what",
    "latency ms",
    "records",
    "seconds",
    "records/s",
    "of the limit",
    "reading, of the limit",
    "requests",
    "of the fewest",
    "refused",
    "CPU seconds",
    "peak MB",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one run came to.

    Args:
        title: Who read what.
        latency: Milliseconds a request.
        streams: How many lists were read.
        records: Objects that arrived.
        seconds: From the start of the process to its end.
        reading: Of these, how long it read.
        requests: What the simulator counted.
        violations: Requests too many.
        cpu_seconds: Of the process.
        megabytes: Its largest size.
    """

    title: str
    latency: float
    streams: int
    records: int
    seconds: float
    reading: float
    requests: int
    violations: int
    cpu_seconds: float
    megabytes: float

    def part(self, seconds: float) -> float:
        """Return how much of what Stripe allows was used within the time."""
        if self.streams > 1:
            return self.requests / seconds / GLOBAL_RATE
        return self.records / seconds / PAGE / ENDPOINT_RATE

    def row(self) -> str:
        """Return a row of the report."""
        fewest = -(-self.records // PAGE)
        return line(
            self.title,
            f"{self.latency:.0f}",
            f"{self.records:,}",
            f"{self.seconds:.1f}",
            f"{self.records / self.seconds:,.0f}",
            f"{self.part(self.seconds):.0%}",
            f"{self.part(self.reading):.0%}",
            str(self.requests),
            "" if self.streams > 1 else f"{self.requests / fewest:.2f}",
            str(self.violations),
            f"{self.cpu_seconds:.1f}",
            f"{self.megabytes:.0f}",
        )


def main() -> int:
    """Run every case and print a table; write the page if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    lines = [line(*HEAD), line("---", *["--:"] * (len(HEAD) - 1))]
    tell(*lines)
    for result in results(given.customers, peers=given.peers):
        lines.append(result.row())
        tell(lines[-1])
    if given.output:
        page = [INTRODUCTION, *lines, "", *conditions(load, given.customers), ""]
        given.output.write_text("\n".join(page), encoding="utf-8")
    return 0


def results(customers: int, *, peers: bool) -> t.Iterator[Result]:
    """Measure everybody."""
    for latency in (100, 250):
        yield ours(customers, latency, ("customers",))
    yield ours(customers, 100, MISSION)
    if peers:
        for latency in (100, 250):
            yield singer_io(customers // PEERS_SHARE, latency)
            yield dlt(customers // PEERS_SHARE, latency)


def line(*cells: str) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def tell(*rows: str) -> None:
    """Print rows at once."""
    sys.stdout.write("".join(f"{row}\n" for row in rows))
    sys.stdout.flush()


def conditions(load: float, customers: int) -> list[str]:
    """Name what the figures depend on."""
    pins = json.loads((BENCH / "peers.json").read_text(encoding="utf-8"))
    singer = pins["singer-io-tap-stripe"][0].replace("==", " ")
    return [
        f"- {customers:,} customers; as many of each of the four streams, "
        "with all lines of invoices and items of subscriptions, which are requests of "
        f"their own; {customers // PEERS_SHARE:,} customers for others",
        f"- {os.cpu_count()} cores, which the simulator shares, load {load:.1f} before "
        "the start",
        f"- {platform.system()}, Python {platform.python_version()}, "
        f"msgspec {version('msgspec')}, singer-sdk {version('singer-sdk')}; "
        f"singer-io's {singer}, dlt 1.31.0",
    ]


def ours(customers: int, latency: float, streams: t.Sequence[str]) -> Result:
    """Measure tap-stripe of this checkout."""
    title = f"tap-stripe, {len(streams)} stream{'s' * (len(streams) > 1)}"
    with StripeServer(customers=customers, latency_ms=latency) as server:
        command = [str(PROGRAMS / "tap-stripe")]
        config = server.tap_config()
        return tap(title, latency, server, command, config, streams)


def singer_io(customers: int, latency: float) -> Result:
    """Measure singer-io's tap, one stream."""
    install("singer-io-tap-stripe")
    command = [str(PEERS / "singer-io-tap-stripe" / "bin" / "tap-stripe")]
    with (
        StripeServer(customers=customers, latency_ms=latency) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        Path(folder, "sitecustomize.py").write_text(SHIM, encoding="utf-8")
        config = {
            "client_secret": server.api_key,
            "account_id": json.loads(server.ask("GET", "/__keys"))["account"],
            "start_date": oldest(server),
        }
        added = {"PYTHONPATH": folder, "SIMULATOR": server.url}
        title = "singer-io's tap-stripe, 1 stream"
        return tap(title, latency, server, command, config, ["customers"], added)


def oldest(server: StripeServer) -> str:
    """Return when the first customer was made: windows before it would be empty."""
    first = server.now() - server.settings.history_days * 86_400
    return datetime.fromtimestamp(first, timezone.utc).isoformat()


def dlt(customers: int, latency: float) -> Result:
    """Measure dlt's REST source, one stream."""
    install("dlt")
    with (
        StripeServer(customers=customers, latency_ms=latency) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        program = [str(PEERS / "dlt" / "bin" / "python"), str(BENCH / "dlt_stripe.py")]
        command = [*program, server.url, server.api_key, folder]
        told = {"RUNTIME__DLTHUB_TELEMETRY": "false"}
        return measured(
            "dlt's REST source, 1 stream", latency, 1, server, command, told
        )


def tap(
    title: str,
    latency: float,
    server: StripeServer,
    command: list[str],
    config: dict[str, t.Any],
    streams: t.Sequence[str],
    environment: t.Mapping[str, str] | None = None,
) -> Result:
    """Discover, select, and measure one run."""
    environ = {**os.environ, **(environment or {})}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, name) for name in ("config", "catalog")}
        files["config"].write_text(json.dumps(config), encoding="utf-8")
        command += ["--config", str(files["config"])]
        found = subprocess.run(
            [*command, "--discover"], check=True, capture_output=True, env=environ
        )
        catalog = json.dumps(selected(found.stdout, streams))
        files["catalog"].write_text(catalog, encoding="utf-8")
        command += ["--catalog", str(files["catalog"])]
        return measured(title, latency, len(streams), server, command, environment)


def measured(
    title: str,
    latency: float,
    streams: int,
    server: StripeServer,
    command: list[str],
    environment: t.Mapping[str, str] | None = None,
) -> Result:
    """Measure one process; it writes RECORD lines, or how many records it has read."""
    server.forget()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        environ = {**os.environ, **(environment or {})}
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environ)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        said = err.read()
        if process.returncode:
            sys.exit(said.decode())
        out.seek(0)
        records = counted(out)
    stats = server.stats()
    return Result(
        title,
        latency,
        streams,
        records,
        seconds,
        max(map(float, _READING.findall(said)), default=seconds),
        stats["requests"],
        stats["quota_violations"],
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1024,
    )


def counted(out: t.Iterable[bytes]) -> int:
    """Return how many objects arrived, each once, or the number that is told."""
    found, last = set(), b""
    for last in out:
        if b'"RECORD"' in last:
            message = json.loads(last)
            found.add((message["stream"], message["record"]["id"]))
    return len(found) or int(last)


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
