"""A loopback server that does what a test says, and time that passes when told."""

from __future__ import annotations

import http.server
import json
import socket
import struct
import threading
import typing as t

import pytest
from dativo_core.http import Options, build_client
from dativo_core.limiter import Rates
from hypothesis import HealthCheck, settings

settings.register_profile(
    "core",
    deadline=None,  # a busy machine decides about clock, not the code
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("core")

FAST = Rates(1e9, 1e9)


class FakeTime:
    """Seconds that pass only by sleeping; `slept` lists how long."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            assert seconds > 0
            self.slept.append(seconds)
            self.seconds += seconds


class Seen(t.NamedTuple):
    """One request as the server got it."""

    method: str
    path: str
    headers: t.Mapping[str, str]
    body: bytes
    peer: t.Any


class Exchange(http.server.BaseHTTPRequestHandler):
    """One request, and the means to answer it well or badly."""

    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        seen = Seen(self.command, self.path, self.headers, body, self.client_address)
        self.server.seen.append(seen)
        self.server.next_step()(self)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: t.Any) -> None:
        """Say nothing."""

    def answer(self, status=200, content=None, headers=None, body=None) -> None:
        if body is None:
            body = json.dumps({"ok": True} if content is None else content).encode()
        self.send_response(status)
        given = {"Content-Length": str(len(body)), **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """Close the connection with a RST."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()


class ScriptedServer(http.server.ThreadingHTTPServer):
    """Answers each request by the next step; without one, all is well."""

    daemon_threads = True
    # What one end closes early is the other end's error, and the test's aim.
    handle_error = lambda *_: None  # noqa: E731

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.steps: list[t.Callable[[Exchange], None]] = []
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def next_step(self) -> t.Callable[[Exchange], None]:
        with self._lock:
            return self.steps.pop(0) if self.steps else Exchange.answer

    def then(self, *steps: t.Callable[[Exchange], None]) -> None:
        self.steps += steps

    def then_answer(self, *args: t.Any, times: int = 1, **options: t.Any) -> None:
        self.steps += [lambda exchange: exchange.answer(*args, **options)] * times


@pytest.fixture
def server():
    """Run a scripted server."""
    with ScriptedServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def clock() -> FakeTime:
    """Let time pass by sleeping only."""
    return FakeTime()


@pytest.fixture
def client_for(clock):
    """Build clients that know the fake time, and close them after the test."""
    built = []

    def build(url, plugin="tap-any", rates=FAST, **options):
        times = {"clock": clock.now, "now": clock.now, "sleep": clock.sleep}
        given = {**times, "chance": lambda: 0.5, **options}
        client = build_client(plugin, url, rates, Options(**given))
        built.append(client)
        return client

    yield build
    for client in built:
        client.close()
