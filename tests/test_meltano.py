"""The plugins as Meltano installs, configures, selects and runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from dativo_sandbox.lake import lake

ORDERS = """
CREATE TABLE orders (
  id int PRIMARY KEY, item text, secret text,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
INSERT INTO orders SELECT n, 'item ' || n, 'x' FROM generate_series(1, 100) n
"""
POSTGRES = ("tap-postgres", "target-dativo")
STATE_ID = "dev:tap-postgres-to-target-dativo"
PATIENCE_SECONDS = 300


@dataclass
class Project:
    """A Meltano project with both plugins installed."""

    folder: Path
    program: Path
    environment: dict

    def __call__(self, *arguments, code=0, **extra):
        """Run a command of Meltano, which must end with the code."""
        done = subprocess.run(
            [self.program, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment, **extra},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def run(self, *words, **extra):
        """Run a job, or a tap and the target; return how many records it took."""
        done = self("run", *(words or POSTGRES), **extra)
        [count] = re.findall(r"Stream '\S+-orders': (\d+) records", done.stderr)
        return int(count)

    def rows(self, sql):
        """Return what DuckDB reads."""
        with lake(self.folder / "output" / "lake") as engine:
            return engine.execute(sql).fetchall()


@pytest.fixture
def meltano(project, database):
    """A project that reads a database with one table."""
    database.execute(ORDERS)
    settings = {
        f"TAP_POSTGRES_{name.upper()}": str(value)
        for name, value in database.tap_config().items()
    }
    settings |= {
        "TAP_POSTGRES__METADATA": json.dumps(
            {
                "public-orders": {
                    "replication-method": "INCREMENTAL",
                    "replication-key": "updated_at",
                }
            }
        ),
        "TAP_POSTGRES_FILTER_SCHEMAS": '["public"]',
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "NO_COLOR": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    meltano = Project(project, Path(sys.executable).with_name("meltano"), settings)
    meltano("install")
    return meltano


def test_a_project_from_install_to_full_refresh(meltano, database):
    """Install, test, run, again as a job, look at the state, and start over."""
    meltano("config", "test", "tap-postgres")

    assert meltano.run() == 100
    database.execute(
        "UPDATE orders SET item = 'new', updated_at = clock_timestamp() WHERE id < 4;"
        "INSERT INTO orders VALUES (101, 'more', 'x')"
    )
    assert meltano.run("postgres-to-lake") == 4
    check = "SELECT count(*), count(DISTINCT id), count(*) FILTER (item = 'new')"
    assert meltano.rows(f"{check} FROM lake.public_orders") == [(101, 101, 3)]

    assert STATE_ID in meltano("state", "list").stdout
    state = json.loads(meltano("state", "get", STATE_ID).stdout)
    bookmark = state["singer_state"]["bookmarks"]["public-orders"]
    assert bookmark["replication_key"] == "updated_at"
    [[newest]] = database.query("SELECT max(updated_at)::text FROM orders")
    assert bookmark["replication_key_value"].startswith(newest[:10])

    assert meltano.run("--full-refresh", *POSTGRES) == 101
    assert meltano.rows(f"{check} FROM lake.public_orders") == [(101, 101, 3)]


def test_mysql_runs_the_same_way(project, mariadb):
    """Install, test, run, and again as a job: the ties at the bookmark come again."""
    mariadb.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, item text, "
        "updated_at timestamp(6) NOT NULL DEFAULT NOW(6)); "
        "INSERT INTO orders (id, item) SELECT seq, 'x' FROM seq_1_to_100"
    )
    stream = f"{mariadb.name}-orders"
    method = {"replication-method": "INCREMENTAL", "replication-key": "id"}
    settings = {
        f"TAP_MYSQL_{name.upper()}": str(value)
        for name, value in mariadb.tap_config().items()
    }
    meltano = Project(
        project,
        Path(sys.executable).with_name("meltano"),
        {
            **settings,
            "TAP_MYSQL__METADATA": json.dumps({stream: method}),
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "NO_COLOR": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        },
    )
    meltano("install", "extractor", "tap-mysql")
    meltano("install", "loader", "target-dativo")
    meltano("config", "test", "tap-mysql")

    assert meltano.run("tap-mysql", "target-dativo") == 100
    mariadb.execute("INSERT INTO orders (id, item) VALUES (101, 'new')")
    assert meltano.run("mysql-to-lake") == 2
    counted = "SELECT count(*), count(DISTINCT id), max(item)"
    assert meltano.rows(f"{counted} FROM lake.{mariadb.name}_orders") == [
        (101, 101, "x")
    ]


def test_a_deselected_column_is_not_in_the_table(meltano):
    """`meltano select --exclude` keeps a column out of the lake."""
    meltano("select", "tap-postgres", "public-orders", "*")
    meltano("select", "tap-postgres", "--exclude", "public-orders", "secret")
    listed = meltano("select", "tap-postgres", "--list", "--all").stdout
    assert re.search(r"\[excluded *\] *public-orders\.secret", listed)
    assert meltano.run() == 100
    columns = [row[0] for row in meltano.rows("DESCRIBE lake.public_orders")]
    assert columns == ["id", "item", "updated_at"]


def test_a_failing_run_says_why(meltano):
    """Meltano fails with the tap, and shows its one line."""
    wrong = {"TAP_POSTGRES_PASSWORD": "open sesame"}
    done = meltano("run", "tap-postgres", "target-dativo", code=1, **wrong)
    said = done.stdout + done.stderr
    assert "returned 77" in said
    assert "password authentication failed" in said
    assert "Check the settings user and password" in said
    assert "sesame" not in said
    done = meltano("config", "test", "tap-postgres", code=1, **wrong)
    assert "password authentication failed" in done.stdout + done.stderr


def test_a_failing_plugin_has_its_code_in_the_log(meltano):
    """Meltano's own code is 1, and its log names the target's."""
    wrong = {"TARGET_DATIVO_WAREHOUSE": "/dev/null/lake"}
    command = ("--log-format=json", "run", "tap-postgres", "target-dativo")
    done = meltano(*command, code=1, **wrong)
    said = done.stdout + done.stderr
    assert "cannot be written" in said
    lines = [json.loads(line) for line in said.splitlines() if "exit_codes" in line]
    assert [line["exit_codes"] for line in lines] == [{"loaders": 78}]
