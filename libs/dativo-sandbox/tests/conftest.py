"""What the sandbox's own tests share."""

from __future__ import annotations

import contextlib
import json
import os
import select
import typing as t

import pytest
from dativo_sandbox.stripe.messages import Request
from dativo_sandbox.stripe.settings import StripeSettings
from dativo_sandbox.stripe.simulator import Simulator

if t.TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_MILLISECONDS = 10_000


@pytest.fixture
def ends() -> Callable[[int], bool]:
    """Tell whether a process ends soon, without asking again and again."""

    def watch(pid: int) -> bool:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        with contextlib.closing(os.fdopen(handle)):
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(_PATIENCE_MILLISECONDS))

    return watch


class StripeInProcess:
    """A simulator of Stripe without the wire, on a clock that tests move.

    Attributes:
        seconds: The clock of the rate limits.
    """

    NOW = 1_760_000_000

    def __init__(self, **settings):
        self.seconds = 0.0
        told = {"now": self.NOW, "secret": "s3cret", "rate_limits": False, **settings}
        self.simulator = Simulator(StripeSettings(**told), lambda: self.seconds)
        self.keys = self.simulator.keys

    def respond(self, target, *, method="GET", body=None, key=None, **headers):
        """Return the response to a request of the live key, or of another."""
        words = {name.replace("_", "-"): value for name, value in headers.items()}
        words.setdefault("authorization", f"Bearer {key or self.keys.live}")
        data = b"" if body is None else json.dumps(body).encode()
        response, leave = self.simulator.respond(
            Request.of(method, target, words, data)
        )
        leave()
        return response

    def get(self, target, **headers):
        """Return the JSON of an answer that must be a success."""
        response = self.respond(target, **headers)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def error(self, target, **headers):
        """Return the status and the error of an answer."""
        response = self.respond(target, **headers)
        return response.status, json.loads(response.body)["error"]

    def walk(self, target, **headers):
        """Return all objects of a list, page after page."""
        found, cursor = [], ""
        while True:
            page = self.get(target + cursor, **headers)
            found += page["data"]
            if not page["has_more"]:
                return found
            joint = "&" if "?" in target else "?"
            cursor = f"{joint}starting_after={found[-1]['id']}"

    def mutate(self, **script):
        """Change objects; return what was changed."""
        response = self.respond("/__mutate", method="POST", body=script)
        assert response.status == 200, response.body
        return json.loads(response.body)["changes"]

    def schedule(self, *rules):
        """Put these faults in place of those before."""
        response = self.respond("/__schedule", method="POST", body=rules)
        assert response.status == 200, response.body

    def truth(self, type_, query=""):
        """Return all objects of a type."""
        response = self.respond(f"/__objects/{type_}?{query}")
        assert response.status == 200, response.body
        return [json.loads(line) for line in response.body.splitlines()]


@pytest.fixture
def stripe_api():
    """Simulate Stripe with 250 customers, without limits."""
    return StripeInProcess(customers=250)
