"""HTTP/1.1 on loopback: one thread, whatever the number of connections."""

from __future__ import annotations

import asyncio
import http
import socket
import struct
import typing as t

from dativo_sandbox.process import LOOPBACK
from dativo_sandbox.stripe.messages import Request, Response

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_sandbox.stripe.simulator import Simulator

_END = b"\r\n\r\n"
_DROPS = 20
# A socket that lingers for no time ends with a reset.
_NO_LINGER = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One client, which may send many requests, one after the other.

    Args:
        simulator: What answers.
        latency_seconds: How long every response of the API waits.
    """

    def __init__(self, simulator: Simulator, latency_seconds: float) -> None:
        self._simulator = simulator
        self._latency = latency_seconds
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._is_busy = False
        self._is_last = False
        self._leave: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new client."""
        self._transport = t.cast("asyncio.Transport", transport)
        self._socket = t.cast("socket.socket", transport.get_extra_info("socket"))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget a client that is gone, and what it waits for."""
        if self._timer:
            self._timer.cancel()
        self._done()

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is whole."""
        self._buffer += data
        self._next()

    def _next(self) -> None:
        if self._is_busy:
            return
        request, self._buffer = parse(self._buffer)
        if request is None:
            return
        self._is_busy = True
        self._is_last = request.headers.get("connection", "").lower() == "close"
        response, self._leave = self._simulator.respond(request)
        wait = self._latency if request.path.startswith("/v1/") else 0.0
        if response.delivery.kind == "hang":
            wait = response.delivery.seconds
        self._later(wait, lambda: self._deliver(response))

    def _deliver(self, response: Response) -> None:
        data = serialise(response)
        kind, cut = response.delivery.kind, len(data) - len(response.body) // 2
        if kind == "reset":
            self._reset()
        elif kind == "reset_midway":
            self._transport.write(data[:cut])
            self._later(0.0, self._reset)
        elif kind in ("truncate", "truncate_chunked"):
            is_chunked = kind == "truncate_chunked"
            self._transport.write(chunked(response) if is_chunked else data[:cut])
            self._transport.close()
        elif kind == "drip":
            self._drip(data, len(data) // _DROPS + 1, response.delivery.seconds)
        else:
            self._write_last(data)

    def _drip(self, data: bytes, size: int, seconds: float) -> None:
        if len(data) <= size:
            self._write_last(data)
            return
        self._transport.write(data[:size])
        self._later(seconds / _DROPS, lambda: self._drip(data[size:], size, seconds))

    def _reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def _write_last(self, data: bytes) -> None:
        # First, or a quick client would find its place still taken.
        self._done()
        self._transport.write(data)
        if self._is_last:
            self._transport.close()
            return
        self._is_busy = False
        self._next()

    def _done(self) -> None:
        leave, self._leave = self._leave, None
        if leave:
            leave()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        if not seconds:
            act()
            return
        self._timer = self._loop.call_later(seconds, act)


def parse(data: bytes) -> tuple[Request | None, bytes]:
    """Take one request off what has come, if it is there whole."""
    head, found, rest = data.partition(_END)
    if not found:
        return None, data
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", 0))
    if len(rest) < length:
        return None, data
    return Request.of(method, target, headers, rest[:length]), rest[length:]


def serialise(response: Response) -> bytes:
    """Return a response as it goes over the wire."""
    phrase = http.HTTPStatus(response.status).phrase
    lines = [
        f"HTTP/1.1 {response.status} {phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + _END + response.body


def chunked(response: Response) -> bytes:
    """Return a response that lacks half of its body, and the chunk that ends it."""
    part = response.body[: len(response.body) // 2]
    head = serialise(response.replace(body=b"")).replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    return b"%b%x\r\n%b\r\n" % (head, len(part), part)


async def serve(simulator: Simulator, port: int, ready: Callable[[int], None]) -> None:
    """Serve until cancelled; say on which port when clients may come."""
    loop = asyncio.get_running_loop()
    latency = simulator.settings.latency_ms / 1_000
    server = await loop.create_server(
        lambda: Connection(simulator, latency), LOOPBACK, port
    )
    async with server:
        ready(server.sockets[0].getsockname()[1])
        await server.serve_forever()
