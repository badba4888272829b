"""Settings, discovery, maps, accounts, versions: what a user chooses."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from dativo_core.errors import ConfigurationError, ExitCode
from tap_stripe.resources import RESOURCES
from tap_stripe.tap import TapStripe
from tap_stripe.versions import LINES


def streams(**config):
    """Return the streams that a version has."""
    return TapStripe(config=config, setup_mapper=False).streams


def test_there_are_streams_for_most_lists():
    """At least 45, in the oldest version too."""
    assert len(streams()) >= 45
    assert len(streams(api_version=LINES[0])) >= 45
    assert "invoice_payments" not in streams(api_version=LINES[0])


def test_costly_lists_are_left_out_unless_they_are_asked_for():
    """A request for each customer is nobody's default."""
    found = streams()
    assert not found["payment_methods"].selected_by_default
    assert found["invoice_line_items"].selected_by_default
    assert not found["cards"].selected_by_default
    assert not found["accounts"].selected_by_default
    assert sum(found[r.name].selected_by_default for r in RESOURCES) >= 45


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"api_version": "latest"}, "api_version"),
        ({"api_kee": "x"}, "Did you mean 'api_key'"),
        ({"rate_limit_share": 2}, "rate_limit_share"),
        ({"workers": 0}, "workers"),
        ({"start_date": "yesterday"}, "'start_date' is 'yesterday'"),
        ({"start_date": "2024-13-01"}, "2024-01-31T12:00:00Z"),
    ],
)
def test_a_wrong_setting_is_named(config, words):
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=words):
        TapStripe(config=config)


def test_without_a_key_nothing_is_asked():
    """The setting is named; discovery needs none."""
    tap = TapStripe(config={})
    with pytest.raises(ConfigurationError, match="api_key"):
        tap.sync_all()


def test_the_other_variants_name_of_the_key_is_taken():
    """A user can change the variant and keep the settings."""
    assert (
        TapStripe(config={"client_secret": "sk_test_1"}).config["api_key"]
        == "sk_test_1"
    )


def test_maps_and_flattening_see_the_same_values(stripe):
    """One record at a time, through the SDK, has the values of a line."""
    lines = stripe.run("customers").records("customers")
    maps = {"customers": {"who": "email", "__else__": None, "id": "id"}}
    mapped = stripe.run("customers", stream_maps=maps).records("customers")
    flat = stripe.run(
        "customers", flattening_enabled=True, flattening_max_depth=1
    ).records("customers")

    by_id = {line["id"]: line for line in lines}
    assert mapped
    assert all(row["who"] == by_id[row["id"]]["email"] for row in mapped)
    assert {row["id"]: row["created"] for row in flat} == {
        key: line["created"] for key, line in by_id.items()
    }


def undated(lines):
    """Return the RECORD lines without what the clock says, in an order."""
    clock = re.compile(r'"time_extracted":"[-\dT:.]+\+00:00"(,"version":\d+)?}$')
    return sorted(
        clock.sub("", line) for line in lines if line.startswith('{"type":"RECORD"')
    )


@pytest.mark.parametrize("typed", [False, True])
def test_a_record_alone_has_the_bytes_of_a_line(stripe, typed):
    """With stream maps that change nothing, of objects and of their lists."""
    names = [r.name for r in RESOURCES if not (r.is_costly or r.is_special)]
    maps = {name: {"id": "id"} for name in names}

    lines = undated(stripe.run(*names, typed_nested=typed).lines)
    mapped = undated(stripe.run(*names, typed_nested=typed, stream_maps=maps).lines)

    assert len(lines) > 1_000
    assert mapped == lines


@pytest.mark.parametrize("version", [None, 7])
def test_what_stripe_spells_in_its_own_way_stays_so(version, capsysbinary):
    """Blanks, escapes, zeros behind the point; with the version of a full load."""
    record = (
        b'{"id":"cus_1","name":"Zo\\u00eb \\/ Zo\xc3\xab","balance":1.10,'
        b'"metadata":{"a" : [ 1E2,-0.0, 12345678901234567890.5 ]}}'
    )
    found = []
    for config in ({}, {"stream_maps": {"customers": {"id": "id"}}}):
        tap = TapStripe(config={"api_key": "sk_test_0", **config})
        tap.streams["customers"].begin(version)
        tap.streams["customers"].write([record])
        tap.streams["customers"].close()
        found += undated(capsysbinary.readouterr().out.decode().split("\n"))

    [line, mapped] = found
    assert f'"record":{record.decode()}' in line
    assert mapped == line


def test_a_deselected_column_is_not_sent(stripe):
    """Neither in the lines nor in `_extra`."""

    def change(entry):
        for item in entry["metadata"]:
            if item["breadcrumb"] == ["properties", "email"]:
                item["metadata"]["selected"] = False

    records = stripe.run("customers", change=change).records("customers")

    assert records
    assert not any("email" in record or "_extra" in record for record in records)


@pytest.mark.parametrize("maps", [{}, {"customers": {"id": "id"}}])
def test_a_deselected_field_of_an_object_is_not_sent(stripe, maps):
    """Neither in its column, nor in `_extra` where the object is not as documented."""
    odd = stripe.run("customers").ids("customers")[0]
    moved = {"address": {"city": "Oslo", "line1": "Gata 1", "planet": "Earth"}}
    stripe.server.mutate(
        ops=[{"op": "update", "type": "customer", "id": odd, "set": moved}]
    )

    def change(entry):
        path = ["properties", "address", "properties", "line1"]
        entry["metadata"].append({"breadcrumb": path, "metadata": {"selected": False}})

    run = stripe.run("customers", change=change, typed_nested=True, stream_maps=maps)

    [schema] = run.of("SCHEMA", "customers")
    fields = schema["schema"]["properties"]["address"]["properties"]
    assert "city" in fields
    assert "line1" not in fields
    rows = {row["id"]: row for row in run.records("customers")}
    found = rows.pop(odd)
    assert found["_extra"] == {"address": {"city": "Oslo", "planet": "Earth"}}
    addresses = [row["address"] for row in rows.values() if row["address"]]
    assert addresses
    assert not any("line1" in address for address in addresses)


def test_a_full_table_names_its_version_twice(stripe):
    """By the user's choice, or where nothing else shows what has changed."""

    def change(entry):
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["replication-method"] = "FULL_TABLE"

    run = stripe.run("customers", "tax_codes", change=change)

    for name in ("customers", "tax_codes"):
        versions = [m["version"] for m in run.of("ACTIVATE_VERSION", name)]
        assert len(versions) == 2
        assert {m["version"] for m in run.of("RECORD", name)} <= set(versions)
    assert stripe.run("customers", state=run.state, change=change).ids("customers")


def test_lists_without_events_are_read_again_for_some_days(stripe):
    """Balance transactions become available without an event."""
    first = stripe.run("balance_transactions")
    second = stripe.run("balance_transactions", state=first.state, lookback_days=100)

    assert second.ids("balance_transactions")
    assert set(second.ids("balance_transactions")) < set(
        first.ids("balance_transactions")
    )
    asked = [params for path, params in stripe.asked if path != "/v1/events"]
    assert all("created[gte]" in params for params in asked)


def test_a_start_date_bounds_what_is_listed(stripe):
    """No object is older."""
    everything = stripe.run("charges").records("charges")
    middle = sorted(record["created"] for record in everything)[100]

    some = stripe.run("charges", start_date=middle).records("charges")

    assert min(record["created"] for record in some) >= middle
    assert len(some) == sum(record["created"] >= middle for record in everything)


def test_the_first_page_of_a_new_list_tells_the_time(stripe_for):
    """It is asked for once; where it is refused, an event will do."""
    stripe = stripe_for(customers=90, denied=("charges",), now=1_700_000_000)
    began = stripe.run("customers").state["bookmarks"]["customers"]["since"]
    assert stripe.server.stats()["endpoints"] == {"GET /v1/customers": 1}
    stripe.config["api_key"] = stripe.server.restricted_key
    stripe.server.forget()

    refused = stripe.run("charges", "customers").state["bookmarks"]

    assert began == refused["customers"]["since"] == 1_700_000_000 - 60
    assert stripe.server.stats()["endpoints"]["GET /v1/events"] == 1


def test_one_connected_account(stripe):
    """Its id goes with every request, and its objects come."""
    account = stripe.server.accounts()[0]
    run = stripe.run("customers", account_id=account)
    wanted = {one["id"] for one in stripe.server.objects("customer", account=account)}
    assert set(run.ids("customers")) == wanted


def test_all_connected_accounts_in_one_run(stripe):
    """Rows and bookmarks tell the account; the key of a row holds it."""
    run = stripe.run("customers", connected_accounts=True)
    again = stripe.run("customers", connected_accounts=True, state=run.state)

    found = {(r["_account_id"], r["id"]) for r in run.records("customers")}
    assert found == {
        (account, one["id"])
        for account in stripe.server.accounts()
        for one in stripe.server.objects("customer", account=account)
    }
    [schema] = run.of("SCHEMA", "customers")
    assert schema["key_properties"] == ["_account_id", "id"]
    partitions = run.state["bookmarks"]["customers"]["partitions"]
    told = sorted(one["context"]["account"] for one in partitions)
    assert told == sorted(stripe.server.accounts())
    assert again.of("RECORD") == []


def test_a_stream_that_is_chosen_later_is_read_whole(stripe):
    """While the other ones of its list go on from their bookmarks."""
    first = stripe.run("invoices")
    second = stripe.run("invoices", "invoice_line_items", state=first.state)

    assert second.ids("invoices") == []
    assert len(second.ids("invoice_line_items")) > len(first.ids("invoices"))


def test_lists_below_each_customer(stripe):
    """One request a customer, when it is asked for."""
    run = stripe.run("payment_methods")
    customers = {one["id"] for one in stripe.server.objects("customer")}
    assert run.error is None
    assert run.ids("payment_methods")
    assert {r["_parent_id"] for r in run.records("payment_methods")} <= customers


def test_every_stream_can_be_read(stripe_for):
    """Of those that are selected by default: none fails, and two dozen have rows."""
    stripe = stripe_for(customers=60)
    names = [name for name, s in streams().items() if s.selected_by_default]
    run = stripe.run(*names)

    refused = [] if run.error is None else str(run.error)
    assert refused == []
    filled = [name for name in names if run.records(name)]
    assert len(filled) > 20
    assert "currently_syncing" not in run.state


def test_the_command_ends_with_the_code_of_its_error(tmp_path, stripe):
    """A wrong key is 77, in one line, without the key; --test says so too."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**stripe.config, "api_key": "sk_live_wrong_one"}))
    for option in ([], ["--test"]):
        command = [sys.executable, "-m", "tap_stripe", "--config", str(path), *option]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == ExitCode.CREDENTIALS, done.stderr
        assert "sk_live_wrong_one" not in done.stderr
        assert "credentials" in done.stderr.splitlines()[-1]
