"""Answers that are not as documented: none is a bug of the tap's, none ends a list."""

from __future__ import annotations

import json

import pytest
from dativo_core.errors import (
    NotPermittedError,
    RefusedError,
    SkippedError,
    TryLaterError,
)
from dativo_core.faults import Action, Category, Decision
from dativo_core.http_messages import Reply
from tap_stripe.backfill import Found, Lane, read
from tap_stripe.client import StripeClient
from tap_stripe.events import read_event
from tap_stripe.gather import Gatherer, Wanted, no_rows
from tap_stripe.records import Shape, read_head
from tap_stripe.removals import find
from tap_stripe.resources import BY_NAME
from tap_stripe.state import Bookmark
from tap_stripe.versions import LINES
from tap_stripe.windows import Segment


class Answers:
    """A Stripe that has learned its answers by heart."""

    def __init__(self, *bodies, headers=None):
        self.bodies = list(bodies)
        self.headers = headers or {}

    def get(self, _path, _params, **_):
        """Return the next answer, the last one for ever."""
        return self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]

    def send(self, _):
        """Return it as a client of HTTP does."""
        return Reply(200, self.headers, self.get("", {}))


def customers(*bodies):
    """Read a page of customers."""
    gatherer = Gatherer(Answers(*bodies), "", tells_account=False)
    return gatherer.page(BY_NAME["customers"], {})


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b'"ok"', b'{"data":null}', b'{"data":[1]}', b'{"data":[{"id":7}]}'],
)
def test_an_answer_that_is_no_page(body):
    """Whatever stands between said it: later there may be a page again."""
    with pytest.raises(TryLaterError, match="/v1/customers is not as documented"):
        customers(body)
    gatherer = Gatherer(Answers(b"[]"), "", tells_account=False)
    with pytest.raises(TryLaterError, match="/v1/customers/cus_1 is not as documented"):
        gatherer.item(BY_NAME["customers"], "cus_1")


def test_a_page_after_which_nothing_can_be_asked():
    """Its last object has no id, and there is more: that is no end of the list."""
    with pytest.raises(TryLaterError, match="does not go on"):
        customers(b'{"data":[{"object":"customer"}],"has_more":true}')
    assert len(customers(b'{"data":[{"object":"customer"}]}').data) == 1


def test_a_list_inside_that_is_empty_and_has_more():
    """It is read from its beginning."""
    line = {"id": "il_1", "object": "line_item"}
    gatherer = Gatherer(
        Answers(json.dumps({"data": [line]}).encode()), "", tells_account=False
    )
    shapes = {"invoice_line_items": Shape({"id": "text"}, {})}
    wanted = Wanted(BY_NAME["invoices"], shapes, (BY_NAME["invoice_line_items"],))
    rows = no_rows()
    invoice = b'{"id":"in_1","lines":{"data":[],"has_more":true}}'
    gatherer.rows(wanted, invoice, rows)
    assert rows["invoice_line_items"] == [b'{"id":"il_1"}']


@pytest.mark.parametrize("date", ["garbage", "Wed, 99 Foo 2026 00:00:00 GMT", ""])
def test_a_date_that_is_none(date):
    """This machine's clock has to do."""
    http = Answers(b"{}", headers={"date": date})
    client = StripeClient(http, "http://x", LINES[0], clock=lambda: 7.0)
    assert client.get("/v1/customers", {}) == b"{}"
    assert client.now() == 7


class Pages:
    """Reads pages in the caller's thread."""

    def __init__(self, work):
        self.work = work
        self.tasks = []

    def ask(self, task):
        """Keep the task."""
        self.tasks.append(task)

    def answer(self):
        """Do the oldest."""
        task = self.tasks.pop(0)
        try:
            return task, self.work(*task)
        except RefusedError as error:
            return task, error

    def dismiss(self):
        """Do nothing."""


@pytest.mark.parametrize("stream", ["payment_links", "customers"])
def test_a_bookmark_whose_cursor_is_gone(stream):
    """The list is read from there by its seconds, or anew if it takes no seconds."""
    resource = BY_NAME[stream]
    asked = []

    def work(_, segment):
        asked.append(segment)
        if segment.after:
            error = SkippedError("No such object.")
            error.decision = Decision(
                Category.DATA, Action.SKIP, rule="stripe_cursor_gone"
            )
            raise error
        if segment.is_cut and not resource.created:
            raise RefusedError("Received unknown parameter: created")
        return Found({}, None)

    rest = Segment(after="x_1", reached=5)
    lane = Lane(Wanted(resource, {}, ()), Bookmark((rest,)), idle=[rest])
    assert len(list(read([lane], Pages(work), readers=2, at_once=2))) == 1
    assert lane.error is None
    assert asked == [rest, Segment(until=6) if resource.created else Segment()]


def test_an_event_of_what_does_not_exist_yet():
    """An id that is null is none, and so are attributes."""
    invoice = {"id": None, "object": "invoice", "lines": {"data": []}}
    told = {"object": invoice, "previous_attributes": None}
    event = {"id": "evt_1", "type": "invoice.updated", "created": 1, "data": told}
    read = read_event(json.dumps(event).encode())
    assert read_head(read.data.object).id == ""
    invoice["id"] = "in_1"
    read = read_event(json.dumps(event).encode())
    lines = [BY_NAME["invoice_line_items"]]
    assert list(find([read], {"invoice": (BY_NAME["invoices"], lines)})) == []


def test_a_permission_that_is_taken_away_between_runs(stripe_for):
    """The stream is named and stays where it was; all others go on."""
    names = ("customers", "charges")
    # Events of another version make the tap read the objects again.
    stripe = stripe_for(customers=50, api_version=LINES[0])
    run = stripe.run(*names)
    stripe.server.mutate(random=40, seed=3)
    stripe.server.now(advance=700)

    def refuse(path):
        if path.startswith("/v1/charges"):
            msg = "The key may not read charges."
            raise NotPermittedError(msg)

    stripe.before = refuse
    cut = stripe.run(*names, state=run.state)
    stripe.before = lambda _: None
    rest = stripe.run(*names, state=cut.state)

    assert "cannot be read: charges." in str(cut.error)
    before, after = run.state["bookmarks"], cut.state["bookmarks"]
    assert after["charges"] == before["charges"]
    assert after["customers"]["since"] > before["customers"]["since"] + 600
    tables = stripe.tables(*names)
    stripe.take(tables, run, cut, rest)
    stripe.check(tables)


def test_an_account_that_goes_while_accounts_are_listed(stripe_for):
    """All others are read, each once."""
    stripe = stripe_for(customers=20, accounts=120)
    names = stripe.server.accounts()
    rule = {"path": "/v1/accounts", "action": "delete_cursor", "nth": 2}
    stripe.server.schedule(rule)
    asked = []
    stripe.before = asked.append

    run = stripe.run("tax_rates", connected_accounts=True)

    assert run.error is None
    assert stripe.server.stats()["schedule"][0]["met"] == 1
    assert asked.count("/v1/accounts") == 4
    assert asked.count("/v1/tax_rates") <= len(names) + 1
