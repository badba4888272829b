"""A real server misbehaves in every way that is known; the client stays calm."""

from __future__ import annotations

import gzip
import logging
import ssl

import pytest
from dativo_core.auth import basic, bearer
from dativo_core.errors import (
    ConfigurationError,
    CredentialsError,
    GoneError,
    NotPermittedError,
    RefusedError,
    SkippedError,
    TryLaterError,
)
from dativo_core.faults import Category
from dativo_core.http import Request, Timeouts
from dativo_core.limiter import GLOBAL, Rates
from dativo_sandbox.certificates import make_certificates


def ask(client, server, path="/v1/things", **options):
    """Send a GET to the server."""
    return client.send(Request("GET", f"{server.url}{path}", **options))


def test_a_good_answer(client_for, server) -> None:
    """Status, headers, body and content come back; one request was made."""
    params = {"limit": 100, "types[]": ["a", "b"]}
    reply = ask(client_for(server.url), server, params=params)
    assert (reply.status, reply.json(), reply.body) == (200, {"ok": True}, b'{"ok": true}')
    assert reply.headers["content-length"] == "12"
    query = "limit=100&types%5B%5D=a&types%5B%5D=b"
    assert [one.path for one in server.seen] == [f"/v1/things?{query}"]
    assert server.seen[0].headers["User-Agent"] == "tap-any (dativo)"


def test_an_answer_without_content(client_for, server) -> None:
    """204 has no JSON, and that is no fault."""
    server.then_answer(204, body=b"")
    assert ask(client_for(server.url), server).json() is None


def test_bytes_are_not_parsed(client_for, server) -> None:
    """What is asked for as bytes comes as bytes, unpacked."""
    packed = gzip.compress(b"a,b\n1,2\n")
    server.then_answer(body=packed, headers={"Content-Encoding": "gzip"})
    reply = ask(client_for(server.url), server, expect="bytes")
    assert (reply.body, reply.json()) == (b"a,b\n1,2\n", None)


def short_length(exchange) -> None:
    """Promise more bytes than come."""
    exchange.answer(body=b'{"ok": tr', headers={"Content-Length": "12"})
    exchange.close_connection = True


def cut_chunks(exchange) -> None:
    """End in the middle of a chunk."""
    exchange.send_response(200)
    exchange.send_header("Transfer-Encoding", "chunked")
    exchange.end_headers()
    exchange.wfile.write(b"ff\r\n{")
    exchange.close_connection = True


def reset_before(exchange) -> None:
    """Close without an answer."""
    exchange.reset()


def reset_within(exchange) -> None:
    """Close after the headers."""
    exchange.send_response(200)
    exchange.send_header("Content-Length", "100")
    exchange.end_headers()
    exchange.wfile.write(b"{")
    exchange.wfile.flush()
    exchange.reset()


def answers(*args, **options):
    """Return a step that answers so."""
    return lambda exchange: exchange.answer(*args, **options)


@pytest.mark.parametrize(
    "step",
    [
        short_length,
        cut_chunks,
        reset_before,
        reset_within,
        answers(body=b"<html>wait</html>", headers={"Content-Type": "text/html"}),
        answers(body=b'{"ok": tru}'),
        answers(body=b""),
        answers(body=b"\xff\xfe"),
        answers(body=b"not gzip", headers={"Content-Encoding": "gzip"}),
        answers(500),
        answers(502, body=b"<html>Bad Gateway</html>"),
        answers(503, headers={"Retry-After": "7"}),
        answers(504),
        answers(408),
        answers(409),
        answers(423),
        answers(425),
        answers(429),
        answers(429, headers={"Retry-After": "7"}),
        answers(200, {"error": {"status": "RESOURCE_EXHAUSTED", "message": "slow"}}),
    ],
)
def test_a_fault_that_passes(client_for, server, time, step) -> None:
    """One more request, after a pause, brings the answer."""
    server.then(step)
    assert ask(client_for(server.url, "tap-google-sheets"), server).json() == {"ok": True}
    assert len(server.seen) == 2
    assert len(time.slept) >= 1
