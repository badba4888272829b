"""What repeats the plugins' settings is generated, and the generator is right."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from singer_sdk import Tap

ROOT = Path(__file__).resolve().parent.parent

PROJECT = """\
# Ours.
default_environment: dev

plugins:
  extractors:
  - name: tap-toy
    pip_url: old
    config: {host: db}
  loaders:
  - name: target-alias
    inherit_from: target-other

# The end.
jobs: []
"""


@pytest.fixture(scope="module")
def sync():
    """Import the generator, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("sync", ROOT / "plugins/sync.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["sync"] = module
    spec.loader.exec_module(module)
    return module


class TapToy(Tap):
    """Singer tap for toys.

    More words.
    """

    name = "tap-toy"
    package_name = "singer-sdk"
    config_jsonschema = {  # noqa: RUF012 the SDK's own style
        "type": "object",
        "properties": {
            "host": {"type": "string", "default": "here", "description": "A\n  host."},
            "api_key": {"type": ["string", "null"], "secret": True},
            "spreadsheet_id": {"type": "string", "description": "`<a>` | <b>."},
            "mode": {"type": ["string", "null"], "enum": ["on", "off", None]},
            "share": {"type": "number", "default": 0.5},
            "paths": {"type": "array", "items": {"type": "string"}},
            "since": {"type": ["string", "null"], "format": "date-time"},
            "letters": {"type": "object", "properties": {"path": {"type": "string"}}},
            "options": {"type": "object", "secret": True},
            "verify": {"type": "boolean", "title": "Check the certificate"},
        },
        "required": ["host", "spreadsheet_id"],
        "oneOf": [{"required": ["api_key"]}, {"required": ["letters.path"]}],
    }

    def discover_streams(self):
        """Offer nothing."""
        return []


@pytest.fixture
def root(tmp_path, sync, monkeypatch):
    """Lay out a repository with one tap."""
    (tmp_path / "taps/tap-toy").mkdir(parents=True)
    (tmp_path / "meltano.yml").write_text(PROJECT)
    (tmp_path / "pyproject.toml").write_text('version = "1.2"\n')
    (tmp_path / "taps/tap-toy/README.md").write_text("# Toy\n")
    shutil.copy(tmp_path / "pyproject.toml", tmp_path / "taps/tap-toy")
    monkeypatch.setattr(sync, "ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "tap_toy.tap", sys.modules[__name__])
    return tmp_path


def by_name(settings):
    """Index settings."""
    return {setting["name"]: setting for setting in settings}


def hub(root):
    """Read the generated definition."""
    return yaml.safe_load((root / "plugins/extractors/tap-toy--dativo.yml").read_text())


@pytest.mark.usefixtures("root")
def test_check_passes_only_after_generation(sync, capsys):
    """A drift is shown and fails; what was generated is stable."""
    assert sync.main(["--check"]) == 1
    assert "run make generate" in capsys.readouterr().out

    assert sync.main([]) == 0
    assert sync.main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_check_shows_a_setting_that_changed(root, sync, capsys):
    """The diff names the file and the line."""
    sync.main([])
    readme = root / "taps/tap-toy/README.md"
    readme.write_text(readme.read_text().replace("`0.5`", "`0.6`"))

    assert sync.main(["--check"]) == 1
    assert "-| `share` | decimal | `0.6` |  |" in capsys.readouterr().out


def test_readme_table_is_filled_between_its_marks(root, sync):
    """Words around the table stay; pipes, tags and line ends cannot break it."""
    readme = root / "taps/tap-toy/README.md"
    readme.write_text(f"# Toy\n\n{sync.BEGIN}\nold\n{sync.END}\n\n## Limits\n")
    sync.main([])
    lines = readme.read_text().splitlines()

    assert lines[0] == "# Toy"
    assert lines[-1] == "## Limits"
    assert "| `host` | string | `here` | A host. |" in lines
    assert r"| `spreadsheet_id` | string | required | `<a>` \| &lt;b>. |" in lines
    assert "| `mode` | `on` or `off` |  |  |" in lines
    assert "| `api_key` | string, secret |  |  |" in lines
    assert "old" not in lines


def test_hub_definition_speaks_meltano(root, sync):
    """Kinds, choices and secrets come from the schema, never from a name."""
    sync.main([])
    definition = hub(root)
    settings = by_name(definition["settings"])

    assert definition["description"] == "Singer tap for toys."
    assert definition["pip_url"] == "dativo-tap-toy"
    assert definition["settings_group_validation"] == [
        ["spreadsheet_id", "api_key"],
        ["spreadsheet_id", "letters.path"],
    ]
    assert settings["api_key"]["sensitive"] is True
    assert settings["spreadsheet_id"]["kind"] == "string"
    assert "sensitive" not in settings["spreadsheet_id"]
    assert settings["options"]["sensitive"] is True
    assert [choice["value"] for choice in settings["mode"]["options"]] == ["on", "off"]
    assert settings["share"]["value"] == 0.5
    assert settings["since"]["kind"] == "date_iso8601"
    assert settings["letters.path"]["label"] == "Letters Path"
    assert settings["verify"]["label"] == "Check the certificate"
    assert settings["stream_maps"]["kind"] == "object"


def test_hub_definition_keeps_words_written_by_hand(root, sync):
    """A label is ours to choose; a fact is not."""
    path = root / "plugins/extractors/tap-toy--dativo.yml"
    path.parent.mkdir(parents=True)
    path.write_text("label: Toys and Games\nname: wrong\n")
    sync.main([])

    assert hub(root)["label"] == "Toys and Games"
    assert hub(root)["name"] == "tap-toy"


def test_meltano_project_keeps_all_that_is_not_generated(root, sync):
    """Comments outside, other plugins and the user's own config survive."""
    sync.main([])
    text = (root / "meltano.yml").read_text()
    plugins = yaml.safe_load(text)["plugins"]
    (toy,) = plugins["extractors"]

    assert text.startswith("# Ours.\ndefault_environment: dev\n\nplugins:\n")
    assert text.endswith("\n# The end.\njobs: []\n")
    assert plugins["loaders"] == [
        {"name": "target-alias", "inherit_from": "target-other"}
    ]
    assert toy["config"] == {"host": "db"}
    assert toy["pip_url"] == "-e taps/tap-toy"
    assert by_name(toy["settings"])["host"]["value"] == "here"


def test_meltano_project_may_be_laid_out_anew(root, sync):
    """Meltano rewrites the file in its own style, which is no drift."""
    sync.main([])
    project = root / "meltano.yml"
    project.write_text(yaml.safe_dump(yaml.safe_load(project.read_text()), width=20))

    assert sync.main(["--check"]) == 0


def test_meltano_project_gets_a_plugin_it_does_not_list(root, sync):
    """A new tap needs no entry by hand."""
    (root / "meltano.yml").write_text("plugins:\n  loaders: []\n")
    sync.main([])

    (toy,) = yaml.safe_load((root / "meltano.yml").read_text())["plugins"]["extractors"]
    assert toy["executable"] == "tap-toy"


def test_every_package_has_the_version_of_the_repository(root, sync, capsys):
    """One version for all, and the odd one is named."""
    sync.main([])
    (root / "taps/tap-toy/pyproject.toml").write_text('version = "1.3"\n')

    assert sync.main(["--check"]) == 1
    assert "1.3 taps/tap-toy/pyproject.toml" in capsys.readouterr().out


def test_repository_is_up_to_date():
    """`make generate` would change nothing."""
    # A process of its own: what a plugin reports must not depend on other tests.
    command = [sys.executable, ROOT / "plugins/sync.py", "--check"]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)

    assert checked.stdout + checked.stderr == ""
    assert checked.returncode == 0
