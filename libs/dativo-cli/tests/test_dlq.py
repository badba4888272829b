"""`dativo dlq`: letters are counted, shown, repaired, replayed once, and discarded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from target_parquet_iceberg.catalogs import open_catalog

DATIVO = Path(sys.executable).with_name("dativo")
TARGET = Path(sys.executable).with_name("target-dativo")
COUNT = 1000
NUMBER = {"type": ["integer", "null"]}
SCHEMA = {"properties": {"id": {"type": "integer"}, "amount": NUMBER}}
NO_LIMIT = {"dead_letter": {"max_ratio": 1}}


def run(command, data=b""):
    """Run a command to its end."""
    return subprocess.run(
        list(map(str, command)),
        input=data,
        capture_output=True,
        check=False,
        timeout=90,
    )


def lines(*messages):
    """Return messages as a tap writes them."""
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def schema(keys=("id",), stream="shop-orders"):
    """Return a SCHEMA."""
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": SCHEMA,
        "key_properties": list(keys),
    }


def record(number, amount, stream="shop-orders"):
    """Return a RECORD."""
    content = {"id": number, "amount": amount}
    return {"type": "RECORD", "stream": stream, "record": content}


STATE = {"type": "STATE", "value": {"bookmarks": {"shop-orders": {"v": 1}}}}


class Place:
    """A warehouse, and the two commands on it."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.settings = {"warehouse": str(folder / "lake"), **NO_LIMIT, **settings}
        self.config = folder / "target.json"
        self.config.write_text(json.dumps(self.settings))

    def load(self, *messages, raw=b"", code=0):
        """Run the target."""
        done = run([TARGET, "--config", self.config], lines(*messages) + raw)
        assert done.returncode == code, done.stderr.decode()
        return done

    def dlq(self, *arguments, code=0):
        """Run `dativo dlq`."""
        done = run([DATIVO, "dlq", *arguments, "--config", self.config])
        assert done.returncode == code, done.stderr.decode()
        return done

    def rows(self, name="shop_orders"):
        """Return the rows of a table, sorted."""
        catalog = open_catalog(self.settings)
        found = catalog.load_table(("lake", name)).scan().to_arrow().to_pylist()
        return sorted(found, key=lambda row: str(row["id"]))

    def counted(self, *arguments):
        """Return the counts of `dativo dlq list`, by stage and field."""
        done = self.dlq("list", "--json", *arguments)
        found = map(json.loads, done.stdout.splitlines())
        return {(p["stream"], p["stage"], p["path"]): p["count"] for p in found}

    @property
    def files(self):
        """All files of the dead letters."""
        return sorted((self.folder / "lake/_dead_letters").glob("*/*"))


@pytest.fixture
def place(tmp_path):
    """An empty warehouse."""
    return Place(tmp_path)


def repaired(messages):
    """Do what `jq` does in docs/DEAD_LETTERS.md: `12 EUR` becomes 12."""
    found = []
    for line in messages.splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            text = message["record"]["amount"]
            message["record"]["amount"] = int(text.removesuffix(" EUR"))
        found.append(message)
    return lines(*found)


def bad(keys=("id",)):
    """Return a run of which 1,000 records are bad, one is good."""
    letters = [record(number, f"{number} EUR") for number in range(COUNT)]
    return [schema(keys), *letters, record(COUNT, COUNT), STATE]


WHOLE = [{"id": number, "amount": number} for number in range(COUNT + 1)]


@pytest.mark.parametrize(
    ("keys", "settings"),
    [(("id",), {}), ((), {}), (("id",), {"load_method": "append-only"})],
    ids=["upsert", "append without keys", "append with keys"],
)
def test_repaired_rows_arrive_once(tmp_path, keys, settings):
    """1,000 rows are repaired and replayed; a second replay, or the same, adds none."""
    place = Place(tmp_path, **settings)
    place.load(*bad(keys))
    assert place.counted() == {("shop-orders", "cast", "amount"): COUNT}
    first = place.dlq("replay")
    assert b"1000 letters are replay" in first.stderr
    place.load(raw=repaired(first.stdout))
    by_id = sorted(WHOLE, key=lambda row: str(row["id"]))
    assert place.rows() == by_id

    second = place.dlq("replay")
    assert second.stdout == b""
    assert place.counted() == {}
    again = place.load(raw=repaired(first.stdout))
    assert place.rows() == by_id
    assert b"is in the table already" in again.stderr

    done = place.dlq("discard", "shop-orders", "--replayed")
    assert b"1000 letters discarded" in done.stdout
    assert {file.suffixes[-2] for file in place.files} == {".schema"}
    assert place.rows("shop_orders__dlq") == []
    place.load(raw=repaired(first.stdout))
    assert place.rows() == by_id
