"""The Stripe server is a process with a URL, keys and paths of its own."""

from __future__ import annotations

import contextlib
import json
import threading
import typing as t

import pytest
import requests
from dativo_sandbox.errors import ServerStartError
from dativo_sandbox.stripe import __main__ as program
from dativo_sandbox.stripe.server import StripeServer

if t.TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 60


def _get(server: StripeServer, path: str, key: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(server.url + path, headers=headers, timeout=PATIENCE_SECONDS)


def test_it_lives_as_long_as_its_block(ends: Callable[[int], bool]) -> None:
    """Its settings reach it, and nothing of it stays."""
    with StripeServer(customers=7, denied=("charges",)) as server:
        config, pid, home = server.tap_config(), server.pid, server.home
        assert config == {"api_key": server.api_key, "api_url": server.url}
        assert len(server.accounts()) == 2
        assert _get(server, "/v1/customers", server.test_key).status_code == 200
        assert _get(server, "/v1/charges", server.restricted_key).status_code == 403
        assert oct((home / "settings.json").stat().st_mode)[-3:] == "600"
    assert ends(pid)
    assert not home.exists()


def test_it_is_ready_for_a_test(stripe_server: StripeServer) -> None:
    """The fixture has untouched objects; clock, changes and counts are at hand."""
    stripe_server.forget()
    before = stripe_server.now()
    assert stripe_server.now(advance=5) == before + 5
    [change] = stripe_server.mutate(ops=[{"op": "create", "type": "customer"}])
    assert change["id"] in stripe_server.objects("customer", ids="")
    assert len(stripe_server.objects("customer")) == 301
    stripe_server.schedule({"action": "forbidden", "nth": 1})
    assert _get(stripe_server, "/v1/events", stripe_server.api_key).status_code == 403
    assert stripe_server.stats()["faults"] == {"forbidden": 1}
    assert stripe_server.requests() == ["GET /v1/events"]
    with pytest.raises(ValueError, match="no type 'unicorn'"):
        stripe_server.objects("unicorn")


def test_two_servers_of_one_seed_are_the_same_but_for_their_keys() -> None:
    """Population and clock follow from the settings alone."""
    told = {"customers": 20, "seed": 5, "now": 1_760_000_000}
    with StripeServer(**told) as one, StripeServer(**told) as two:
        assert one.api_key != two.api_key
        for type_ in ("customer", "invoice", "line_item", "event"):
            assert one.objects(type_) == two.objects(type_)


def test_an_impossible_schedule_does_not_start() -> None:
    """The mistake is found where it was made."""
    with pytest.raises(ValueError, match="no action 'earthquake'"):
        StripeServer(schedule=({"action": "earthquake"},))


def test_a_taken_port_is_an_error_of_the_start() -> None:
    """What the process said last is in the message."""
    with StripeServer(customers=1) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(ServerStartError, match="address already in use"):
            StripeServer(customers=1, port=port).start()


def test_the_program_says_where_it_listens(
    tmp_path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Port 0 is a free port, and Ctrl-C is an ordinary end."""
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"customers": 1, "now": 1_760_000_000}))
    interrupted = threading.Event()

    async def serve(simulator, port, ready) -> None:
        ready(port)
        assert simulator.settings.customers == 1
        interrupted.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "serve", serve)
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    with contextlib.suppress(KeyboardInterrupt):
        program.main([str(path), "4711"])
    assert capsys.readouterr().out == "ready 4711\n"
    assert interrupted.is_set()
