"""The MySQL page: its statements make a user that can do all that it promises."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from dativo_cli.main import dativo
from tap_mysql.tap import TapMySQL

PAGE = Path(__file__).resolve().parent.parent / "docs/connectors/MYSQL.md"


@pytest.fixture
def shop(mariadb_server):
    """The database of the page, with a table and a view; gone afterwards."""
    shop = mariadb_server.create_database("shop")
    shop.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, at timestamp(6) NOT NULL);"
        "INSERT INTO orders SELECT seq, NOW(6) FROM seq_1_to_300;"
        "ANALYZE TABLE orders; CREATE VIEW dear AS SELECT * FROM orders"
    )
    yield shop
    shop.execute("DROP USER dativo_reader")
    mariadb_server.drop_database("shop")


def test_the_user_of_the_page_can_do_everything(shop, caplog, capsysbinary):
    """Read tables and views, see transactions, and read chunks of one moment."""
    [statements] = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    shop.execute(statements)
    config = {
        **shop.tap_config(),
        "user": "dativo_reader",
        "password": "change me",
        "parallel_chunks": 2,
        "state_interval_rows": 100,
    }
    tap = TapMySQL(config=config)

    with caplog.at_level(logging.WARNING):
        tap.sync_all()
        TapMySQL(config=config).run_connection_test()

    assert sorted(tap.streams) == ["shop-dear", "shop-orders"]
    assert capsysbinary.readouterr().out.count(b'"RECORD"') == 602
    said = [record.message for record in caplog.records]
    assert not [line for line in said if "GRANT" in line or "one connection" in line]


def test_the_doctor_of_the_page_is_content(shop, tmp_path, monkeypatch):
    """With the user of the page, all that is left is a small packet."""
    text = PAGE.read_text()
    [statements] = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    [command] = re.findall(r"^dativo (doctor tap-mysql .*)$", text, re.MULTILINE)
    shop.execute(statements)
    settings = {"user": "dativo_reader", "password": "change me"}
    config = {**shop.tap_config(), **settings, "parallel_chunks": 2}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))

    done = CliRunner().invoke(dativo, command.split(), catch_exceptions=False)

    assert "tables           2 readable (1 views), 0 not readable" in done.output
    said = [line for line in done.output.splitlines() if line.startswith("! ")]
    assert [line for line in said if "A row longer than" not in line] == []


def test_the_page_names_every_privilege_that_a_message_asks_for():
    """Whoever follows it meets no such message."""
    page = PAGE.read_text()

    assert all(f"GRANT {name}" in page for name in ("SELECT", "PROCESS", "LOCK TABLES"))
