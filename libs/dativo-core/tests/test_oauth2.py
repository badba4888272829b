"""Tokens are fetched early and once, and a rotated refresh token is never lost."""

from __future__ import annotations

import base64
import json
import stat
import threading
from urllib.parse import parse_qsl

import pytest
from dativo_core import logs
from dativo_core.auth import HeaderAuth, no_auth
from dativo_core.errors import CredentialsError, TryLaterError
from dativo_core.fetch import ordered
from dativo_core.http import Request
from dativo_core.oauth2 import FileTokenStore, Grant, MemoryTokenStore, OAuth2

HOUR = 3600


def grant_for(server, **options):
    """Return a grant that the server's /token answers."""
    parts = {"client_id": "app", "client_secret": "app-secret-1", **options}
    return Grant(f"{server.url}/token", **parts)


@pytest.fixture
def oauth_for(client_for, server, clock):
    """Build an `Auth` whose token endpoint is the scripted server."""

    def build(grant=None, store=None):
        client = client_for(server.url, source="oauth")
        grant = grant or grant_for(server, refresh_token="refresh-1")
        return OAuth2(grant, client.send, store, now=clock.now, chance=lambda: 0)

    return build


def tokens(server, *answers) -> None:
    """Let the token endpoint answer with these."""
    for number, parts in enumerate(answers, 1):
        content = {"access_token": f"access-{number}", "expires_in": HOUR, **parts}
        server.then_answer(content={k: v for k, v in content.items() if v is not None})


def forms(server) -> list[dict[str, str]]:
    """Return the forms that the token endpoint got."""
    return [dict(parse_qsl(one.body.decode())) for one in server.seen if one.body]


def test_the_request_for_a_user(server, oauth_for) -> None:
    """A form with the refresh token and the app's credentials."""
    tokens(server, {})
    assert oauth_for().token() == "access-1"
    assert server.seen[0].path == "/token"
    assert forms(server) == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "refresh-1",
            "client_id": "app",
            "client_secret": "app-secret-1",
        }
    ]


def test_the_request_for_an_app(server, oauth_for) -> None:
    """Without a user, the app's own credentials: here in a header, with a scope."""
    tokens(server, {})
    extra = {"scope": "a b", "fields": {"audience": "x"}, "is_basic": True}
    oauth_for(grant_for(server, **extra)).token()
    form = {"grant_type": "client_credentials", "scope": "a b", "audience": "x"}
    assert forms(server) == [form]
    encoded = base64.b64encode(b"app:app-secret-1").decode()
    assert server.seen[0].headers["Authorization"] == f"Basic {encoded}"


def test_a_public_app_has_no_secret(server, oauth_for) -> None:
    """None is sent."""
    tokens(server, {})
    grant = grant_for(server, refresh_token="refresh-1", client_secret="")
    oauth_for(grant).token()
    assert "client_secret" not in forms(server)[0]


@pytest.mark.parametrize(
    ("expires_in", "useful"),
    [(3600, 3300), (1000, 800), ("1000", 800), (None, 1500), ("soon", 1500)],
)
def test_tokens_are_renewed_early(server, oauth_for, clock, expires_in, useful) -> None:
    """Five minutes before the end, or a fifth of the lifetime if that is less."""
    tokens(server, {"expires_in": expires_in}, {})
    one = oauth_for()
    assert one.token() == "access-1"
    clock.sleep(useful - 1)
    assert one.token() == "access-1"
    clock.sleep(1)
    assert one.token() == "access-2"
    assert len(server.seen) == 2


def test_chance_spreads_renewals(server, client_for, clock) -> None:
    """Not all processes come at the same second, and none comes too late."""
    tokens(server, {})
    send = client_for(server.url).send
    grant = grant_for(server, refresh_token="refresh-1")
    one = OAuth2(grant, send, now=clock.now, chance=lambda: 0.9999)
    one.token()
    assert one._token.renew_at == pytest.approx(clock.now() + 3450, abs=0.1)


def test_one_request_for_many_threads(server, oauth_for) -> None:
    """Eight threads that need a token cause one request."""
    tokens(server, {})
    one = oauth_for()
    barrier = threading.Barrier(8)

    def ask(_):
        barrier.wait()
        return one.token()

    found = list(ordered(range(8), ask, workers=8, ahead=8))
    assert found == ["access-1"] * 8
    assert len(server.seen) == 1


@pytest.fixture
def api(client_for, server):
    """Ask the API with an `Auth`, and return the parsed answer."""

    def ask(auth):
        client = client_for(server.url, auth=auth)
        return client.send(Request("GET", f"{server.url}/v1/things")).json()

    return ask


def test_the_token_is_on_the_request(server, oauth_for, api) -> None:
    """As a bearer token."""
    tokens(server, {})
    assert api(oauth_for()) == {"ok": True}
    assert server.seen[1].headers["Authorization"] == "Bearer access-1"


def test_a_refused_token_is_replaced_once(server, oauth_for, api) -> None:
    """A 401 in between costs one new token and one request."""
    tokens(server, {})
    server.then_answer(401, {})
    tokens(server, {"access_token": "access-2"})
    assert api(oauth_for()) == {"ok": True}
    told = [one.headers["Authorization"] for one in server.seen]
    assert told == [None, "Bearer access-1", None, "Bearer access-2"]


def test_a_second_refusal_is_final(server, oauth_for, api) -> None:
    """New tokens do not help where the permission is missing."""
    tokens(server, {})
    server.then_answer(401, {})
    tokens(server, {"access_token": "access-2"})
    server.then_answer(401, {})
    with pytest.raises(CredentialsError, match="/v1/things answered 401"):
        api(oauth_for())
    assert len(server.seen) == 4


def test_a_fixed_token_has_no_replacement(server, api) -> None:
    """One request, one error."""
    server.then_answer(401, {})
    with pytest.raises(CredentialsError):
        api(HeaderAuth({"Authorization": "Bearer fixed"}))
    assert len(server.seen) == 1


def test_a_token_that_another_thread_renewed(server, oauth_for) -> None:
    """A refusal of the old token does not cost the new one."""
    tokens(server, {}, {})
    one = oauth_for()
    one.token()
    for refused, expected in (("access-0", "access-1"), ("access-1", "access-2")):
        request = type("R", (), {"headers": {"Authorization": f"Bearer {refused}"}})
        assert one.renew(request)
        assert one.token() == expected


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_client"])
def test_a_refused_grant(server, oauth_for, code) -> None:
    """It is an error of the credentials, told once, with what to do."""
    server.then_answer(400, {"error": code, "error_description": "Expired."})
    with pytest.raises(CredentialsError, match=f"400 .{code}.: Expired"):
        oauth_for().token()
    assert len(server.seen) == 1


def test_a_token_endpoint_that_stumbles(server, oauth_for) -> None:
    """What passes is tried again; what does not is for another run."""
    server.then_answer(503, {})
    tokens(server, {})
    assert oauth_for().token() == "access-1"
    server.then_answer(503, times=9)
    with pytest.raises(TryLaterError):
        oauth_for().token()


@pytest.mark.parametrize("content", [[], {"token": "x"}, {"access_token": ""}, "x"])
def test_an_answer_without_token(server, oauth_for, content) -> None:
    """The URL is not that of a token endpoint."""
    server.then_answer(200, content)
    with pytest.raises(CredentialsError, match="/token answered without an access"):
        oauth_for().token()


def test_rotated_tokens_are_used_next(server, oauth_for, clock) -> None:
    """In this process and, with a file, in the next."""
    tokens(server, {"refresh_token": "refresh-2"}, {"refresh_token": "refresh-3"}, {})
    one = oauth_for()
    for _ in range(3):
        one.token()
        clock.sleep(HOUR)
    used = [form["refresh_token"] for form in forms(server)]
    assert used == ["refresh-1", "refresh-2", "refresh-3"]


def test_rotated_tokens_outlive_the_process(server, oauth_for, tmp_path) -> None:
    """The file is its owner's only, and there before the token is used."""
    path = tmp_path / "new" / "token.json"
    tokens(server, {"refresh_token": "refresh-2"}, {})
    oauth_for(store=FileTokenStore(path)).token()
    assert json.loads(path.read_text())["refresh_token"] == "refresh-2"
    assert "refresh-1" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    oauth_for(store=FileTokenStore(path)).token()
    assert [form["refresh_token"] for form in forms(server)] == [
        "refresh-1",
        "refresh-2",
    ]


def test_a_new_authorisation_goes_before_the_file(server, oauth_for, tmp_path) -> None:
    """When the configured token changes, the kept one is out of date."""
    store = FileTokenStore(tmp_path / "token.json")
    tokens(server, {"refresh_token": "refresh-2"}, {})
    oauth_for(store=store).token()
    oauth_for(grant_for(server, refresh_token="refresh-9"), store).token()
    assert forms(server)[1]["refresh_token"] == "refresh-9"


def test_a_token_that_another_process_used_up(server, oauth_for) -> None:
    """The store is read once more before the run gives up."""

    class Store(MemoryTokenStore):
        reads = 0

        def load(self, origin):
            self.reads += 1
            return "refresh-2" if self.reads > 1 else super().load(origin)

    server.then_answer(400, {"error": "invalid_grant"})
    tokens(server, {})
    assert oauth_for(store=Store()).token() == "access-1"
    assert [form["refresh_token"] for form in forms(server)] == [
        "refresh-1",
        "refresh-2",
    ]


def test_two_processes_take_turns(server, oauth_for, tmp_path) -> None:
    """The second reads what the first was given, though both began at once."""
    path = tmp_path / "token.json"
    pair = [oauth_for(store=FileTokenStore(path)) for _ in range(2)]
    tokens(server, {"refresh_token": "refresh-2"}, {"refresh_token": "refresh-3"})
    list(ordered(pair, lambda one: one.token(), workers=2, ahead=2))
    used = sorted(form["refresh_token"] for form in forms(server))
    assert used == ["refresh-1", "refresh-2"]
    assert FileTokenStore(path).load("refresh-1") == "refresh-3"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"refresh_token": "x"}'])
def test_a_damaged_token_file(oauth_for, tmp_path, content) -> None:
    """It is not silently replaced: it may have held the only good grant."""
    path = tmp_path / "token.json"
    path.write_text(content)
    with pytest.raises(CredentialsError, match=r"token\.json is damaged"):
        oauth_for(store=FileTokenStore(path)).token()


def test_tokens_never_reach_a_log(server, oauth_for) -> None:
    """Neither the configured ones nor those that came later."""
    tokens(server, {"access_token": "access-canary", "refresh_token": "refresh-canary"})
    one = oauth_for(grant_for(server, refresh_token="refresh-origin"))
    one.token()
    words = "app-secret-1 refresh-origin access-canary refresh-canary"
    assert logs.SECRETS.mask(words) == "*** *** *** ***"
    assert "canary" not in repr(one._token)
    assert "secret" not in repr(one._grant)


def test_no_credentials(server, api) -> None:
    """Nothing is sent."""
    assert api(no_auth()) == {"ok": True}
    assert server.seen[0].headers["Authorization"] is None
