"""A real server misbehaves in every way that is known; the client stays calm."""

from __future__ import annotations

import gzip
import logging
import random
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
from dativo_core.fetch import ordered
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
    assert (reply.status, reply.json(), reply.body) == (
        200,
        {"ok": True},
        b'{"ok": true}',
    )
    assert reply.headers["content-length"] == "12"
    query = "limit=100&types%5B%5D=a&types%5B%5D=b"
    assert [one.path for one in server.seen] == [f"/v1/things?{query}"]
    assert server.seen[0].headers["User-Agent"] == "tap-any (dativo)"


def test_connections_are_kept(client_for, server) -> None:
    """Requests one after the other share a connection, also after an error's body."""
    server.then_answer()
    server.then_answer(500, {"message": "x" * 100_000})
    client = client_for(server.url)
    for _ in range(4):
        ask(client, server)
    assert len(server.seen) == 5
    assert len({one.peer for one in server.seen}) == 1


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


PASSING = [
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
]


@pytest.mark.parametrize("step", PASSING)
def test_a_fault_that_passes(client_for, server, clock, step) -> None:
    """One more request, after a pause, brings the answer."""
    server.then(step)
    assert ask(client_for(server.url, "tap-google-sheets"), server).json() == {
        "ok": True
    }
    assert len(server.seen) == 2
    assert len(clock.slept) >= 1


def test_many_requests_through_many_faults(client_for, server, clock) -> None:
    """Eight threads get all they ask for, in order, for less than 10 percent more."""
    chance = random.Random(6)  # noqa: S311
    faults = [chance.choice(PASSING) for _ in range(48)]
    good = [answers() for _ in range(600)]
    steps = chance.sample(faults + good, len(faults) + len(good))
    server.then(*steps[:640], *good)
    client = client_for(server.url, "tap-google-sheets", chance=chance.random)

    def fetch(number):
        return number, ask(client, server, f"/v1/things/{number}").json()

    found = list(ordered(range(600), fetch, workers=8, ahead=32))
    assert found == [(number, {"ok": True}) for number in range(600)]
    assert {one.path for one in server.seen} == {f"/v1/things/{n}" for n in range(600)}
    extra = len(server.seen) - 600
    assert 40 <= extra <= 60
    assert extra == sum(step in PASSING for step in steps[: len(server.seen)])
    assert clock.now() - 1_800_000_000 < 300


def hang(exchange) -> None:
    """Say nothing until the client has gone."""
    exchange.rfile.read(1)
    exchange.close_connection = True


def drip(exchange) -> None:
    """Send a byte at a time, for ever."""
    exchange.send_response(200)
    exchange.send_header("Connection", "close")
    exchange.end_headers()
    while True:
        exchange.wfile.write(b" ")
        exchange.wfile.flush()


def test_a_silent_server(client_for, server) -> None:
    """The read timeout ends the wait, and the next request succeeds."""
    server.then(hang)
    client = client_for(server.url, timeouts=Timeouts(read=0.05))
    assert ask(client, server).json() == {"ok": True}
    assert len(server.seen) == 2


def test_a_body_that_trickles_in(client_for, server) -> None:
    """The time for a whole answer is bounded, though no single byte is late."""
    server.then(drip)
    ticks = iter(range(10**9))
    client = client_for(
        server.url, clock=lambda: next(ticks), timeouts=Timeouts(total=20)
    )
    assert ask(client, server).json() == {"ok": True}
    assert len(server.seen) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_without_end(client_for, server, packed) -> None:
    """Its size is bounded, unpacked, and it is not asked for again."""
    body = b"[" + b" " * 10_000_000
    options = {"body": body}
    if packed:
        options = {"body": gzip.compress(body), "headers": {"Content-Encoding": "gzip"}}
    server.then_answer(**options)
    client = client_for(server.url, max_body_bytes=1_000_000)
    with pytest.raises(RefusedError, match="BodyTooLargeError: more than 1000000 byt"):
        ask(client, server)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_not_followed(client_for, server, status) -> None:
    """Neither round in circles nor, with the credentials, to another host."""
    server.then_answer(status, headers={"Location": f"{server.url}/v1/things"})
    client = client_for(server.url, auth=bearer("sk_secret_1"))
    with pytest.raises(ConfigurationError, match=f"answered {status}.*Check the URL"):
        ask(client, server)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("plugin", "status", "content", "error", "words"),
    [
        ("tap-any", 400, {"message": "Bad."}, RefusedError, r"answered 400: Bad\.$"),
        ("tap-any", 401, {}, CredentialsError, "Check the credentials"),
        ("tap-any", 402, {}, ConfigurationError, "plan"),
        ("tap-any", 403, {}, NotPermittedError, "lack a permission"),
        ("tap-any", 404, {}, GoneError, "answered 404"),
        ("tap-any", 410, {}, GoneError, "answered 410"),
        ("tap-any", 451, {}, SkippedError, "answered 451"),
        ("tap-any", 501, {}, RefusedError, "answered 501"),
        (
            "tap-stripe",
            400,
            {"error": {"code": "resource_missing", "param": "starting_after"}},
            SkippedError,
            "read the window again",
        ),
        (
            "tap-google-drive",
            403,
            {"error": {"errors": [{"reason": "accessNotConfigured"}]}},
            ConfigurationError,
            "Enable the API",
        ),
    ],
)
def test_a_fault_that_stays(
    client_for, server, plugin, status, content, error, words
) -> None:
    """One request is enough to know, and the error says what to do."""
    server.then_answer(status, content)
    with pytest.raises(error, match=words) as caught:
        ask(client_for(server.url, plugin), server)
    assert type(caught.value) is error
    assert len(server.seen) == 1


def test_patience_ends(client_for, server, clock) -> None:
    """Six requests, five pauses that double at random, then exit code 75."""
    server.then_answer(500, times=9)
    with pytest.raises(TryLaterError, match="answered 500") as caught:
        ask(client_for(server.url), server)
    assert caught.value.decision.category is Category.TRANSIENT
    assert len(server.seen) == 6
    assert clock.slept == [0.25, 0.5, 1, 2, 4]


def test_a_long_wait_is_for_another_run(client_for, server, clock) -> None:
    """Who is asked to wait for hours stops, and says until when."""
    server.then_answer(429, headers={"Retry-After": "7200"})
    with pytest.raises(
        TryLaterError, match="not before 2027-01-15T10:00:00Z"
    ) as caught:
        ask(client_for(server.url), server)
    assert caught.value.not_before == clock.seconds + 7200
    assert clock.slept == []


def test_a_day_that_is_used_up(client_for, server, clock) -> None:
    """HubSpot's daily limit stops the run at once: no retry can help today."""
    body = {"errorType": "RATE_LIMIT", "policyName": "DAILY", "message": "Enough."}
    server.then_answer(429, body)
    with pytest.raises(TryLaterError, match=r"used up\. Not before 2027-.*Z") as caught:
        ask(client_for(server.url, "tap-hubspot"), server)
    assert caught.value.not_before == clock.seconds + 3600
    assert len(server.seen) == 1


@pytest.mark.parametrize("answer_of_stripe", ["true", "false"])
def test_stripe_says_whether_to_retry(client_for, server, answer_of_stripe) -> None:
    """Stripe-Should-Retry is obeyed, whatever the status would mean."""
    server.then_answer(503, headers={"Stripe-Should-Retry": answer_of_stripe})
    client = client_for(server.url, "tap-stripe")
    if answer_of_stripe == "true":
        assert ask(client, server).json() == {"ok": True}
    else:
        with pytest.raises(TryLaterError, match="asks not to repeat"):
            ask(client, server)
    assert len(server.seen) == (2 if answer_of_stripe == "true" else 1)


def test_throttling_slows_down_all_requests(client_for, server, clock) -> None:
    """After a 429 nothing goes before Retry-After, and the rate is halved."""
    server.then_answer(429, headers={"Retry-After": "20"})
    rates = Rates(100, 100, share=1)
    client = client_for(server.url, rates=rates, throttle_scope=lambda *_: GLOBAL)
    began = clock.now()
    ask(client, server)
    assert clock.now() - began >= 20
    assert client._limiter.rate() < 100 * (0.5 + 0.021 * 22)
    assert client._limiter.rate("GET /other") == 100


def test_a_breaker_that_opens_and_closes(client_for, server, clock, caplog) -> None:
    """When most fails, requests stop; a probe later finds that all is well again."""
    server.then_answer(500, times=10)
    client = client_for(server.url)
    with pytest.raises(TryLaterError, match="answered 500"):
        ask(client, server)
    assert ask(client, server).json() == {"ok": True}
    assert len(server.seen) == 11
    assert max(clock.slept) == pytest.approx(8.4)
    assert "is open now. 10 of 10 calls failed." in caplog.text
    ask(client, server)
    ask(client, server)
    assert "is closed now. 3 probes succeeded." in caplog.text


def test_the_next_run_knows_the_breaker(client_for, server, tmp_path) -> None:
    """A run that starts while the service is left alone waits, or says until when."""
    server.then_answer(500, times=20)
    client = client_for(server.url, state_folder=tmp_path, credential="sk_1")
    for _ in range(2):
        with pytest.raises(TryLaterError):
            ask(client, server)
    client.close()
    other = client_for(server.url, state_folder=tmp_path, credential="sk_2")
    assert other._breaker.phase.value == "closed"
    again = client_for(server.url, state_folder=tmp_path, credential="sk_1")
    assert again._breaker.phase.value == "open"
    assert "sk_1" not in "".join(one.read_text() for one in tmp_path.iterdir())


def test_calls_and_retries_are_told(client_for, server) -> None:
    """Each exchange is told with its status, size and decision; each pause too."""
    calls, retries = [], []
    server.then_answer(500)
    client = client_for(server.url, on_call=calls.append, on_retry=retries.append)
    ask(client, server, endpoint="things")
    assert [(one.endpoint, one.status, one.received_bytes) for one in calls] == [
        ("things", 500, 0),
        ("things", 200, 12),
    ]
    assert [one.decision.rule for one in retries] == ["http_server"]
    assert calls[0].decision.rule == "http_server"
    assert calls[1].decision is None


def test_calls_are_counted(client_for, server, clock, caplog) -> None:
    """METRIC points in the SDK's shape: each minute and at the end, what was added."""
    caplog.set_level(logging.INFO, "singer_sdk.metrics")
    server.then_answer(500)
    client = client_for(server.url)
    for seconds in (1, 1, 58, 1):
        ask(client, server, endpoint="things")
        clock.sleep(seconds)
    ask(client, server, endpoint="things")
    client.close()
    points = [one.args[0].to_dict() for one in caplog.records if "METRIC" in one.msg]
    assert {one["metric"] for one in points} == {"http_request_count"}
    good = {"endpoint": "things", "http_status_code": 200, "status": "succeeded"}
    bad = {"endpoint": "things", "http_status_code": 500, "status": "failed"}
    counted = [(one["value"], one["tags"]) for one in points]
    assert counted == [(1, {**bad, "category": "transient"}), (4, good), (1, good)]


def test_a_server_that_is_not_there(client_for, server, clock) -> None:
    """A refused connection is tried again, then named with the host and no query."""
    server.server_close()
    with pytest.raises(TryLaterError, match="Connection refused") as caught:
        ask(client_for(server.url), server, params={"token": "hidden"})
    assert server.url in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert len(clock.slept) == 5


@pytest.mark.parametrize(
    ("url", "words"),
    [("nowhere", "MissingSchema"), ("http://", "InvalidURL"), ("ftp://a/b", "Invali")],
)
def test_a_url_that_is_none(client_for, url, words) -> None:
    """It is a setting's fault, known before anything is sent."""
    with pytest.raises(ConfigurationError, match=f"{words}.*Check the URL"):
        client_for("http://x").send(Request("GET", url))


def test_an_address_that_is_none(client_for) -> None:
    """What is no URL at all is known even before; it may hold a password."""
    with pytest.raises(ConfigurationError, match="Check the URL") as caught:
        client_for("https://user:canary@[bad")
    assert "canary" not in str(caught.value)


def test_a_secret_that_cannot_be_sent(client_for, server) -> None:
    """A line break at its end is cut off; one within is an error that hides it."""
    ask(client_for(server.url, auth=bearer("sk_live_1\n")), server)
    assert server.seen[0].headers["Authorization"] == "Bearer sk_live_1"
    for secret in ("sk_live\nbroken", "sk_live_bröken"):
        with pytest.raises(ConfigurationError, match="cannot be sent") as caught:
            bearer(secret)
        assert "sk_live" not in str(caught.value)


@pytest.fixture
def tls_server(server, tmp_path):
    """Let the server speak TLS, its authority known to nobody."""
    server.authority = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    return server


def test_certificates_are_verified(client_for, tls_server) -> None:
    """A stranger's certificate ends the run; with its authority all is well."""
    with pytest.raises(ConfigurationError, match="certificate is not trusted"):
        ask(client_for(tls_server.url), tls_server)
    assert tls_server.seen == []
    client = client_for(tls_server.url, ca_file=tls_server.authority)
    assert ask(client, tls_server).json() == {"ok": True}


def test_a_server_without_tls(client_for, server) -> None:
    """HTTPS to a port that speaks HTTP is a setting's fault."""
    server.scheme = "https"
    with pytest.raises(ConfigurationError, match="does not speak TLS"):
        ask(client_for(server.url), server)


def test_credentials_stay_out_of_logs_and_errors(client_for, server, caplog) -> None:
    """Neither the key nor the query is in anything that is said."""
    caplog.set_level(logging.DEBUG)
    server.then_answer(500, times=2)
    client = client_for(server.url, auth=basic("me", "pass-word-1"))
    ask(client, server, params={"secret": "query-word-1"})
    assert "next one is in" in caplog.text
    for word in ("pass-word-1", "query-word-1", "Basic"):
        assert word not in caplog.text
    assert server.seen[0].headers["Authorization"].startswith("Basic ")


def test_netrc_is_for_others(client_for, server, tmp_path, monkeypatch) -> None:
    """A request without credentials takes none from the user's ~/.netrc."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    ask(client_for(server.url), server)
    assert server.seen[0].headers["Authorization"] is None


@pytest.mark.parametrize("seconds", [3_600, 10**15])
def test_a_hold_is_known_to_the_next_run(client_for, server, tmp_path, seconds) -> None:
    """It ends and says until when, as the one before; nothing is asked meanwhile."""
    server.then_answer(429, headers={"Retry-After": str(seconds)})
    until = {}
    for run in range(2):
        given = {"shares_limits": True, "state_folder": tmp_path}
        with pytest.raises(TryLaterError, match="not before") as caught:
            ask(client_for(server.url, **given), server)
        until[run] = caught.value.not_before
    assert until[0] == until[1]
    assert len(server.seen) == 1


def test_a_short_hold_is_waited_for(client_for, server, tmp_path, clock) -> None:
    """By the policy's patience, without asking meanwhile."""
    client = client_for(server.url, shares_limits=True, state_folder=tmp_path)
    client._limiter.throttled("GET x", 120, GLOBAL)
    assert ask(client, server).json() == {"ok": True}
    assert 120 <= clock.now() - 1_800_000_000 < 140
    assert len(server.seen) == 1


def test_processes_share_limits(client_for, server, clock, tmp_path) -> None:
    """Two clients with one state folder wait for each other."""
    rates = Rates(10, 10, share=1)
    options = {"rates": rates, "state_folder": tmp_path, "shares_limits": True}
    for _ in range(2):
        ask(client_for(server.url, **options), server)
    assert clock.slept == [pytest.approx(0.1, abs=1e-6)]
