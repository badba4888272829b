"""Serve the simulator whose settings a file holds, on a port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path

from dativo_sandbox.stripe.settings import StripeSettings
from dativo_sandbox.stripe.simulator import Simulator
from dativo_sandbox.stripe.wire import serve


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM; say "ready" when clients may come."""
    path, port = arguments
    settings = StripeSettings(**json.loads(Path(path).read_text()))
    simulator = Simulator(settings, time.monotonic)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(simulator, int(port), _say_ready))


def _say_ready(port: int) -> None:
    print("ready", port, flush=True)  # noqa: T201 read by who started us


if __name__ == "__main__":
    main(sys.argv[1:])
