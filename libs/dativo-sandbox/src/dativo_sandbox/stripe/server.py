"""A private Stripe: the simulator in a process of its own."""

from __future__ import annotations

import dataclasses
import http.client
import json
import secrets
import signal
import sys
import time
import typing as t

from dativo_sandbox.process import LOOPBACK, ServerProcess, free_port
from dativo_sandbox.server import Server
from dativo_sandbox.stripe.keys import Keys
from dativo_sandbox.stripe.schedule import Schedule
from dativo_sandbox.stripe.settings import StripeSettings

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

_PATIENCE_SECONDS = 60


class StripeServer(Server):
    """Stripe's API for as long as the `with` block lasts.

    Attributes:
        url: What takes the place of https://api.stripe.com.
        api_key: A live key, whose ceiling is 100 requests a second.
        test_key: A test key, whose ceiling is 25.
        restricted_key: A live key that may not read the lists in `denied`.

    Args:
        port: Where to listen, by default on a free port.
        wait: How to pass the time between two looks at whether it is ready.
        settings: Fields of `StripeSettings`.

    Raises:
        ValueError: A rule of the schedule cannot be.
    """

    name = "stripe"

    def __init__(
        self,
        *,
        port: int = 0,
        wait: Callable[[float], None] = time.sleep,
        **settings: t.Any,
    ) -> None:
        super().__init__()
        settings.setdefault("now", int(time.time()))
        settings.setdefault("secret", secrets.token_hex(12))
        self.settings = StripeSettings(**settings)
        Schedule(self.settings.schedule)
        self._port = port or free_port()
        self._wait = wait
        self.url = f"http://{LOOPBACK}:{self._port}"
        keys = Keys.of(self.settings.secret)
        self.api_key, self.test_key = keys.live, keys.test
        self.restricted_key = keys.restricted

    def tap_config(self) -> dict[str, t.Any]:
        """The settings of tap-stripe for this server."""
        return {"api_key": self.api_key, "api_url": self.url}

    def stats(self) -> dict[str, t.Any]:
        """Return what was counted: requests, limits, faults."""
        found: dict[str, t.Any] = json.loads(self.ask("GET", "/__stats"))
        return found

    def requests(self) -> list[str]:
        """Return the requests since counting began, in their order."""
        found: list[str] = json.loads(self.ask("GET", "/__requests"))
        return found

    def forget(self) -> None:
        """Count from zero again."""
        self.ask("DELETE", "/__stats")

    def now(self, *, advance: int = 0) -> int:
        """Return the second that the virtual clock shows, after moving it."""
        asked = {"advance": advance}
        return int(json.loads(self.ask("POST", "/__clock", asked))["now"])

    def mutate(self, **script: t.Any) -> list[dict[str, str]]:
        """Change objects: `ops=[{"op", "type", "id", "set"}]` or `random=n, seed=s`."""
        reply = json.loads(self.ask("POST", "/__mutate", script))
        changes: list[dict[str, str]] = reply["changes"]
        return changes

    def schedule(self, *rules: dict[str, t.Any]) -> None:
        """Put these faults in place of those before."""
        self.ask("POST", "/__schedule", rules)

    def objects(self, type_: str, **asked: str) -> list[t.Any]:
        """Return all objects of a type, as a version shows them: the truth."""
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        lines = self.ask("GET", f"/__objects/{type_}?{query}").splitlines()
        return [json.loads(line) for line in lines]

    def accounts(self) -> list[str]:
        """Return the ids of the connected accounts."""
        found: list[str] = json.loads(self.ask("GET", "/__keys"))["accounts"]
        return found

    def ask(self, method: str, path: str, thing: object = None) -> bytes:
        """Send a request of the simulator's own.

        Raises:
            ValueError: The simulator refused it.
        """
        connection = http.client.HTTPConnection(
            LOOPBACK, self._port, timeout=_PATIENCE_SECONDS
        )
        try:
            connection.request(
                method, path, None if thing is None else json.dumps(thing)
            )
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        if reply.status != http.HTTPStatus.OK:
            raise ValueError(body.decode())
        return body

    def _start(self, resources: ExitStack) -> ServerProcess:
        home = self._private_directory(resources)
        settings, log = home / "settings.json", home / "stripe.log"
        settings.touch(mode=0o600)
        settings.write_text(json.dumps(dataclasses.asdict(self.settings)))
        program = [sys.executable, "-m", "dativo_sandbox.stripe"]
        process = ServerProcess(
            "The Stripe simulator",
            [*program, str(settings), str(self._port)],
            log=log,
            stop_signal=signal.SIGTERM,
        )
        resources.callback(process.stop)
        process.start(lambda: log.read_text().startswith("ready"), wait=self._wait)
        return process
