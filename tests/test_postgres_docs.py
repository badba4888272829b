"""The PostgreSQL page: its table is generated, and its statements work."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from dativo_cli.main import dativo
from tap_postgres.tap import TapPostgres

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/connectors/POSTGRES.md"
CHECK = [sys.executable, ROOT / "docs/generate.py", "--check"]


@pytest.fixture
def shop(postgres_server):
    """The database of the page, with a table and its owner; gone afterwards."""
    shop = postgres_server.create_database("shop")
    shop.execute(
        "CREATE ROLE shop_owner; GRANT ALL ON SCHEMA public TO shop_owner; "
        "SET ROLE shop_owner; CREATE TABLE orders (id int PRIMARY KEY, at timestamptz);"
        "INSERT INTO orders VALUES (1, now())"
    )
    yield shop
    shop.execute(
        "DROP OWNED BY dativo_reader; DROP OWNED BY shop_owner; "
        "DROP ROLE dativo_reader, shop_owner"
    )
    postgres_server.drop_database("shop")


def blocks(language):
    """Return the page's blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_table_of_values_is_up_to_date():
    """`make generate` would change nothing."""
    checked = subprocess.run(CHECK, check=False, capture_output=True, text=True)

    assert checked.stdout + checked.stderr == ""
    assert checked.returncode == 0


def test_a_changed_table_is_noticed(tmp_path):
    """The check shows the line and fails; generating repairs it."""
    (tmp_path / "docs/connectors").mkdir(parents=True)
    copy = tmp_path / "docs/generate.py"
    copy.write_text((ROOT / "docs/generate.py").read_text())
    pages = [path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md")]
    sources = ("tests/corpus/cases.py", "tests/endings/cells.py")
    for other in (*pages, *sources):
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_text((ROOT / other).read_text())
    page = tmp_path / "docs/connectors/POSTGRES.md"
    page.write_text(PAGE.read_text().replace("All 64 bits", "").replace("Exact", "?"))
    command = [sys.executable, copy]

    checked = subprocess.run(
        [*command, "--check"], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 1
    assert "+| `int2` |" in checked.stdout
    assert subprocess.run(command, check=False).returncode == 0
    assert page.read_text() == PAGE.read_text()


def test_the_role_of_the_page_reads_and_no_more(shop, caplog):
    """Its grants suffice for tables there are and will be, without a warning."""
    [grants] = blocks("sql")
    shop.execute(grants)
    shop.execute(
        "SET ROLE shop_owner; CREATE TABLE later (id int PRIMARY KEY, at timestamptz)"
    )
    [password] = re.findall(r"PASSWORD '(.*)'", grants)
    config = {**shop.tap_config(), "user": "dativo_reader", "password": password}
    catalog = TapPostgres(config=config, setup_mapper=False).catalog_dict
    for entry in catalog["streams"]:
        entry |= {"replication_method": "INCREMENTAL", "replication_key": "at"}
    caplog.set_level(logging.WARNING)

    TapPostgres(config=config, catalog=catalog).sync_all()

    assert [e["tap_stream_id"] for e in catalog["streams"]] == [
        "public-later",
        "public-orders",
    ]
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []
    with pytest.raises(Exception, match="permission denied"):
        shop.execute("SET ROLE dativo_reader; DELETE FROM orders")


def test_the_doctor_of_the_page_is_content(shop, tmp_path, monkeypatch):
    """With the role of the page."""
    [grants] = blocks("sql")
    shop.execute(grants)
    [password] = re.findall(r"PASSWORD '(.*)'", grants)
    config = {**shop.tap_config(), "user": "dativo_reader", "password": password}
    [command] = re.findall(r"(?m)^dativo (doctor .*)$", PAGE.read_text())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tap.json").write_text(json.dumps(config))

    done = CliRunner().invoke(dativo, command.split(), catch_exceptions=False)

    assert "tables           1 readable (0 views), 0 not readable" in done.output
    assert done.output.endswith("The source is in good shape.\n")


def test_the_settings_of_the_page_are_settings():
    """None is misspelt, and each has a value that the tap takes."""
    for text in blocks("json"):
        config = {"user": "u", "database": "d", **json.loads(text)}
        assert TapPostgres(config=config, setup_mapper=False).config.items() >= (
            config.items()
        )
