"""The Stripe simulator speaks HTTP, and breaks it only as told."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading

import pytest
from dativo_sandbox.stripe.messages import Delivery, Response
from dativo_sandbox.stripe.settings import StripeSettings
from dativo_sandbox.stripe.simulator import Simulator
from dativo_sandbox.stripe.wire import parse, serialise, serve

LOOPBACK = "127.0.0.1"
LIST = "/v1/customers?limit=100"
PATIENCE_SECONDS = 60


class Served:
    """A simulator on a thread's own loop."""

    def __init__(self, **settings):
        told = {"now": 1_760_000_000, "secret": "s3cret", "customers": 150, **settings}
        self.simulator = Simulator(StripeSettings(**told), lambda: 0.0)
        self.headers = {"Authorization": f"Bearer {self.simulator.keys.live}"}
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self):
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            await serve(self.simulator, 0, self._ready)
        except asyncio.CancelledError:
            return

    def _ready(self, port):
        self.port = port
        self._is_ready.set()

    def connect(self):
        """Return a new connection."""
        return http.client.HTTPConnection(LOOPBACK, self.port, timeout=PATIENCE_SECONDS)

    def ask(self, connection, target=LIST):
        """Return status and body of an answer."""
        connection.request("GET", target, headers=self.headers)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def __enter__(self):
        self._thread.start()
        assert self._is_ready.wait(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()


@pytest.fixture
def served():
    """Serve without latency, from this process."""
    with Served() as running:
        yield running


@pytest.fixture
def connection(served):
    """Connect to it."""
    opened = served.connect()
    yield opened
    opened.close()


def test_one_connection_takes_many_requests(served, connection):
    """It stays open, and control paths are on it too."""
    for _ in range(3):
        status, body = served.ask(connection)
        assert (status, len(json.loads(body)["data"])) == (200, 100)
    port = connection.sock.getsockname()[1]
    assert json.loads(served.ask(connection, "/__stats")[1])["requests"] == 3
    assert connection.sock.getsockname()[1] == port


def test_requests_may_come_in_pieces_or_together(served):
    """Bytes are requests when they are whole, wherever they were cut."""
    key = f"authorization: {served.headers['Authorization']}"
    data = f"GET /v1/charges?limit=1 HTTP/1.1\r\n{key}\r\n\r\n".encode() * 2
    with socket.create_connection((LOOPBACK, served.port), PATIENCE_SECONDS) as client:
        client.sendall(data[:30])
        client.sendall(data[30:])
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answers:
            found = answers.read()
    assert found.count(b"HTTP/1.1 200 OK") == 2


def test_a_client_may_ask_for_the_end_of_the_connection(served):
    """`Connection: close` is obeyed."""
    with socket.create_connection((LOOPBACK, served.port), PATIENCE_SECONDS) as client:
        client.sendall(b"GET /__clock HTTP/1.1\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as answer:
            assert answer.read().endswith(b'{"now":1760000000}')


def test_latency_holds_requests_open():
    """Requests that wait run at the same time, and then are answered."""
    with Served(latency_ms=250) as slow:
        connections = [slow.connect() for _ in range(4)]
        for opened in connections:
            opened.request("GET", LIST, headers=slow.headers)
        statuses = []
        for opened in connections:
            reply = opened.getresponse()
            statuses.append(reply.status)
            reply.read()
            opened.close()
        assert statuses == [200] * 4
        assert slow.simulator.limits.most_running > 1
        assert slow.simulator.limits.running == 0


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("reset", ConnectionResetError),
        ("reset_midway", (ConnectionResetError, http.client.IncompleteRead)),
        ("truncate", http.client.IncompleteRead),
        ("truncate_chunked", http.client.IncompleteRead),
    ],
)
def test_connections_break(served, connection, action, error):
    """A broken answer is an error of the connection, and frees its place."""
    served.simulator.schedule = type(served.simulator.schedule)([{"action": action}])
    with pytest.raises(error):
        served.ask(connection)
    connection.close()
    served.simulator.schedule = type(served.simulator.schedule)([])
    assert served.ask(connection)[0] == 200
    assert served.simulator.limits.running == 0


def test_a_drip_is_slow_but_whole(served, connection):
    """The answer comes in twenty pieces and is the honest one."""
    _, honest = served.ask(connection)
    rule = {"action": "slow_drip", "seconds": 0.02}
    served.simulator.schedule = type(served.simulator.schedule)([rule])
    assert served.ask(connection) == (200, honest)


def test_a_hanging_answer_ends_when_the_client_leaves(served):
    """Nothing comes; the client gives up, and its place is free."""
    rule = {"action": "hang", "seconds": 600, "nth": 1}
    served.simulator.schedule = type(served.simulator.schedule)([rule])
    impatient = http.client.HTTPConnection(LOOPBACK, served.port, timeout=0.05)
    with pytest.raises(TimeoutError):
        served.ask(impatient)
    impatient.close()
    other = served.connect()
    assert served.ask(other)[0] == 200
    other.close()
    assert served.simulator.limits.running == 0


def test_a_request_is_parsed_when_it_is_whole():
    """Head and body may be incomplete; what follows is left."""
    data = b"POST /__mutate?a=b%20c HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET"
    for cut in range(len(data) - 3):
        assert parse(data[:cut]) == (None, data[:cut])
    request, rest = parse(data)
    assert (request.method, request.path, request.body) == ("POST", "/__mutate", b"{}")
    assert (request.query, rest) == ((("a", "b c"),), b"GET")


def test_a_response_is_written_whole():
    """Status, headers and body are in their places."""
    response = Response(404, b"{}", {"Request-Id": "req_1"}, delivery=Delivery())
    assert serialise(response) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\nRequest-Id: req_1\r\n\r\n{}"
    )
