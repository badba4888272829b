"""The contenders are data, and the data has no loose ends."""

from __future__ import annotations

import string

import environments
import pytest
import race
import report
import run
from contenders import CONTENDERS, DATA, PREPARED, SETTINGS

PLACES = {
    *("bench", "data", "made_by", "peers", "programs"),
    *("rows", "table", "tables", "work"),
}


def texts(value):
    """Yield all texts of settings."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else ():
        yield from texts(part)
    for part in value if isinstance(value, list) else ():
        yield from texts(part)


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_contender_names_only_what_there_is(name):
    """Places, rows and peers that it names exist."""
    it = CONTENDERS[name]
    words = " ".join((*it.pipe, it.stdin, it.result or ""))

    assert it.data in DATA
    assert set(it.peers) <= set(environments.pinned())
    assert {
        place for _, place, *_ in string.Formatter().parse(words) if place
    } <= PLACES
    # A peer's program is run only by who says so, since it is installed by that.
    for peer in environments.pinned():
        assert (f"{{peers}}/{peer}/" in words) == (peer in it.peers)


def test_all_files_that_contenders_read_are_made():
    """Each is prepared, written by the source, or among the settings."""
    for it in CONTENDERS.values():
        made = {*PREPARED[DATA[it.data].source], "tap.json", "dsn.txt"}
        words = " ".join((*it.pipe, it.stdin)).split()
        for word in words:
            if word.startswith("{data}/"):
                assert word.removeprefix("{data}/") in made
            if word.startswith("{work}/") and word.endswith(".json"):
                assert word.removeprefix("{work}/") in SETTINGS


def test_settings_have_only_known_places():
    """Another place would end the first run."""
    found = [place for text in texts(SETTINGS) for place in fields(text)]

    assert found
    assert set(found) <= PLACES


def fields(text):
    """Return the places of a text."""
    return [place for _, place, *_ in string.Formatter().parse(text) if place]


def test_pins_name_one_version_each():
    """A peer is the same one in every run."""
    for pins in environments.pinned().values():
        assert all(pin.count("==") == 1 for pin in pins)


def test_rivals_and_ours_are_contenders():
    """The report would leave out what has another name."""
    ways = {name.partition(":")[0] for name in CONTENDERS}

    assert {*report.RIVALS, *report.OURS} <= ways


@pytest.mark.parametrize(
    ("options", "in_it", "not_in_it"),
    [
        ({}, "pipe", "dlt-iceberg"),
        ({}, "mysql-pipe", "mysql-dlt-parquet"),
        ({"peers": True}, "meltanolabs", ""),
        ({"peers": True, "is_quick": True}, "rivet", "meltanolabs"),
        ({"peers": True}, "mysql-pipelinewise", ""),
        ({"only": ["tap"]}, "tap", "pipe"),
    ],
)
def test_what_is_chosen(options, in_it, not_in_it):
    """Others only where asked for, and what takes minutes only if there is time."""
    asked = {"only": None, "peers": False, "is_quick": False}

    found = run.chosen(**(asked | options))

    assert in_it in found
    assert not_in_it not in found


def test_another_contender_goes_first_in_each_round():
    """All run in every round, and none always comes after the same one."""
    names = ["limit", "pipe", "tap"]

    found = list(race.turns(names, 3))

    assert [name for number, name in found if number == 1] == ["pipe", "tap", "limit"]
    assert sorted(found) == [(n, name) for n in range(3) for name in sorted(names)]


def test_what_takes_minutes_runs_in_few_rounds():
    """It runs in the first ones, beside the others."""
    found = list(race.turns(["pipe", "foreign-target"], 3))

    assert [number for number, name in found if name == "foreign-target"] == [0]
    assert [number for number, name in found if name == "pipe"] == [0, 1, 2]
