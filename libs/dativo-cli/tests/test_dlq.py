"""`dativo dlq`: letters are counted, shown, repaired, replayed once, and discarded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from target_parquet_iceberg.catalogs import open_catalog

DATIVO = Path(sys.executable).with_name("dativo")
COUNT = 1000
NUMBER = {"type": ["integer", "null"]}
SCHEMA = {"properties": {"id": {"type": "integer"}, "amount": NUMBER}}
NO_LIMIT = {"dead_letter": {"max_ratio": 1}}


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

    def __init__(self, folder, dativo, load, **settings):
        self.folder = folder
        self._dativo = dativo
        self._load = load
        self.settings = {"warehouse": str(folder / "lake"), **NO_LIMIT, **settings}
        self.config = folder / "target.json"
        self.config.write_text(json.dumps(self.settings))

    def load(self, *messages, raw=b"", code=0):
        """Run the target."""
        done = self._load(self.settings, lines(*messages) + raw)
        assert done.code == code, done.stderr.decode()
        return done

    def dlq(self, *arguments, code=0):
        """Run `dativo dlq`."""
        done = self._dativo("dlq", *arguments, "--config", self.config)
        assert done.code == code, done.stderr.decode()
        return done

    def rows(self, name="shop_orders"):
        """Return the rows of a table, sorted."""
        catalog = open_catalog(self.settings)
        identifier = (self.settings.get("namespace", "lake"), name)
        found = catalog.load_table(identifier).scan().to_arrow().to_pylist()
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
def make_place(tmp_path, dativo, load):
    """Make an empty warehouse, with settings of the target."""
    return lambda **settings: Place(tmp_path, dativo, load, **settings)


@pytest.fixture
def place(make_place):
    """An empty warehouse."""
    return make_place()


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
def test_repaired_rows_arrive_once(make_place, keys, settings):
    """1,000 rows are repaired and replayed; a second replay, or the same, adds none."""
    place = make_place(**settings)
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


def test_list_and_show(place):
    """Reasons are counted by run; records are shown whole, on demand, up to a limit."""
    command = [DATIVO, "dlq", "list", "--config", place.config]
    assert subprocess.check_output(command, timeout=90) == b"No dead letters.\n"
    place.load(schema(), record(1, "1 EUR"), record(2, "2 EUR"), raw=b"garbage\n\n")
    text = place.dlq("list", "shop-orders").stdout.decode()
    assert [line.split()[0] for line in text.splitlines()] == ["stream", "shop-orders"]
    assert "cast   amount  integer of 64 bits  2" in text
    assert place.counted() == {
        ("shop-orders", "cast", "amount"): 2,
        ("_unparsed", "parse", ""): 1,
    }
    done = place.dlq("show", "shop-orders", "--limit", 1)
    assert b'{"id": 1, "amount": "1 EUR"}' in done.stdout
    assert b"2 EUR" not in done.stdout
    assert b"more than 1" in done.stderr
    assert b"garbage" in place.dlq("show", "_unparsed").stdout
    whole = place.dlq("show", "shop_orders", "--json").stdout.splitlines()
    letters = [json.loads(line) for line in whole]
    assert len(letters) == 2
    one = place.dlq("show", "shop_orders", "--json", "--id", letters[1]["id"][:12])
    assert [json.loads(one.stdout)] == letters[1:]
    none = place.dlq("show", "shop_orders", "--stage", "key", "--run", "x")
    assert none.stdout == b""


def test_what_fails_again_is_a_new_letter(place):
    """Of a replay that is half repaired, one half lands and the other waits again."""
    place.load(schema(), record(1, "1 EUR"), record(2, "2 EUR"))
    sent = place.dlq("replay").stdout
    place.load(raw=sent.replace(b'"1 EUR"', b"1"))
    assert place.rows() == [{"id": 1, "amount": 1}]
    assert place.counted() == {("shop-orders", "cast", "amount"): 1}
    assert (
        b"2 letters discarded"
        in place.dlq("discard", "shop_orders", "--replayed").stdout
    )
    (left,) = place.dlq("show", "shop-orders", "--json").stdout.splitlines()
    assert json.loads(left)["record"] == '{"id": 2, "amount": "2 EUR"}'
    assert [row["id"] for row in place.rows("shop_orders__dlq")] == [
        json.loads(left)["id"]
    ]
    place.load(raw=place.dlq("replay").stdout.replace(b'"2 EUR"', b"2"))
    assert place.rows()[1:] == [{"id": 2, "amount": 2}]


def test_replay_that_never_arrived_is_sent_again(place):
    """Only the target's word counts, not that the messages went out."""
    place.load(schema(()), record(1, "1 EUR"))
    assert place.dlq("replay").stdout != b""
    assert (
        b"0 letters discarded"
        in place.dlq("discard", "shop-orders", "--replayed").stdout
    )
    place.load(raw=repaired(place.dlq("replay").stdout))
    assert place.rows() == [{"id": 1, "amount": 1}]
    assert (
        b"1 letters discarded"
        in place.dlq("discard", "shop-orders", "--replayed").stdout
    )


def test_source_that_stays_bad(place):
    """A full load that replaces a repaired row makes its record a letter again."""
    full = [{**record(1, "1 EUR"), "version": 1}, {**record(2, 2), "version": 1}]
    done = {"type": "ACTIVATE_VERSION", "stream": "shop-orders", "version": 1}
    place.load(schema(), *full, done)
    place.load(raw=repaired(place.dlq("replay").stdout))
    assert len(place.rows()) == 2
    assert place.counted() == {}
    later = [{**message, "version": 2} for message in (*full, done)]
    for _ in range(2):
        place.load(schema(), *later)
    assert place.rows() == [{"id": 2, "amount": 2}]
    assert place.counted() == {("shop-orders", "cast", "amount"): 1}
    place.dlq("discard", "shop-orders", "--replayed")
    assert len(place.rows("shop_orders__dlq")) == 1


def test_discard_needs_to_be_told_what(place):
    """Nothing goes by accident; a stream without letters is a mistake."""
    place.load(schema(), record(1, "1 EUR"), record(2, "2 EUR"))
    assert b"--all" in place.dlq("discard", "shop-orders", code=78).stderr
    done = place.dlq("discard", "orders", "--all", code=78)
    assert b"There are of: shop_orders" in done.stderr
    assert b"Traceback" not in done.stderr
    place.dlq("show", "../../etc", code=78)
    place.dlq("show", "🙂", code=78)
    sent = place.dlq("replay").stderr.decode()
    name = sent.split("are replay ")[1].split(".")[0]
    done = place.dlq("discard", "shop-orders", "--replay", name, "--stage", "key")
    assert b"0 letters" in done.stdout
    done = place.dlq("discard", "shop-orders", "--replay", name)
    assert b"2 letters" in done.stdout
    assert place.counted() == {}


def test_letters_that_cannot_be_replayed_are_told(place):
    """Lines that are no message, and streams whose SCHEMA cannot be used."""
    broken = {**schema(stream="b"), "schema": {"properties": {}}}
    unknown = record(1, 1, "b")
    place.load(schema(), record(1, 1), broken, unknown, raw=b"garbage\n\n", code=78)
    done = place.dlq("replay")
    assert done.stdout == b""
    assert b"_unparsed: 1 letters came without a SCHEMA" in done.stderr
    assert b"b: 1 letters came without a SCHEMA" in done.stderr


def test_plain_parquet_takes_a_replay_once(make_place):
    """The folder's log remembers replays as the table's properties do."""
    place = make_place(format="parquet")
    place.load(schema(()), record(1, "1 EUR"))
    sent = place.dlq("replay").stdout
    for _ in range(2):
        place.load(raw=repaired(sent))
    assert place.dlq("replay").stdout == b""
    files = list((place.folder / "lake/lake/shop_orders").glob("*.parquet"))
    assert len(files) == 1
    assert (
        b"1 letters discarded"
        in place.dlq("discard", "shop-orders", "--replayed").stdout
    )


def test_letters_on_s3(make_place, tmp_path, seaweed):
    """The same on an object store, with a REST catalog."""
    prefix = f"s3://{seaweed.bucket}/{tmp_path.name}"
    place = make_place(
        warehouse=seaweed.warehouse,
        namespace=f"dlq_{tmp_path.name}".replace("-", "_"),
        catalog=seaweed.rest_catalog_properties(),
        storage_options=seaweed.storage_options(),
        dead_letter={"path": f"{prefix}/letters", "max_ratio": 1},
    )
    for _ in range(2):
        place.load(schema(), record(1, "1 EUR"), record(2, 2), STATE)
    assert place.counted() == {("shop-orders", "cast", "amount"): 1}
    sent = place.dlq("replay").stdout
    for _ in range(2):
        place.load(raw=repaired(sent))
    assert place.rows() == [{"id": 1, "amount": 1}, {"id": 2, "amount": 2}]
    assert len(place.rows("shop_orders__dlq")) == 1
    assert place.dlq("replay").stdout == b""
    assert (
        b"1 letters discarded"
        in place.dlq("discard", "shop-orders", "--replayed").stdout
    )
    assert place.rows("shop_orders__dlq") == []
    assert place.dlq("list").stdout == b"No dead letters.\n"


@pytest.mark.parametrize("name", ["shop-orders", "日本"])
def test_replays_are_known_without_the_table_setting(make_place, dativo, name):
    """With --warehouse alone, letters that have landed are not sent again."""
    place = make_place(streams={name: {"table": "other"}})
    place.load(schema((), name), record(1, "1 EUR", name))
    place.load(raw=repaired(place.dlq("replay").stdout))
    again = dativo("dlq", "replay", "--warehouse", place.settings["warehouse"])
    assert (again.code, again.stdout) == (0, b"")


def test_an_empty_id_means_no_letter(place):
    """What a shell makes of a variable that is not set discards nothing."""
    place.load(schema(), record(1, "1 EUR"))
    place.dlq("discard", "shop-orders", "--id", "", code=78)
    assert place.counted() == {("shop-orders", "cast", "amount"): 1}
