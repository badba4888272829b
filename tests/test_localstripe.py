"""tap-stripe on a server that nobody here wrote: localstripe, as a process of its own.

It is oldest first, refuses ranges of `created` on most lists, and has objects of other
years than any version's schema.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import requests
from conftest import PROGRAMS
from dativo_sandbox.process import ServerProcess, free_port

KEY = "sk_test_12345"
CARD = {
    "card[number]": "4242424242424242",
    "card[exp_month]": "12",
    "card[exp_year]": "2030",
    "card[cvc]": "123",
}
STREAMS = ("customers", "subscriptions", "invoices")


class LocalStripe:
    """What is in it, and how to put more there."""

    def __init__(self, url):
        self.url = url
        self._session = requests.Session()
        self._session.auth = (KEY, "")

    def post(self, path, **fields):
        """Create an object."""
        reply = self._session.post(f"{self.url}/v1/{path}", data=fields)
        reply.raise_for_status()
        return reply.json()

    def fill(self, customers, subscribers):
        """Create customers, some of them with a subscription and invoices."""
        product = self.post("products", name="P", type="service")["id"]
        plan = {"amount": 1000, "currency": "eur", "interval": "month"}
        plan = self.post("plans", id="plan", product=product, **plan)["id"]
        for number in range(customers):
            customer = self.post("customers", email=f"{number}@example.com")["id"]
            if number >= subscribers:
                continue
            token = self.post("tokens", **CARD)["id"]
            self.post(f"customers/{customer}/sources", source=token)
            items = {"items[0][plan]": plan}
            self.post("subscriptions", customer=customer, **items)
            self.post("invoiceitems", customer=customer, amount=500, currency="eur")
            self.post("invoices", customer=customer)

    def ids(self, stream):
        """Return all ids, by its own cursor."""
        found, params = [], {"limit": 100}
        if stream == "subscriptions":
            params["status"] = "all"
        while True:
            page = self._session.get(f"{self.url}/v1/{stream}", params=params).json()
            found += [one["id"] for one in page["data"]]
            if not page["has_more"]:
                return found
            params["starting_after"] = found[-1]


@pytest.fixture(scope="module")
def local(peer, tmp_path_factory):
    """A localstripe with three pages of customers."""
    folder, port = tmp_path_factory.mktemp("localstripe"), free_port()
    program = [str(peer("localstripe") / "python")]
    script = str(Path(__file__).with_name("localstripe_server.py"))
    process = ServerProcess(
        "localstripe", [*program, script, str(port)], log=folder / "log"
    )
    server = LocalStripe(f"http://127.0.0.1:{port}")

    def answers():
        try:
            return bool(server.ids("customers") == [])
        except requests.RequestException:
            return False

    process.start(answers)
    server.fill(250, 40)
    yield server
    process.stop()


def run(local, folder, state=None):
    """Run the tap; return its records by stream and its last state."""
    config = folder / "config.json"
    config.write_text(json.dumps({"api_key": KEY, "api_url": local.url}))
    tap = [PROGRAMS / "tap-stripe", "--config", config]
    found = subprocess.run([*tap, "--discover"], capture_output=True, check=True)
    catalog = json.loads(found.stdout)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in STREAMS
    (folder / "catalog.json").write_text(json.dumps(catalog))
    tap += ["--catalog", folder / "catalog.json"]
    if state:
        (folder / "state.json").write_text(json.dumps(state))
        tap += ["--state", folder / "state.json"]
    done = subprocess.run(tap, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    records = {
        name: [
            m["record"] for m in messages if m.get("stream") == name and "record" in m
        ]
        for name in STREAMS
    }
    return records, messages[-1]["value"]


def test_all_objects_move_whatever_the_order(local, tmp_path):
    """By cursors alone, since it knows no ranges."""
    records, state = run(local, tmp_path)

    for name in STREAMS:
        assert {r["id"] for r in records[name]} == set(local.ids(name))
    assert len(local.ids("customers")) == 250
    assert len(local.ids("subscriptions")) == 40
    assert all(record["items"]["data"] for record in records["subscriptions"])
    assert all(isinstance(record["amount_due"], int) for record in records["invoices"])
    assert set(state["bookmarks"]) == set(STREAMS)
