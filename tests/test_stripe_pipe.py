"""tap-stripe | target-dativo: what Stripe holds is what the lake holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROGRAMS, Pipeline
from dativo_sandbox import lake
from dativo_sandbox.stripe.server import StripeServer

MISSION = {
    "customers": "customer",
    "charges": "charge",
    "invoices": "invoice",
    "subscriptions": "subscription",
}
DAY = 86_400


class StripePipeline(Pipeline):
    """A pipeline from the simulator."""

    def __init__(self, folder, server):
        super().__init__(folder, server)
        self.programs[0] = PROGRAMS / "tap-stripe"

    def select(self, *streams):
        """Read these streams only."""
        found = self.discover()
        for entry in found["streams"]:
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = entry["tap_stream_id"] in streams
        self.catalog = found

    def check(self):
        """Compare the lake with the truth: each object, and what changes most."""
        for table, name in MISSION.items():
            truth = self.source.objects(name)
            rows = self.rows(
                f"SELECT id, epoch(created)::bigint, metadata::text FROM lake.{table}"
                + (" WHERE _sdc_deleted_at IS NULL" if table in GONE else "")
            )
            found = {key: (created, json.loads(text)) for key, created, text in rows}
            assert len(found) == len(rows)
            assert found == {o["id"]: (o["created"], o["metadata"]) for o in truth}


GONE = {"customers", "invoices"}


@pytest.fixture
def server():
    """A small Stripe."""
    with StripeServer(customers=400) as running:
        yield running


@pytest.fixture
def stripe(tmp_path, server):
    """A pipeline from it, of the four objects that most people want."""
    pipeline = StripePipeline(tmp_path, server)
    pipeline.select(*MISSION, "invoice_line_items", "subscription_items", "events")
    return pipeline


def test_a_first_load_then_only_what_changed(stripe):
    """Objects, their lines and items; then updates, deletions and new ones."""
    stripe.run()
    stripe.check()
    [[lines]] = stripe.rows("SELECT count(*) FROM lake.invoice_line_items")
    assert lines > 400
    stripe.source.now(advance=DAY)
    stripe.source.mutate(random=50, seed=1)
    stripe.source.now(advance=120)

    second = stripe.run()

    assert 0 < len([r for r in second.records if r["object"] != "event"]) < 300
    stripe.check()
    assert stripe.dead_letters() == []
    [[gone]] = stripe.rows(
        "SELECT count(*) FROM lake.customers WHERE _sdc_deleted_at IS NOT NULL"
    )
    assert gone >= 1


def test_money_moments_and_json_have_their_types(stripe):
    """Minor units are whole numbers, moments are timestamps, the rest is JSON text."""
    stripe.select("charges")
    stripe.run()
    types = dict(row[:2] for row in stripe.rows("DESCRIBE SELECT * FROM lake.charges"))
    assert (types["amount"], types["created"]) == ("BIGINT", "TIMESTAMP WITH TIME ZONE")
    assert (types["metadata"], types["billing_details"]) == ("VARCHAR", "VARCHAR")
    truth = {one["id"]: one for one in stripe.source.objects("charge")}
    for key, amount, details in stripe.rows(
        "SELECT id, amount, billing_details FROM lake.charges"
    ):
        assert amount == truth[key]["amount"]
        assert json.loads(details) == truth[key]["billing_details"]


def test_nested_objects_are_typed_columns_on_request(stripe):
    """Structs to any depth, lists of them too; the same values as Stripe's."""
    stripe.tap = {**stripe.source.tap_config(), "typed_nested": True}
    stripe.select("customers", "invoices")
    stripe.run()
    described = stripe.rows("DESCRIBE SELECT * FROM lake.invoices")
    types = dict(row[:2] for row in described)
    assert types["status_transitions"].startswith("STRUCT(finalized_at BIGINT")
    assert types["metadata"] == "VARCHAR"
    truth = {one["id"]: one for one in stripe.source.objects("invoice")}
    for key, paid, city, subscription in stripe.rows(
        "SELECT id, status_transitions.paid_at, customer_address.city, "
        "parent.subscription_details.subscription FROM lake.invoices"
    ):
        parent = truth[key]["parent"]["subscription_details"]
        assert paid == truth[key]["status_transitions"]["paid_at"]
        assert city == truth[key]["customer_address"]["city"]
        assert subscription == parent["subscription"]
    [[strange]] = stripe.rows(
        "SELECT count(*) FROM lake.invoices WHERE _extra IS NOT NULL"
    )
    assert strange == 0
    assert stripe.dead_letters() == []


def test_killed_in_the_middle_the_next_run_completes_it(stripe):
    """The tap dies by SIGKILL while it reads; the target keeps what STATE covers."""
    stripe.source.schedule({"action": "hang", "path": "/v1/invoices", "first": 3})
    target = subprocess.Popen(
        stripe.target_command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with subprocess.Popen(
        stripe.tap_command(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tap:
        for line in tap.stdout:
            target.stdin.write(line)
            if b'"STATE"' in line and b'"invoices":{' in line and b'"open"' in line:
                os.kill(tap.pid, signal.SIGKILL)
                break
    out, said = target.communicate()
    assert target.returncode == 75, said
    stripe.state = json.loads(out.splitlines()[-1])
    stripe.source.schedule()

    stripe.run()

    stripe.check()


def test_a_key_that_may_not_read_a_list_is_not_green(stripe):
    """77 from the tap, 75 from the target; what could be read is there."""
    stripe.source.stop()
    with StripeServer(customers=120, denied=("charges",)) as server:
        stripe.tap = {**server.tap_config(), "api_key": server.restricted_key}
        flow = stripe.flow()
        [[customers]] = stripe.rows("SELECT count(*) FROM lake.customers")

    assert (flow.tap.code, flow.target.code) == (77, 75)
    assert "charges" in flow.tap.errors[-1]["message"]
    assert customers == 120


def test_plain_parquet_on_s3(stripe, seaweed, bucket_prefix):
    """A folder of files in a bucket, with no catalog."""
    stripe.target = {
        "warehouse": bucket_prefix,
        "format": "parquet",
        "load_method": "append-only",
        "storage_options": seaweed.storage_options(),
    }
    stripe.run()
    files = f"read_parquet('{bucket_prefix}/lake/customers/*.parquet')"
    with lake.connect(seaweed.storage_options()) as engine:
        found = engine.execute(f"SELECT id FROM {files}").fetchall()
    assert sorted(i for [i] in found) == sorted(
        one["id"] for one in stripe.source.objects("customer")
    )


def test_iceberg_on_s3_by_meltano(project, server, seaweed, bucket_prefix):
    """`meltano run tap-stripe target-dativo`, twice, into a bucket."""
    catalog = project / "catalog.db"
    options = {
        "endpoint": seaweed.endpoint,
        "access_key_id": seaweed.access_key,
        "secret_access_key": seaweed.secret_key,
        "region": seaweed.region,
    }
    environment = {
        **os.environ,
        "TAP_STRIPE_API_KEY": server.api_key,
        "TAP_STRIPE_API_URL": server.url,
        "TAP_STRIPE__SELECT": json.dumps([f"{name}.*" for name in MISSION]),
        "TARGET_DATIVO_WAREHOUSE": bucket_prefix,
        "TARGET_DATIVO_STORAGE_OPTIONS": json.dumps(options),
        "TARGET_DATIVO_CATALOG": json.dumps(
            {"type": "sql", "uri": f"sqlite:///{catalog}"}
        ),
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "NO_COLOR": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }

    def meltano(*arguments):
        program = Path(sys.executable).with_name("meltano")
        done = subprocess.run(
            [program, *arguments],
            cwd=project,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    meltano("install", "extractor", "tap-stripe")
    meltano("install", "loader", "target-dativo")
    meltano("run", "tap-stripe", "target-dativo")
    server.mutate(random=20, seed=5)
    server.now(advance=120)
    meltano("run", "tap-stripe", "target-dativo")

    with lake.lake(catalog.parent, seaweed.storage_options()) as engine:
        for table, name in MISSION.items():
            alive = " WHERE _sdc_deleted_at IS NULL" if table in GONE else ""
            [[rows, ids]] = engine.execute(
                f"SELECT count(*), count(DISTINCT id) FROM lake.{table}{alive}"
            ).fetchall()
            assert rows == ids == len(server.objects(name))
