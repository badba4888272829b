"""Lists of the Stripe simulator are those of Stripe: pages, filters, cursors."""

from __future__ import annotations

import json

import pytest
from dativo_sandbox.stripe.resources import by_path, nested

DAY = 86_400
LISTS = [row for row in by_path().values() if not row.required]


def ids(things):
    """Return the ids of objects."""
    return [thing["id"] for thing in things]


def test_there_are_all_the_lists_of_a_tap():
    """More object types than a tap has streams."""
    assert len(by_path()) + len(nested()) >= 80


@pytest.mark.parametrize("row", LISTS, ids=lambda row: row.path)
def test_a_list_pages_through_all_its_objects_once(stripe_api, row):
    """Whatever the list, its pages are disjoint and together everything."""
    query = "?status=all&limit=100" if row.type == "subscription" else "?limit=100"
    found = stripe_api.walk(f"/v1/{row.path}{query}")
    assert found
    assert sorted(ids(found)) == sorted(ids(stripe_api.truth(row.type)))
    assert {thing["object"] for thing in found} == {row.type}


@pytest.mark.parametrize("row", LISTS, ids=lambda row: row.path)
def test_a_listed_object_can_be_retrieved(stripe_api, row):
    """An object alone is the object in the list."""
    [thing] = stripe_api.get(f"/v1/{row.path}?limit=1")["data"]
    assert stripe_api.get(f"/v1/{row.path}/{thing['id']}") == thing


def test_a_page_has_ten_objects_unless_told_otherwise(stripe_api):
    """The newest come first, and the list says where it is."""
    page = stripe_api.get("/v1/customers")
    created = [customer["created"] for customer in page["data"]]
    assert len(created) == 10
    assert created == sorted(created, reverse=True)
    assert (page["object"], page["has_more"]) == ("list", True)
    assert page["url"] == "/v1/customers"


def test_pages_go_back_too(stripe_api):
    """`ending_before` gives the page that ends before an object, in the same order."""
    first, second = (
        stripe_api.get("/v1/charges?limit=7"),
        stripe_api.get("/v1/charges?limit=14"),
    )
    after = second["data"][7]["id"]
    back = stripe_api.get(f"/v1/charges?limit=7&ending_before={after}")
    assert ids(back["data"]) == ids(first["data"])
    assert back["has_more"] is False
    few = stripe_api.get(f"/v1/charges?limit=2&ending_before={after}")
    assert ids(few["data"]) == ids(first["data"])[-2:]
    assert few["has_more"] is True


@pytest.mark.parametrize(
    ("query", "low", "high"),
    [
        ("created[gt]={0}", 1, None),
        ("created[gte]={0}", 0, None),
        ("created[lt]={1}", None, 0),
        ("created[lte]={1}", None, 1),
        ("created={0}", 0, "one second"),
        ("created[gte]={0}&created[lt]={1}", 0, 0),
        ("created[gte]=0&created[gt]={0}", 1, None),
    ],
)
def test_created_bounds_are_to_the_second(stripe_api, query, low, high):
    """Every bound keeps exactly what it says, several objects in one second too."""
    everything = stripe_api.truth("customer")
    first, last = everything[70]["created"], everything[140]["created"]
    assert everything[71]["created"] == first
    found = stripe_api.walk(f"/v1/customers?limit=100&{query.format(first, last)}")
    since = 0 if low is None else first + low
    until = {None: stripe_api.NOW, "one second": first + 1}.get(high, last)
    until += high if isinstance(high, int) else 0
    expected = [c["id"] for c in everything if since <= c["created"] < until]
    assert ids(found) == expected[::-1]


def test_cancelled_subscriptions_are_hidden_unless_asked_for(stripe_api):
    """`status` chooses: nothing, all, one, or those that ended."""
    everything = stripe_api.truth("subscription")
    over = {s["id"] for s in everything if s["status"] == "canceled"}
    assert 0 < len(over) < len(everything)
    by_status = {
        status: set(ids(stripe_api.walk(f"/v1/subscriptions?limit=100{status}")))
        for status in ("", "&status=all", "&status=canceled", "&status=ended")
    }
    assert by_status[""] == set(ids(everything)) - over
    assert by_status["&status=all"] == set(ids(everything))
    assert by_status["&status=canceled"] == by_status["&status=ended"] == over


def test_lists_can_be_filtered_by_what_an_object_belongs_to(stripe_api):
    """`customer` gives a customer's own, generated or new, and nobody else's."""
    customer = stripe_api.truth("customer")[5]["id"]
    made = {"op": "create", "type": "charge", "set": {"customer": customer}}
    [change] = stripe_api.mutate(ops=[made])
    expected = [
        c["id"] for c in stripe_api.truth("charge") if c["customer"] == customer
    ]
    found = stripe_api.walk(f"/v1/charges?customer={customer}")
    assert ids(found) == expected[::-1]
    assert change["id"] in expected
    assert len(expected) > 1


def test_the_objects_of_a_new_customer_are_found(stripe_api):
    """A customer that nothing was generated for has what was made for it since."""
    [customer] = stripe_api.mutate(ops=[{"op": "create", "type": "customer"}])
    path = f"/v1/charges?customer={customer['id']}"
    assert stripe_api.get(path)["data"] == []
    made = {"op": "create", "type": "charge", "set": {"customer": customer["id"]}}
    [charge] = stripe_api.mutate(ops=[made])
    assert ids(stripe_api.get(path)["data"]) == [charge["id"]]


def test_lists_can_be_filtered_by_a_field(stripe_api):
    """A filter compares with what the object shows, booleans too."""
    paid = stripe_api.walk("/v1/invoices?limit=100&status=paid")
    expected = [i["id"] for i in stripe_api.truth("invoice") if i["status"] == "paid"]
    assert ids(paid) == expected[::-1]
    assert stripe_api.walk("/v1/prices?active=false") == []
    assert stripe_api.get("/v1/prices?active=true")["data"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/customers?limit=0", "greater than or equal to 1"),
        ("/v1/customers?limit=101", "less than or equal to 100"),
        ("/v1/customers?limit=ten", "Invalid integer: ten"),
        ("/v1/customers?created[gte]=now", "Invalid integer: now"),
        ("/v1/customers?colour=red", "Received unknown parameter: colour"),
        ("/v1/payment_links?created=1", "Received unknown parameter: created"),
        ("/v1/customers?starting_after=cus_0", "No such customer: 'cus_0'"),
        ("/v1/customers?starting_after=ch_1&ending_before=ch_2", "only specify one"),
        ("/v1/charges?customer=cus_nobody", "No such customer: 'cus_nobody'"),
        ("/v1/setup_attempts", "Missing required param: setup_intent"),
        ("/v1/subscription_items", "Missing required param: subscription"),
        ("/v1/subscription_items?subscription=sub_0", "No such subscription"),
        ("/v1/customers?expand[]=data.a.b.c.d.e", "more than 4 levels"),
        ("/v1/customers?expand[]=data.colour", "cannot be expanded (colour)"),
    ],
)
def test_what_cannot_be_is_refused_as_stripe_does(stripe_api, path, message):
    """A wrong parameter is an error with its reason, never an empty list."""
    status, error = stripe_api.error(path)
    assert status == 400
    assert error["type"] == "invalid_request_error"
    assert message in error["message"]


def test_a_cursor_must_be_of_the_list(stripe_api):
    """The id of a charge is no place among customers."""
    charge = stripe_api.truth("charge")[0]["id"]
    status, error = stripe_api.error(f"/v1/customers?starting_after={charge}")
    assert (status, error["param"]) == (400, "starting_after")
    assert error["code"] == "resource_missing"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/v1/customers/cus_0",
        "/v1/customers//x",
        "/v2/customers",
        "/v1/customers/cus_0/sources",
        "/v1/customers/cus_0/subscriptions",
        "/v1/customers/cus_0/nothing",
        "/v1/subscription_items/si_0",
        "/v1/invoices/in_" + "g" * 24,
    ],
)
def test_what_is_not_there_is_404(stripe_api, path):
    """Unknown paths and unknown ids are errors of the request."""
    status, error = stripe_api.error(path)
    assert (status, error["type"]) == (404, "invalid_request_error")


def test_nothing_can_be_written_through_the_api(stripe_api):
    """Changes are made by the simulator's own path only."""
    assert stripe_api.error("/v1/customers", method="POST")[0] == 404


def test_an_account_may_be_empty(stripe_api):
    """No customers, and so nothing else."""
    empty = type(stripe_api)(customers=0, accounts=0)
    for row in LISTS:
        page = empty.get(f"/v1/{row.path}")
        assert (page["data"], page["has_more"]) == ([], False)


def test_json_is_laid_out_for_people(stripe_api):
    """As Stripe does: two spaces a level, in answers and in errors."""
    for target in ("/v1/customers?limit=2", "/v1/customers/cus_none", "/v1/nothing"):
        body = stripe_api.respond(target).body.decode()
        assert body == json.dumps(json.loads(body), indent=2, ensure_ascii=False)
