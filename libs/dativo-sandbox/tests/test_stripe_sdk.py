"""The official SDK, which nobody here wrote, is content with the simulator."""

from __future__ import annotations

import importlib
import json

import pytest
import stripe
from dativo_sandbox.stripe.ids import Timeline
from dativo_sandbox.stripe.population import Plan, Population
from dativo_sandbox.stripe.resources import by_type, nested
from dativo_sandbox.stripe.server import StripeServer
from dativo_sandbox.stripe.shapes import NEWEST, view
from stripe._object_classes import OBJECT_CLASSES

MANY = 3
# What only the SDK's interface of old has.
OLDER = {"apple_pay_domain"}


@pytest.fixture(scope="module")
def server():
    """Simulate 250 customers in a process of their own."""
    with StripeServer(customers=250, rate_limits=False, denied=("charges",)) as running:
        yield running


@pytest.fixture
def client(server):
    """Let the SDK ask for the newest version."""
    return _client(server.url, server.api_key)


def _client(url, key, **options):
    options.setdefault("max_network_retries", 0)
    http = stripe.RequestsClient()
    return stripe.StripeClient(
        key, base_addresses={"api": url}, http_client=http, **options
    )


def service(client, path):
    """Return the SDK's own service for a path such as checkout/sessions."""
    found, words = client.v1, path.replace("invoiceitems", "invoice_items").split("/")
    for word in words:
        found = getattr(found, word)
    return found


def ids(things):
    """Return the ids of objects."""
    return [thing.id for thing in things]


def listable():
    """Return the lists that the SDK has a service for, and their objects' types."""
    return [r for r in by_type().values() if not r.required and r.type not in OLDER]


@pytest.mark.parametrize("row", listable(), ids=lambda row: row.path)
def test_it_lists_and_retrieves(server, client, row):
    """Auto-paging finds every object once, and each is of the SDK's own class."""
    everything = service(client, row.path)
    params = {"limit": 100} | ({"status": "all"} if row.type == "subscription" else {})
    found = list(everything.list(params).auto_paging_iter())
    assert sorted(ids(found)) == sorted(server.objects(row.type, ids=""))
    module, name = OBJECT_CLASSES[row.type]
    assert {type(thing) for thing in found} == {
        getattr(importlib.import_module(module), name)
    }
    if hasattr(everything, "retrieve"):
        assert everything.retrieve(found[0].id) == found[0]


def test_every_field_is_one_that_the_sdk_knows():
    """No object has a field that the newest version of the API has not."""
    made = Population(Plan("acct_1", 0, 150, 2, Timeline(0, 1_760_000_000)))
    seen = view(NEWEST, livemode=True)
    bodies = [store.render(0, seen) for store in made.stores.values()]
    bodies += [f.below(0).render(0, seen) for f in made.families.values()]
    for thing in map(json.loads, bodies):
        module, name = OBJECT_CLASSES[thing["object"]]
        known = getattr(importlib.import_module(module), name).__mro__
        fields = {f for c in known for f in getattr(c, "__annotations__", {})}
        assert set(thing) <= fields, thing["object"]
    assert len(bodies) == len(by_type()) + len(nested())


def test_it_pages_backwards_and_within_bounds(client):
    """`ending_before` and `created` mean to the SDK what they mean here."""
    page = client.v1.customers.list({"limit": 20})
    bounds = {"gte": page.data[-1].created, "lt": page.data[5].created}
    expected = [c.id for c in page.data if bounds["gte"] <= c.created < bounds["lt"]]
    found = client.v1.customers.list({"limit": 100, "created": bounds})
    assert ids(found.data)[: len(expected)] == expected
    back = client.v1.customers.list({"limit": 3, "ending_before": page.data[10].id})
    assert sorted(ids(back.auto_paging_iter())) == sorted(ids(page.data[:10]))


def test_it_reads_nested_lists_to_the_end(server, client):
    """The first page of lines leads the SDK to all of them."""
    name = server.objects("invoice", ids="")[MANY]
    lines = client.v1.invoices.retrieve(name).lines
    assert (len(lines.data), lines.has_more) == (10, True)
    assert len(set(ids(lines.auto_paging_iter()))) == 130
    name = server.objects("subscription", ids="")[MANY]
    items = client.v1.subscription_items.list({"subscription": name, "limit": 8})
    assert len(set(ids(items.auto_paging_iter()))) == 20


def test_it_expands(client):
    """Expanded objects are of their own class."""
    charge = client.v1.charges.list({"limit": 1, "expand": ["data.customer"]}).data[0]
    assert isinstance(charge.customer, stripe.Customer)


def test_it_hears_of_changes_and_deletions(client, server):
    """An event holds an object of its class; a deleted customer says so."""
    customer = server.objects("customer", ids="")[0]
    server.mutate(ops=[{"op": "delete", "type": "customer", "id": customer}])
    [event] = client.v1.events.list({"types": ["customer.deleted"], "limit": 1}).data
    assert isinstance(event.data.object, stripe.Customer)
    assert event.data.object.id == customer
    assert client.v1.customers.retrieve(customer).deleted is True


def test_it_acts_for_connected_accounts(server, client):
    """`Stripe-Account` leads to the objects of that account."""
    account = client.v1.accounts.list().data[0].id
    found = client.v1.customers.list({"limit": 100}, {"stripe_account": account})
    assert ids(found.data)[::-1] == server.objects("customer", ids="", account=account)


def test_it_asks_for_an_older_version(server):
    """The version that is set is the one that comes back, in shape too."""
    old = _client(server.url, server.api_key, stripe_version="2024-06-20")
    page = old.v1.invoices.list({"limit": 1})
    assert page.last_response.headers["stripe-version"] == "2024-06-20"
    assert page.last_response.request_id.startswith("req_")
    assert "subscription" in page.data[0]


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("rate_limit", stripe.RateLimitError),
        ("daily_quota", stripe.RateLimitError),
        ("rate_limit_400", stripe.RateLimitError),
        ("server_error", stripe.APIError),
        ("bad_gateway", stripe.APIError),
        ("unavailable", stripe.APIError),
        ("unauthorized", stripe.AuthenticationError),
        ("forbidden", stripe.PermissionError),
        ("lock_timeout", stripe.APIError),
        ("not_json", stripe.APIError),
        ("broken_json", stripe.APIError),
        ("reset", stripe.APIConnectionError),
        ("truncate", stripe.APIConnectionError),
        ("truncate_chunked", stripe.APIConnectionError),
    ],
)
def test_faults_are_its_own_errors(server, client, action, error):
    """Each fault is what the SDK has a class for, and the next request is served."""
    server.schedule({"action": action, "nth": 1})
    with pytest.raises(error):
        client.v1.customers.list()
    assert len(client.v1.customers.list().data) == 10
    assert server.stats()["faults"][action] == 1


def test_what_cannot_be_is_an_invalid_request(client):
    """The reason is in the fields that the SDK reads."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve("cus_nobody")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.list({"starting_after": "cus_nobody"})
    assert (caught.value.http_status, caught.value.param) == (400, "starting_after")


def test_wrong_and_restricted_keys_are_told_apart(server):
    """A key that is unknown is 401, one without a permission 403."""
    with pytest.raises(stripe.AuthenticationError):
        _client(server.url, "sk_live_somebody_elses").v1.customers.list()
    restricted = _client(server.url, server.restricted_key)
    assert restricted.v1.customers.list().data
    with pytest.raises(stripe.PermissionError):
        restricted.v1.charges.list()


def test_its_own_retries_get_over_a_fault(server):
    """A client with retries does not notice a 500."""
    patient = _client(server.url, server.api_key, max_network_retries=2)
    server.schedule({"action": "server_error", "nth": 1})
    assert len(patient.v1.customers.list().data) == 10


def test_it_is_refused_beyond_the_limits():
    """More than 25 requests a second to one endpoint are a RateLimitError."""
    with StripeServer(customers=5, endpoint_rate=1) as server:
        client = _client(server.url, server.api_key)
        many = (client.v1.customers.list() for _ in range(100))
        with pytest.raises(stripe.RateLimitError) as caught:
            list(many)
        headers = caught.value.headers
        assert headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
        assert server.stats()["quota_violations"] == 1
