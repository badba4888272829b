"""The demo's second act: Stripe throttles, breaks down, and sends nonsense."""

from __future__ import annotations

import json
import re

from dativo_sandbox import stage
from dativo_sandbox.stage import say, timed
from dativo_sandbox.stripe.server import StripeServer

PIPELINE = "meltano run tap-stripe target-dativo"
STREAMS = {
    "customers": "customer",
    "charges": "charge",
    "invoices": "invoice",
    "subscriptions": "subscription",
}
FAULTS = (
    {"path": "/v1/charges", "nth": 2, "action": "rate_limit", "retry_after": 1},
    {"path": "/v1/invoices", "nth": 2, "action": "server_error"},
)
# One more than the largest whole number that a table can hold.
NONSENSE = 2**63

# The path, the status, the pause, the rule.
_RETRY = re.compile(
    r"GET http://[^/]+(\S+) answered (\d+).* in ([\d.]+) seconds \((\w+)\)"
)


def play() -> None:
    """Move what a private Stripe holds, whatever it does."""
    with StripeServer(customers=1_000, seed=2013, schedule=FAULTS) as server:
        say(f"A private Stripe is up at {server.url}, with Stripe's limits.")
        say("It will refuse one request with 429 and one with 500. One charge is odd:")
        spoil(server)
        timed(f"$ {PIPELINE}", lambda: run_pipeline(server))
        show_retries(server.stats()["requests"])
        show_counts(server)
    say("$ dativo dlq list\n\n" + indented(stage.dativo("dlq", "list")))


def spoil(server: StripeServer) -> None:
    """Give a charge an amount that no column can hold."""
    victim = server.objects("charge")[7]["id"]
    change = {"op": "update", "type": "charge", "id": victim}
    server.mutate(ops=[{**change, "set": {"amount": NONSENSE}}])
    say(f"  {victim} has the amount {NONSENSE:,}")


def run_pipeline(server: StripeServer) -> None:
    """Run the pipeline through Meltano, for the four objects that most people want."""
    chosen = {"TAP_STRIPE__SELECT": json.dumps([f"{name}.*" for name in STREAMS])}
    settings = stage.as_environment("tap-stripe", server.tap_config())
    stage.meltano(settings | chosen, *PIPELINE.split()[1:])


def show_retries(requests: int) -> None:
    """Print which of the requests the tap sent again, in its own words."""
    told = _RETRY.findall(stage.LOG.read_text())
    title = f"{len(told)} of {requests} requests were sent again, as the tap tells:"
    say(f"{title}\n\n{stage.table(('path', 'answer', 'pause s', 'rule'), told)}")


def show_counts(server: StripeServer) -> None:
    """Print the objects at Stripe, the rows in the lake, and what is neither."""
    letters = dead_letters()
    rows = [
        (name, len(server.objects(kind)), stage.count_rows(name), letters.get(name, 0))
        for name, kind in STREAMS.items()
    ]
    say(stage.table(("stream", "Stripe", "Iceberg", "dead letters"), rows))


def dead_letters() -> dict[str, int]:
    """Return how many records of each stream could not be stored."""
    piles = stage.dativo("dlq", "list", "--json").splitlines()
    return {pile["stream"]: pile["count"] for pile in map(json.loads, piles)}


def indented(text: str) -> str:
    """Return lines as part of a paragraph."""
    return "\n".join(f"  {line}" for line in text.splitlines())
