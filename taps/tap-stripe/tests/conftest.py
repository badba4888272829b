"""A tap on the simulator: what it writes, as messages and as the table they make."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from dativo_sandbox.stripe.server import StripeServer
from tap_stripe import client
from tap_stripe.resources import BY_NAME
from tap_stripe.tap import TapStripe
from tap_stripe.versions import DELETED_AT, NEWEST, columns, load


class FakeTime:
    """A clock that only sleeping moves, in any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._now = 1_000.0

    def now(self):
        """Return the second."""
        return self._now

    def sleep(self, seconds):
        """Let time pass."""
        with self._lock:
            self._now += seconds


@dataclass
class Run:
    """The messages of one run, in order, and how it ended."""

    messages: list = field(default_factory=list)
    error: BaseException | None = None
    lines: list = field(default_factory=list)

    def of(self, kind, stream=None):
        """Return the messages of one type, of one stream if it is named."""
        return [
            message
            for message in self.messages
            if message["type"] == kind and stream in {None, message.get("stream")}
        ]

    def records(self, stream):
        """Return the records of a stream, in order."""
        return [message["record"] for message in self.of("RECORD", stream)]

    def ids(self, stream):
        """Return the ids of a stream's records, in order."""
        return [record["id"] for record in self.records(stream)]

    @property
    def state(self):
        """Return the last state; None if there was none."""
        states = self.of("STATE")
        return states[-1]["value"] if states else None

    @property
    def durable(self):
        """What a target keeps if it dies with the tap: all up to the last STATE."""
        last = max(
            (n for n, m in enumerate(self.messages) if m["type"] == "STATE"), default=-1
        )
        return Run(self.messages[: last + 1])


class Table:
    """What a target makes of the messages: the newest record of each key."""

    def __init__(self, stream):
        self.stream = stream
        self.rows = {}
        self._loads = {}

    def take(self, run):
        """Store the records of a run; a full load replaces what was there."""
        for message in run.messages:
            if message.get("stream") != self.stream:
                continue
            version = message.get("version")
            if message["type"] == "RECORD":
                key = message["record"]["id"]
                self._load(version)[key] = message["record"]
            elif message["type"] == "ACTIVATE_VERSION" and self._loads.get(version):
                self.rows = self._loads.pop(version)
        return self

    def _load(self, version):
        return self.rows if version is None else self._loads.setdefault(version, {})

    @property
    def alive(self):
        """The rows that are not deleted."""
        return {k: r for k, r in self.rows.items() if not r.get(DELETED_AT)}


class Stripe:
    """A simulator with taps on it, for which no second passes."""

    def __init__(self, server, monkeypatch):
        self.server = server
        self.config = {**server.tap_config(), "rate_limit_share": 1}
        self.time = FakeTime()
        self.asked = []
        self.stop_at = None
        self.before = lambda _: None
        self.now = time.time
        real = client.connect

        def connect(*arguments):
            times = {"clock": self.time.now, "sleep": self.time.sleep, "now": self.now}
            made = real(*arguments, **times, chance=lambda: 0.5)
            ask = made.get

            def get(path, params, **more):
                self.asked.append((path, dict(params)))
                self.before(path)
                if self.stop_at is not None and len(self.asked) >= self.stop_at:
                    raise KilledError
                return ask(path, params, **more)

            made.get = get
            return made

        monkeypatch.setattr(client, "connect", connect)

    def run(self, *streams, state=None, change=None, stop_at=None, **config):
        """Run a tap in this process; `change` edits its catalog entries."""
        self.asked, self.stop_at = [], stop_at
        given = {**self.config, **config}
        catalog = TapStripe(config=given, setup_mapper=False).catalog_dict
        for entry in catalog["streams"]:
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = entry["tap_stream_id"] in streams
            if change:
                change(entry)
        tap = TapStripe(
            config=given, catalog=catalog, state=json.loads(json.dumps(state))
        )
        return captured(tap.sync_all)

    def tables(self, *streams):
        """Return empty tables."""
        return {name: Table(name) for name in streams}

    def take(self, tables, *runs):
        """Store the records of runs, in order, in all tables."""
        for table in tables.values():
            for run in runs:
                table.take(run)

    def check(self, tables, version=NEWEST):
        """Compare every row with the truth, field by field."""
        for name, table in tables.items():
            kinds = columns(BY_NAME[name], load(version), accounts=False)
            found, wanted = plain(table.alive, kinds), self.truth(name, version)
            assert found.keys() == wanted.keys()
            for key, row in found.items():
                # Lists inside are complete here, and cut in the truth.
                assert without_lists(row) == without_lists(wanted[key])

    def truth(self, stream, version=NEWEST, **asked):
        """Return the rows that the table should have, by id."""
        resource = BY_NAME[stream]
        line = load(version)
        kinds = columns(resource, line, accounts=False)
        found = self.server.objects(resource.object, version=version, **asked)
        return {one["id"]: known(one, kinds) for one in found}


class KilledError(BaseException):
    """The process is gone."""


def known(record, kinds):
    """Return the declared fields of an object."""
    return {name: value for name, value in record.items() if name in kinds}


def without_lists(row):
    """Return a row but for the lists that Stripe gives page by page."""
    return {
        name: value
        for name, value in row.items()
        if not (isinstance(value, dict) and value.get("object") == "list")
    }


def plain(rows, kinds):
    """Return rows as Stripe has them: moments as seconds, without our own columns."""
    return {key: _plain(row, kinds) for key, row in rows.items()}


def _plain(row, kinds):
    return {
        name: _seconds(value) if kinds[name] == "moment" and value else value
        for name, value in row.items()
        if not name.startswith("_")
    }


def _seconds(text):
    return int(datetime.fromisoformat(text).timestamp())


def captured(work):
    """Return the messages that some work writes to stdout, and how it ended."""
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    error = None
    with contextlib.redirect_stdout(written):
        try:
            work()
        except (Exception, KilledError) as ended:  # noqa: BLE001 tests look at it
            error = ended
    written.seek(0)
    lines = written.read().split("\n")
    return Run([json.loads(line) for line in lines if line], error, lines)


@pytest.fixture
def stripe_for(monkeypatch):
    """Start simulators, which end with the test."""
    with contextlib.ExitStack() as running:

        def start(**settings):
            server = StripeServer(**{"rate_limits": False, **settings})
            return Stripe(running.enter_context(server), monkeypatch)

        yield start


@pytest.fixture
def stripe(stripe_for):
    """A simulator with a few hundred objects of each kind."""
    return stripe_for(customers=230)
