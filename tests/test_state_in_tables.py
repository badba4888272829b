"""The bookmark is in the table: it outlives Meltano's database and other engines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml
from dativo_sandbox.lake import lake
from target_parquet_iceberg.catalogs import open_catalog

CHAOS = Path(__file__).with_name("chaos")
PROGRAMS = Path(sys.executable).parent
PATIENCE_SECONDS = 240
STATE_ID = "dev:tap-rows-to-target-dativo"
# A tap whose source holds $ROWS rows, with a STATE after every tenth.
TAP = f"""#!{sys.executable}
import argparse, json, os, sys
sys.path.insert(0, {str(CHAOS)!r})
import generator
parser = argparse.ArgumentParser()
for option in ("--config", "--state"):
    parser.add_argument(option, default=os.devnull)
text = open(parser.parse_known_args()[0].state).read()
generator.bad = lambda *_: None
generator.main("keyed", int(os.environ["ROWS"]), 10, 0, 1, json.loads(text or "{{}}"))
"""


class Project:
    """A Meltano project with a tap that makes rows."""

    def __init__(self, folder):
        self.folder = folder
        self.warehouse = folder / "lake"
        tap = folder / "tap.py"
        tap.write_text(TAP)
        tap.chmod(0o755)
        target = {"name": "target-dativo", "namespace": "target_dativo"}
        target |= {"executable": str(PROGRAMS / "target-dativo")}
        target |= {"config": {"warehouse": str(self.warehouse), "commit_max_rows": 10}}
        target |= {"settings": [{"name": n} for n in target["config"]]}
        target["config"]["load_method"] = "append-only"
        target["settings"].append({"name": "load_method"})
        source = {"name": "tap-rows", "namespace": "tap_rows", "executable": str(tap)}
        source["capabilities"] = ["state"]
        content = {
            "default_environment": "dev",
            "project_id": "rows",
            "environments": [{"name": "dev"}],
            "plugins": {"extractors": [source], "loaders": [target]},
        }
        (folder / "meltano.yml").write_text(yaml.safe_dump(content))

    def __call__(self, *command, **extra):
        """Run a command, which must succeed; return what it said."""
        environment = {
            **os.environ,
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "NO_COLOR": "1",
            **extra,
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def run(self, rows, **extra):
        """Run the pipeline; return how many records the tap sent."""
        pipeline = ("meltano", "run", "tap-rows", "target-dativo")
        done = self(*pipeline, ROWS=str(rows), **extra)
        [count] = re.findall(r"Stream 't': (\d+) records", done.stderr)
        with lake(self.warehouse) as engine:
            found = engine.execute("SELECT id FROM lake.t ORDER BY id").fetchall()
        assert found == [(number,) for number in range(rows)]
        return int(count)

    def lose_database(self):
        """Delete all that Meltano remembers."""
        for file in (self.folder / ".meltano").glob("meltano.db*"):
            file.unlink()


@pytest.fixture
def project(tmp_path):
    """A Meltano project that needs no installation."""
    return Project(tmp_path)


def test_a_deleted_database_is_rebuilt_from_the_tables(project):
    """`dativo state recover` gives Meltano its state back; the run goes on from it."""
    assert project.run(25) == 25
    project.lose_database()
    warehouse = f"--warehouse={project.warehouse}"
    said = project("dativo", "state", "recover", STATE_ID, warehouse).stdout
    assert said == f"{STATE_ID}: 1 bookmarks recovered from the tables.\n"
    assert project.run(32) == 8  # the row at the bookmark, and seven new ones


def test_the_tables_are_the_state_backend(project):
    """With the backend no second copy exists, and there is nothing to recover."""
    backend = {"MELTANO_STATE_BACKEND_URI": f"dativo://{project.warehouse}"}
    assert project.run(25, **backend) == 25
    project.lose_database()
    assert project.run(32, **backend) == 8
    got = project("meltano", "state", "get", STATE_ID, **backend).stdout
    bookmark = {"replication_key": "n", "replication_key_value": 32}
    assert json.loads(got) == {"singer_state": {"bookmarks": {"t": bookmark}}}


@pytest.mark.filterwarnings("ignore:Parquet writer option")  # it has no bloom filters
def test_state_survives_expiry_and_a_rewrite_by_another_engine(project):
    """The snapshots that had the bookmark are gone, and the bookmark is there."""
    project.run(25)
    with open_catalog({"warehouse": str(project.warehouse)}) as catalog:
        table = catalog.load_table("lake.t")
        table.overwrite(table.scan().to_arrow())
        table.manage_snapshots().remove_tag("dativo-fence").commit()
        table.maintenance.expire_snapshots().older_than(
            datetime.now(timezone.utc).replace(tzinfo=None)
        ).commit()
        [left] = catalog.load_table("lake.t").snapshots()
        assert "dativo.state" not in left.summary.additional_properties
    project.lose_database()
    warehouse = f"--warehouse={project.warehouse}"
    shown = json.loads(project("dativo", "state", "show", warehouse).stdout)
    assert shown["bookmarks"]["t"]["replication_key_value"] == 25
    project("dativo", "state", "recover", STATE_ID, warehouse)
    assert project.run(32) == 8
