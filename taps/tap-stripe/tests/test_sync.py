"""Against the simulator: what Stripe has is what the rows say, whatever happens."""

from __future__ import annotations

import pytest
from dativo_core.errors import CredentialsError
from tap_stripe import output
from tap_stripe.streams import StripeStream
from tap_stripe.versions import DELETED_AT, LINES, NEWEST

MISSION = ("customers", "charges", "invoices", "subscriptions")
DAY = 86_400


@pytest.mark.parametrize("version", [LINES[0], NEWEST])
def test_every_object_arrives_once_and_whole(stripe, version):
    """Also its nested lists, to the end, in the version that was asked for."""
    run = stripe.run(*MISSION, api_version=version)

    assert run.error is None
    for name in MISSION:
        assert len(run.ids(name)) == len(set(run.ids(name)))
        assert not any("_extra" in record for record in run.records(name))
    tables = stripe.tables(*MISSION)
    stripe.take(tables, run)
    stripe.check(tables, version)


def test_nested_lists_are_rows_too(stripe):
    """Each line of each invoice, and each item of each subscription."""
    run = stripe.run("invoices", "invoice_line_items", "subscription_items")

    lines = [line["id"] for r in run.records("invoices") for line in r["lines"]["data"]]
    assert sorted(run.ids("invoice_line_items")) == sorted(lines)
    assert len(lines) > 100 + len(run.ids("invoices"))
    by_parent = {
        (r["_parent_id"], r["invoice"]) for r in run.records("invoice_line_items")
    }
    assert all(parent == invoice for parent, invoice in by_parent)
    items = stripe.run("subscriptions").records("subscriptions")
    wanted = [item["id"] for r in items for item in r["items"]["data"]]
    assert sorted(run.ids("subscription_items")) == sorted(wanted)


def test_a_second_run_sends_nothing(stripe):
    """If nothing has changed; it costs two requests."""
    first = stripe.run(*MISSION)
    second = stripe.run(*MISSION, state=first.state)

    assert second.of("RECORD") == []
    assert len(stripe.asked) == 2
    assert second.error is None
    assert "currently_syncing" not in second.state


def test_changes_arrive_by_events(stripe):
    """Created, updated, deleted, canceled, paid: each table is the source again."""
    tables = stripe.tables(*MISSION)
    run = stripe.run(*MISSION)
    stripe.take(tables, run)
    stripe.server.now(advance=3 * DAY)
    changes = stripe.server.mutate(random=60, seed=7)
    stripe.server.now(advance=120)

    again = stripe.run(*MISSION, state=run.state)

    stripe.take(tables, again)
    stripe.check(tables)
    assert {"customer.updated", "invoice.paid"} <= {change["op"] for change in changes}
    assert len(again.of("RECORD")) < 200


def test_a_deletion_is_a_tombstone_and_a_cancellation_is_not(stripe):
    """`customer.subscription.deleted` means that it ended: the row says canceled."""
    run = stripe.run("customers", "subscriptions")
    customer = run.ids("customers")[0]
    canceled = next(
        r["id"]
        for r in run.records("subscriptions")
        if r["status"] == "active" and r["customer"] != customer
    )
    stripe.server.mutate(
        ops=[
            {"op": "delete", "type": "customer", "id": customer},
            {"op": "cancel", "type": "subscription", "id": canceled},
        ]
    )
    stripe.server.now(advance=120)

    again = stripe.run("customers", "subscriptions", state=run.state)

    [gone] = again.records("customers")
    assert (gone["id"], bool(gone[DELETED_AT])) == (customer, True)
    assert gone["email"]
    ended = {r["id"]: r for r in again.records("subscriptions")}
    assert ended[canceled]["status"] == "canceled"
    assert not any(DELETED_AT in r for r in ended.values())


def alive(table):
    """Return the keys of the rows that are not deleted."""
    return set(table.alive)


@pytest.mark.parametrize("version", [LINES[0], NEWEST])
def test_what_is_taken_off_an_object_is_a_tombstone(stripe_for, version):
    """Lines of short and long invoices, items, and all lines of a deleted draft."""
    stripe = stripe_for(customers=230, api_version=version)
    names = ("invoices", "invoice_line_items", "subscriptions", "subscription_items")
    kinds = dict(zip(names[1::2], ("line_item", "subscription_item"), strict=True))
    tables = stripe.tables(*names)
    run = stripe.run(*names)
    lines = [r["lines"]["data"] for r in run.records("invoices")]
    short, long = (next(x for x in lines if size(len(x))) for size in SIZES)
    items = next(
        found
        for r in run.records("subscriptions")
        if len(found := r["items"]["data"]) > 1
    )
    draft = next(r for r in run.records("invoices") if r["status"] == "draft")
    gone = [
        {"op": "remove", "type": "line_item", "id": short[0]["id"]},
        {"op": "remove", "type": "line_item", "id": long[0]["id"]},
        {"op": "remove", "type": "subscription_item", "id": items[1]["id"]},
        {"op": "update", "type": "invoice", "id": long[0]["invoice"]},
        {"op": "delete", "type": "invoice", "id": draft["id"]},
    ]
    stripe.server.mutate(ops=gone)
    stripe.server.now(advance=120)

    again = stripe.run(*names, state=run.state)

    stripe.take(tables, run, again)
    for name, kind in kinds.items():
        assert alive(tables[name]) == {one["id"] for one in stripe.server.objects(kind)}
    told = [r for r in again.records("invoice_line_items") if r.get(DELETED_AT)]
    assert {r["_parent_id"] for r in told} >= {draft["id"], long[0]["invoice"]}
    assert all(r["amount"] for r in told)


SIZES = (lambda length: length in {2, 3}, lambda length: length > 100)


def test_a_nested_list_that_changes_while_it_is_read(stripe):
    """Its cursor is gone: it is read again, and the run goes on."""
    rule = {"action": "delete_cursor", "path": "/v1/invoices/*/lines", "nth": [1, 4]}
    stripe.server.schedule(rule)
    run = stripe.run("invoices", "invoice_line_items", workers=2)

    assert run.error is None
    found = run.ids("invoice_line_items")
    assert len(found) == len(set(found))
    [met] = [rule["met"] for rule in stripe.server.stats()["schedule"]]
    assert met == 2
    assert set(found) == {one["id"] for one in stripe.server.objects("line_item")}


def test_an_object_that_goes_while_its_lines_are_read(stripe):
    """It arrives as far as it was known; the next run says that it is gone."""
    deleted = []

    def delete(path):
        if path.endswith("/lines") and not deleted:
            deleted.append(path.split("/")[3])
            invoice = {"op": "delete", "type": "invoice", "id": deleted[0]}
            stripe.server.mutate(ops=[invoice])

    stripe.before = delete
    run = stripe.run("invoices")
    stripe.before = lambda _: None
    stripe.server.now(advance=120)
    again = stripe.run("invoices", state=run.state)

    assert run.error is None
    assert deleted[0] in run.ids("invoices")
    [gone] = [r["id"] for r in again.records("invoices") if r[DELETED_AT]]
    assert gone == deleted[0]


def test_snapshots_of_another_version_are_not_trusted(stripe_for):
    """The account renders events in its own version, so objects are read again."""
    stripe = stripe_for(customers=50, api_version=LINES[0])
    run = stripe.run("invoices")
    [name, *_] = run.ids("invoices")
    stripe.server.mutate(ops=[{"op": "update", "type": "invoice", "id": name}])
    stripe.server.now(advance=120)

    again = stripe.run("invoices", state=run.state)

    assert [path for path, _ in stripe.asked if name in path] == [
        f"/v1/invoices/{name}"
    ]
    tables = stripe.tables("invoices")
    tables["invoices"].take(run).take(again)
    stripe.check(tables)


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_request_it_goes_on_from_the_last_state(stripe_for, step):
    """What the target kept, and what the next run sends, is every object."""
    stripe = stripe_for(customers=230)
    names = (*MISSION, "invoice_line_items")
    stripe.run(*names)
    requests = len(stripe.asked)
    truth = {name: stripe.truth(name) for name in MISSION}
    lines = set(stripe.run(*names).ids("invoice_line_items"))
    assert requests > 20
    for stop_at in range(1, requests + 1, step):
        tables = stripe.tables(*names)
        cut = stripe.run(*names, stop_at=stop_at, workers=3)
        # Which list is cut where is a matter of moments, and so is the last request.
        assert type(cut.error).__name__ == "KilledError" or stop_at > requests - 5
        rest = stripe.run(*names, state=cut.durable.state, workers=3)
        assert rest.error is None
        for name, table in tables.items():
            table.take(cut.durable).take(rest)
            if name in truth:
                assert table.rows.keys() == truth[name].keys(), stop_at
        assert tables["invoice_line_items"].rows.keys() == lines


def test_a_state_covers_no_row_that_was_not_written(stripe, monkeypatch):
    """Whatever ends a run in the middle of a page: a stream map, a signal."""
    monkeypatch.setattr(output, "STATE_SECONDS", 0)
    write, names, number = StripeStream.write, ("invoices", "invoice_line_items"), 0
    while True:
        number += 1
        written = []

        def fail(stream, records, nth=number, written=written):
            written.append(stream)
            if len(written) == nth:
                raise ZeroDivisionError
            write(stream, records)

        monkeypatch.setattr(StripeStream, "write", fail)
        cut = stripe.run(*names)
        if cut.error is None:
            break
        monkeypatch.setattr(StripeStream, "write", write)
        rest = stripe.run(*names, state=cut.durable.state)
        ids = cut.durable.ids("invoices") + rest.ids("invoices")
        assert set(ids) == stripe.truth("invoices").keys(), number
    assert number > 4


def test_changes_during_a_sync_are_there_after_the_next(stripe):
    """Whatever part of the list was read before: events tell what came after."""
    changed = []

    def change(path):
        if path == "/v1/customers" and len(changed) < 5:
            changed.append(stripe.server.mutate(random=15, seed=len(changed)))

    stripe.before = change
    tables = stripe.tables(*MISSION)
    run = stripe.run(*MISSION)
    stripe.before = lambda _: None
    assert changed
    stripe.server.now(advance=120)
    again = stripe.run(*MISSION, state=run.state)
    stripe.take(tables, run, again)
    stripe.check(tables)


def test_a_bookmark_beyond_the_events_heals(stripe, caplog):
    """After 45 days the lists are read again, and replace what is gone."""
    caplog.set_level("WARNING")
    tables = stripe.tables(*MISSION)
    run = stripe.run(*MISSION)
    stripe.server.mutate(random=60, seed=3)
    stripe.server.now(advance=45 * DAY)
    stripe.server.mutate(random=20, seed=4)
    stripe.server.now(advance=120)

    again = stripe.run(*MISSION, state=run.state)

    stripe.take(tables, run, again)
    stripe.check(tables)
    assert "older than the events that Stripe keeps" in caplog.text
    stripe.server.now(advance=600)
    # What changed within five minutes of the bookmark comes once more.
    third = stripe.run(*MISSION, state=again.state)
    assert stripe.run(*MISSION, state=third.state).of("RECORD") == []


def test_a_bookmark_ahead_of_the_clock_heals(stripe, caplog):
    """A clock that was wrong for one run hides no change from those after it."""
    caplog.set_level("WARNING")
    tables = stripe.tables(*MISSION)
    stripe.server.now(advance=2 * DAY)
    run = stripe.run(*MISSION)
    stripe.server.now(advance=-2 * DAY)
    stripe.server.mutate(random=60, seed=3)
    stripe.server.now(advance=120)

    again = stripe.run(*MISSION, state=run.state)

    stripe.take(tables, run, again)
    stripe.check(tables)
    assert "ahead of Stripe's clock" in caplog.text
    stripe.server.mutate(random=20, seed=4)
    stripe.server.now(advance=600)
    third = stripe.run(*MISSION, state=again.state)
    stripe.take(tables, third)
    stripe.check(tables)
    assert len(third.of("RECORD")) < 200


def test_a_key_without_permission_is_no_success(stripe_for):
    """The other streams are complete; the run names what is missing, and fails."""
    stripe = stripe_for(customers=120, denied=("charges",))
    stripe.config["api_key"] = stripe.server.restricted_key

    run = stripe.run(*MISSION)

    assert isinstance(run.error, CredentialsError)
    assert "charges" in str(run.error)
    assert run.ids("charges") == []
    assert len(run.ids("customers")) == 120
    assert "charges" not in run.state["bookmarks"]
    assert run.state["currently_syncing"] == "charges"
    assert run.state["bookmarks"]["customers"]["since"]
