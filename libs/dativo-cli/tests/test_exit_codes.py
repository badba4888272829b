"""Every command ends with a documented code, and reading makes no folder."""

from __future__ import annotations

import pytest
from dativo_cli.main import dativo
from dativo_core import entrypoint

COMMANDS = [
    ["state", "show"],
    ["state", "set", "s", "{}"],
    ["state", "set", "s", "nonsense"],
    ["state", "recover", "x"],
    ["doctor", "t"],
    ["maintain"],
    ["maintain", "t"],
    ["rollback", "t"],
    ["promote", "t"],
]
FILES = {
    "bad.json": b"{not json",
    "list.json": b"[1]",
    "unknown.json": b'{"warehose": "x"}',
    "wrong.json": b'{"warehouse": 7}',
    "bytes.json": b"\xff\xff",
}
PLACES = [
    ["--warehouse", "nowhere"],
    ["--warehouse", "empty"],
    ["--config", "missing.json"],
    *(["--config", name] for name in FILES),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with settings that are wrong, and an empty warehouse."""
    monkeypatch.chdir(tmp_path)
    # Meltano looks for a project in all folders above.
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def end(*words):
    """Run a command in this process; return its code."""
    return entrypoint.guarded(lambda: entrypoint._invoke(dativo, "dativo", list(words)))


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_wrong_is_configuration(folder, caplog, command, place):
    """78 and one line that says what; nothing to maintain is no failure."""
    (folder / "empty").mkdir()
    expected = 0 if place[1] == "empty" and command in EMPTY else 78
    assert end(*command, *place) == expected, caplog.text
    assert "This is a bug" not in caplog.text
    found = {path.name for path in folder.iterdir()}
    assert found == {*FILES, "empty"}


EMPTY = (["state", "show"], ["maintain"])


def test_help_and_version_are_complete(folder, capsys):
    """Both are 0; a command that does not exist is 78."""
    assert end("--help") == end("--version") == end("doctor", "--help") == 0
    assert "doctor" in capsys.readouterr().out
    assert end("heal") == 78
    assert list((folder).glob("warehouse")) == []


def test_options_of_the_other_kind_of_subject_are_refused(folder, caplog):
    """A tap has no warehouse, and a table no catalog; a tap must be installed."""
    (folder / "catalog.json").write_text("{}")
    for words, told in (
        (["tap-nothing", "--warehouse", "x"], "--warehouse says nothing about tap-"),
        (["t", "--catalog", "catalog.json"], "--catalog says nothing about t"),
        (["tap-nothing"], "Install dativo-tap-nothing beside dativo-cli"),
    ):
        assert end("doctor", *words) == 78
        assert told in caplog.text
