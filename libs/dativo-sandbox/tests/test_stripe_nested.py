"""Lists within objects of the Stripe simulator can be read to their ends."""

from __future__ import annotations

import pytest

MANY = 3  # the first object with more than a page of children


def ids(things):
    """Return the ids of objects."""
    return [thing["id"] for thing in things]


@pytest.mark.parametrize(
    ("type_", "field", "child", "total"),
    [
        ("invoice", "lines", "line_item", 130),
        ("subscription", "items", "subscription_item", 20),
    ],
)
def test_a_nested_list_goes_on_at_its_url(stripe_api, type_, field, child, total):
    """The first page has ten; the URL leads to all of them, in the same order."""
    parent = stripe_api.truth(type_)[MANY]
    shown = parent[field]
    assert (len(shown["data"]), shown["has_more"]) == (10, True)
    joint = "&" if "?" in shown["url"] else "?"
    everything = stripe_api.walk(f"{shown['url']}{joint}limit=100")
    assert ids(everything)[:10] == ids(shown["data"])
    assert everything[:10] == shown["data"]
    assert len(set(ids(everything))) == total
    ours = [c for c in stripe_api.truth(child) if c[type_] == parent["id"]]
    assert sorted(ids(ours)) == sorted(ids(everything))


def test_lines_add_up_to_their_invoice(stripe_api):
    """The total of an invoice is the sum of all its lines, not of the first page."""
    for invoice in stripe_api.truth("invoice")[:8]:
        lines = stripe_api.walk(f"{invoice['lines']['url']}?limit=100")
        assert sum(line["amount"] for line in lines) == invoice["total"]


def test_a_line_names_an_item_that_exists(stripe_api):
    """The ids inside a line lead to the objects that they mean."""
    [line] = stripe_api.truth("invoice")[0]["lines"]["data"]
    details = line["parent"]["subscription_item_details"]
    item = stripe_api.get(f"/v1/subscription_items/{details['subscription_item']}")
    assert item["subscription"] == details["subscription"]
    price = line["pricing"]["price_details"]["price"]
    assert stripe_api.get(f"/v1/prices/{price}")["object"] == "price"


def test_a_child_can_be_retrieved_below_its_parent_only(stripe_api):
    """A source of one customer is not there for another."""
    one, other = ids(stripe_api.truth("customer")[:2])
    [card] = stripe_api.walk(f"/v1/customers/{one}/sources")
    assert stripe_api.get(f"/v1/customers/{one}/sources/{card['id']}") == card
    status, _ = stripe_api.error(f"/v1/customers/{other}/sources/{card['id']}")
    assert status == 404


def test_a_customers_own_lists(stripe_api):
    """What belongs to a customer is listed below it too, cancelled ones hidden."""
    customer = stripe_api.truth("customer")[9]["id"]
    path = f"/v1/customers/{customer}"
    assert stripe_api.get(f"{path}/subscriptions")["data"] == []
    [method] = stripe_api.get(f"{path}/payment_methods")["data"]
    assert method["customer"] == customer
    one = stripe_api.get(f"{path}/payment_methods/{method['id']}")
    assert one == method


def test_refunds_are_shown_when_expanded(stripe_api):
    """A charge shows its refunds on request, and a link the object it leads to."""
    [refund] = stripe_api.get("/v1/refunds?limit=1")["data"]
    path = f"/v1/charges/{refund['charge']}"
    plain = stripe_api.get(path)
    assert "refunds" not in plain
    assert plain["refunded"] is True
    whole = stripe_api.get(f"{path}?expand[]=refunds&expand[]=customer.tax_ids")
    assert whole["refunds"]["data"] == [refund]
    assert whole["refunds"]["url"] == f"{path}/refunds"
    assert whole["customer"]["id"] == plain["customer"]
    assert whole["customer"]["tax_ids"]["object"] == "list"
    assert refund["amount"] == plain["amount_refunded"] == plain["amount"]


def test_expand_reaches_every_object_of_a_page(stripe_api):
    """`data.x` is for each of them; what is there already stays."""
    page = stripe_api.get(
        "/v1/invoices?limit=3&expand[]=data.customer&expand[0]=data.lines"
        "&expand[]=data.default_source"
    )
    assert [i["customer"]["object"] for i in page["data"]] == ["customer"] * 3
    assert stripe_api.get("/v1/plans?expand[]=data.tiers")["data"][0]["tiers"] is None
    payout = stripe_api.get("/v1/payouts?limit=1&expand[]=data.destination")["data"][0]
    assert payout["destination"].startswith("ba_")
    sources = stripe_api.get("/v1/customers?limit=1&expand[]=data.sources")
    assert sources["data"][0]["sources"]["data"][0]["object"] == "card"


def test_a_parent_limits_what_a_list_requires(stripe_api):
    """Items of a value list are listed for one value list at a time."""
    for value_list in stripe_api.truth("radar.value_list")[:3]:
        path = f"/v1/radar/value_list_items?value_list={value_list['id']}"
        found = stripe_api.walk(path)
        assert {item["value_list"] for item in found} == {value_list["id"]}
