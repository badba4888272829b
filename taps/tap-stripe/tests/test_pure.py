"""What needs no server: segments, plans, bookmarks, events, bytes."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_stripe import client, versions, windows
from tap_stripe.events import How, fold, read_event
from tap_stripe.gather import without_repeats
from tap_stripe.left_out import plan as plan_selection
from tap_stripe.plan import EVENT_DAYS, Limits, Why, plan
from tap_stripe.records import Origin, Shape, compact, read_fields, read_page
from tap_stripe.resources import BY_NAME, RESOURCES, children, listened_types
from tap_stripe.state import Bookmark
from tap_stripe.windows import Segment

NOW = 1_790_000_000
DAY = 86_400
CUSTOMERS = BY_NAME["customers"]


# Segments


def read(created, cut_when):
    """Read a list newest first, by many readers; return what was read."""
    left, found = [Segment()], []
    while left:
        segment = left.pop()
        rows = [
            (moment, name)
            for name, moment in enumerate(created)
            if (segment.since is None or moment >= segment.since)
            and (segment.until is None or moment < segment.until)
        ]
        rows.sort(key=lambda row: (-row[0], row[1]))
        if segment.after:
            at = [str(name) for _, name in rows].index(segment.after)
            rows = rows[at + 1 :]
        page, more = rows[:3], len(rows) > 3
        found += [name for _, name in page]
        last = str(page[-1][1]) if page else ""
        moments = [moment for moment, _ in page]
        rest = windows.advance(segment, last, moments, has_more=more)
        if rest is None:
            continue
        parts = windows.cut(rest) if cut_when(len(found)) else None
        left += parts or (rest,)
    return found


@given(
    st.lists(st.integers(NOW - 10_000_000, NOW), max_size=60),
    st.integers(1, 5),
)
def test_however_a_list_is_cut_each_object_is_read_once(created, every):
    """Ties, gaps and bursts included."""
    found = read(created, lambda count: count % every == 0)
    assert sorted(found) == list(range(len(created)))


def test_a_short_rest_is_not_cut():
    """Another reader would cost more requests than it saves time."""
    rest = Segment(since=NOW - 100, after="x", reached=NOW, pace=90)
    assert windows.cut(rest) is None
    assert windows.cut(Segment()) is None


def test_a_list_in_another_order_is_never_cut():
    """Its second says nothing about where the rest is."""
    rest = windows.advance(Segment(), "x", [1, 2, 3], has_more=True)
    assert (rest.reached, windows.cut(rest)) == (None, None)


def test_a_lost_cursor_is_replaced_by_its_second():
    """The second is read again whole: the object that stood there is gone."""
    rest = Segment(since=1, until=90, after="x", reached=50)
    assert rest.restarted() == Segment(since=1, until=51)


@given(st.integers(0, 1_000), st.integers(1, 1_000), st.floats(0.1, 50))
def test_slices_cover_their_range_without_a_gap(since, length, pace):
    """The newest comes first; no second is in two of them."""
    parts = windows.slices(since, since + length, pace, 8)
    seconds = [s for low, high in parts for s in range(low, high)]
    assert sorted(seconds) == list(range(since, since + length))
    assert parts == sorted(parts, reverse=True)


# Plans and bookmarks


@pytest.mark.parametrize(
    ("stream", "bookmark", "full", "why"),
    [
        ("customers", Bookmark(), False, Why.FIRST),
        ("customers", Bookmark(since=NOW - DAY), False, Why.FOLLOW),
        ("customers", Bookmark(since=NOW - 45 * DAY), False, Why.HEAL),
        ("customers", Bookmark(since=NOW - DAY), True, Why.FULL),
        ("customers", Bookmark((Segment(1),), NOW - DAY), False, Why.RESUME),
        ("customers", Bookmark((Segment(1),), NOW - 45 * DAY), False, Why.HEAL),
        ("customers", Bookmark(since=NOW + DAY), False, Why.AHEAD),
        ("customers", Bookmark((Segment(1),), NOW + DAY), False, Why.AHEAD),
        ("tax_codes", Bookmark(since=NOW - 45 * DAY), True, Why.FULL),
        ("balance_transactions", Bookmark(since=NOW - 99 * DAY), False, Why.AGAIN),
        ("events", Bookmark(since=NOW - DAY), False, Why.FOLLOW),
        ("events", Bookmark(since=NOW - 45 * DAY), False, Why.HEAL),
    ],
)
def test_a_stream_goes_on_as_it_must(stream, bookmark, full, why):
    """From nothing, from an open load, from a bookmark young or old."""
    found, planned = plan(BY_NAME[stream], bookmark, Limits(NOW, version=7), full=full)
    assert found is why
    is_new_version = why in {Why.FULL, Why.HEAL, Why.AHEAD} and stream != "events"
    assert planned.version == (7 if is_new_version else bookmark.version)
    assert (planned.open is None) == (why is Why.FOLLOW)


def test_a_bookmark_survives_json():
    """Also the segments of a load that is on its way."""
    bookmark = Bookmark((Segment(1, 9, "cus_1", 5), Segment()), 3, 4, 5)
    assert Bookmark.read(json.loads(json.dumps(bookmark.to_json()))) == bookmark
    assert Bookmark.read({"replication_key_value": "2020"}) == Bookmark()
    for odd in ({"since": "2020-01-01"}, {"open": [1]}, {"open": [{"since": "x"}]}):
        assert Bookmark.read(odd) == Bookmark()
    assert Bookmark.read({"since": 1, "context": {"account": "a"}}).since == 1


def test_events_are_followed_only_as_long_as_stripe_keeps_them():
    """Half a day of the thirty is left for the sweep itself."""
    young = Bookmark(since=int(NOW - EVENT_DAYS * DAY) + 1)
    assert plan(CUSTOMERS, young, Limits(NOW), full=False)[0] is Why.FOLLOW


# Events


def event(
    number, created, kind="customer.updated", *, version="v", name="cus_1", **more
):
    """Return an event about a customer."""
    thing = {"id": name, "object": "customer", **more}
    content = {
        "id": f"evt_{number}",
        "type": kind,
        "created": created,
        "api_version": version,
        "data": {"object": thing},
    }
    return read_event(msgspec.Raw(json.dumps(content).encode()))


def folded(*events, seen=None):
    """Return what is to be done, with the time of the event that says so."""
    found = fold(events, {"customer": CUSTOMERS}, "v", set() if seen is None else seen)
    return [(change.head.id, change.how, change.at) for change in found]


def test_the_newest_event_of_an_object_counts():
    """In whatever order they come."""
    events = [event(1, 10, balance=1), event(2, 30, balance=3), event(3, 20, balance=2)]
    assert folded(*events) == folded(*events[::-1]) == [("cus_1", How.TAKE, 30)]


def test_two_events_of_one_second_have_no_order():
    """So the object is read again, unless both say the same."""
    assert folded(event(1, 10, balance=1), event(2, 10, balance=2)) == [
        ("cus_1", How.READ, 10)
    ]
    assert folded(event(1, 10), event(2, 10)) == [("cus_1", How.TAKE, 10)]
    gone = event(3, 10, "customer.deleted")
    assert folded(event(1, 10), gone) == [("cus_1", How.READ, 10)]


def test_a_deletion_is_told_and_another_version_is_read_again():
    """A snapshot in another version has other fields."""
    assert folded(event(1, 10, "customer.deleted", version="w")) == [
        ("cus_1", How.DELETE, 10)
    ]
    assert folded(event(1, 10, version="w")) == [("cus_1", How.READ, 10)]


def test_what_has_no_id_and_what_was_newer_before_is_left_out():
    """`invoice.upcoming` tells of an invoice that does not exist."""
    assert folded(event(1, 10, name="")) == []
    seen = set()
    assert folded(event(1, 10), seen=seen) == [("cus_1", How.TAKE, 10)]
    assert folded(event(2, 5), seen=seen) == []


# Rows


def rendered(kinds, thing, origin=None, left_out=None):
    """Return the row of an object."""
    shape = Shape(kinds, left_out or {})
    text = shape.render(
        read_fields(msgspec.Raw(json.dumps(thing).encode())), origin or Origin()
    )
    return json.loads(text)


def test_moments_become_dates_and_all_else_stays():
    """Money in minor units, text, and JSON to any depth."""
    kinds = {"id": "text", "amount": "integer", "created": "moment", "x": "object"}
    thing = {"id": 'a"\u00e9', "amount": 12345678901234, "created": 0, "x": {"y": [1]}}
    assert rendered(kinds, thing) == {**thing, "created": "1970-01-01T00:00:00+00:00"}


def test_what_has_no_column_goes_to_extra():
    """A field that is new, a value of another kind, a moment beyond all calendars."""
    kinds = {"id": "text", "at": "moment", "owner": "text", "_extra": "object"}
    row = rendered(kinds, {"id": "a", "at": 10**18, "owner": {"id": "b"}, "new": [1]})
    assert row == {
        "id": "a",
        "_extra": {"at": 10**18, "owner": {"id": "b"}, "new": [1]},
    }


def test_an_indented_answer_makes_one_line():
    """Stripe's own answers are laid out for people; digits and escapes stay."""
    thing = {"id": "a\n", "x": {"y": [1, {"z": None}]}}
    body = json.dumps({"data": [thing], "has_more": False}, indent=2).encode()
    big = body.replace(b"1", b"1234567890123456789012.50")
    [item] = read_page(compact(big)).data
    row = Shape({"id": "text", "x": "object"}, {}).render(read_fields(item), Origin())
    assert b"\n" not in row
    assert b"1234567890123456789012.50" in row
    assert compact(b"{}") == b"{}"


def test_an_object_that_a_page_repeats_counts_once():
    """Where it stood first; a page without repeats is what it is."""
    body = json.dumps({"data": [{"id": name} for name in "abca"], "has_more": True})
    page = read_page(body.encode())
    once = without_repeats(page)
    assert [bytes(item) for item in once.data] == [
        f'{{"id": "{name}"}}'.encode() for name in "abc"
    ]
    assert once.has_more
    assert without_repeats(once) is once


def test_what_is_not_selected_is_not_sent():
    """Nor is it unknown, not even a value of another kind than the column's."""
    kinds = {"id": "text", "email": "text", "_extra": "object"}
    for email in ("b", ["b"]):
        thing = {"id": "a", "email": email}
        assert rendered(kinds, thing, left_out={"email": {}}) == {"id": "a"}


def test_what_is_not_selected_inside_of_an_object():
    """What is left keeps its bytes; a column that is left out has no parts."""
    left_out = plan_selection(
        {
            (): True,
            ("properties", "a"): True,
            ("properties", "a", "properties", "b"): False,
            ("properties", "a", "properties", "c", "properties", "d"): False,
            ("properties", "e", "properties", "f"): False,
            ("properties", "e"): False,
        }
    )
    assert left_out == {"a": {"b": {}, "c": {"d": {}}}, "e": {}}
    shape = Shape({"a": "object", "e": "object"}, left_out)
    item = b'{"a": {"x": 1.10, "b": 2, "c": {"d": 3, "y": "\\u00e9"}}, "e": {"g": 1}}'
    assert shape.render(read_fields(msgspec.Raw(item)), Origin()) == (
        b'{"a":{"x":1.10,"c":{"y":"\\u00e9"}}}'
    )


def test_our_own_columns():
    """Whose it is, what it hangs on, when it went."""
    kinds = {
        "_parent_id": "text",
        "_account_id": "text",
        "_sdc_deleted_at": "moment",
    }
    row = rendered(kinds, {"deleted": True}, Origin("p", "acct", 1))
    assert row == {
        "_parent_id": "p",
        "_account_id": "acct",
        "_sdc_deleted_at": "1970-01-01T00:00:01+00:00",
    }


# Tables


def test_each_version_has_the_schema_of_its_line():
    """A month of a line is like its newest; a year without one, like the one before."""
    assert versions.line_of("2025-04-30.basil") == "2025-08-27.basil"
    assert versions.line_of("2022-11-15") == versions.LINES[0]
    assert versions.line_of("2030-01-01.zebra") == versions.NEWEST
    for line in versions.LINES:
        assert versions.load(line).version == line


def test_the_table_of_streams_holds_together():
    """Parents exist, events are known, and all have ids."""
    known = versions.load(versions.NEWEST)
    assert len(BY_NAME) == len(RESOURCES)
    for resource in RESOURCES:
        kinds = known.objects[resource.object]
        assert kinds["id"] == "text"
        assert not resource.parent or resource.parent in BY_NAME
        assert not resource.events or listened_types([resource], known.events)
        assert set(resource.gone) <= set(known.events)
        if resource.created and not resource.parent:
            assert "moment" in {kinds.get("created"), kinds.get("date")}
    assert "customer.subscription.deleted" not in BY_NAME["subscriptions"].gone
    assert [child.name for child in children("invoices")] == ["invoice_line_items"]


def test_events_of_what_hangs_on_a_customer_are_not_events_of_a_customer():
    """`customer.*` is one word deep."""
    types = listened_types([CUSTOMERS], versions.load(versions.NEWEST).events)
    assert types == ["customer.created", "customer.deleted", "customer.updated"]


def test_test_keys_have_a_lower_limit():
    """100 requests a second with a live key, 25 with one for tests."""
    assert client.rates("sk_live_1", 1).everywhere == 100
    assert client.rates("rk_test_1", 1).everywhere == 25
    assert client.rates("sk_live_1", 0.5).ceiling("GET /v1/files") == 10
