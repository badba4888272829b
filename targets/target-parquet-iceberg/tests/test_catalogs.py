"""Which catalog a run gets, and real ones behind S3."""

from __future__ import annotations

import gc
import secrets

import pytest
from dativo_core.errors import ConfigurationError
from dativo_sandbox import lake as engine
from dativo_sandbox.lake import add_view, connect
from pyiceberg.catalog import load_catalog
from target_parquet_iceberg.catalogs import local, open_catalog, properties


def test_default_is_sqlite_in_the_warehouse(tmp_path) -> None:
    """Without a catalog setting it is a SQLite file beside the data."""
    found = properties({"warehouse": str(tmp_path)})
    assert f"sqlite:///{tmp_path}/catalog.db" == found["uri"]
    assert f"file://{tmp_path}" == found["warehouse"]


def test_a_catalog_is_whole_in_its_file(tmp_path) -> None:
    """When nobody has it open any more: who copies the file has all commits."""
    catalog = open_catalog({"warehouse": str(tmp_path)})
    catalog.create_namespace("n")
    assert (tmp_path / "catalog.db-wal").exists()
    del catalog
    gc.collect()
    assert not (tmp_path / "catalog.db-wal").exists()


def test_settings_pass_through() -> None:
    """PyIceberg's names pass, ours are translated, booleans are its texts."""
    settings = {
        "warehouse": "s3://b/w/",
        "catalog": {"type": "rest", "uri": "http://h", "name": "n", "x": True},
        "storage_options": {"endpoint": "http://s", "s3.region": "r"},
    }
    expected = {
        "warehouse": "s3://b/w",
        "py-io-impl": "target_parquet_iceberg.file_io.FrugalFileIO",
        "s3.endpoint": "http://s",
        "s3.region": "r",
        "type": "rest",
        "uri": "http://h",
        "x": "true",
    }
    assert expected == properties(settings)


def test_a_catalog_may_have_its_own_word_for_the_warehouse() -> None:
    """Some servers take a name or an ARN; dead letters need a place all the same."""
    rest = {"type": "rest", "uri": "http://h", "warehouse": "arn:aws:s3tables:x"}
    found = properties({"warehouse": "s3://b/w", "catalog": rest})
    assert found["warehouse"] == "arn:aws:s3tables:x"


def test_s3_without_catalog_is_refused() -> None:
    """A bucket cannot hold a SQLite file: say what to set."""
    with pytest.raises(ConfigurationError, match="has no catalog"):
        properties({"warehouse": "s3://bucket/prefix"})


def test_catalog_name_is_taken(tmp_path) -> None:
    """A `name` in the catalog setting names the catalog."""
    catalog = open_catalog({"warehouse": str(tmp_path), "catalog": {"name": "mine"}})
    assert catalog.name == "mine"
    catalog.close()
    rest = {"type": "in-memory", "name": "memory"}
    with open_catalog({"warehouse": str(tmp_path), "catalog": rest}) as catalog:
        assert catalog.name == "memory"


@pytest.mark.parametrize("name", ["with space", "é 日本", "per%20cent"])
def test_odd_folder_names(new_lake, say, name) -> None:
    """Data lies in the very folder that the setting names."""
    lake = new_lake()
    lake.folder = lake.folder / name
    lines = [say.schema("s", ("id",), id="integer"), say.record("s", id=1)]
    assert lake.load(*lines).code == 0
    assert len(lake.data_files()) == 1
    assert lake.query("SELECT id FROM lake.s") == [(1,)]


@pytest.mark.parametrize(
    "odd", [{"warehouse": "a#b"}, {"warehouse": "a?b"}, {"namespace": "a#b"}], ids=str
)
def test_folder_names_that_would_be_cut_are_refused(tmp_path, lake, say, odd) -> None:
    """Nothing is written beside the folder that the setting names."""
    settings = {name: str(tmp_path / value) for name, value in odd.items()}
    outcome = lake.load(say.schema("s", id="integer"), **settings)
    assert outcome.code == 78
    assert f"Setting {next(iter(odd))}: " in outcome.errors[0]
    assert not list(tmp_path.rglob("*"))


def test_a_relative_warehouse_is_in_a_folder_with_a_name_too(
    tmp_path, lake, say, monkeypatch
) -> None:
    """What counts is where it is, not how it is written."""
    (tmp_path / "c#").mkdir()
    monkeypatch.chdir(tmp_path / "c#")
    assert lake.load(say.schema("s", id="integer"), warehouse="w").code == 78


@pytest.mark.parametrize("name", ["", "..", "a. "])
def test_a_namespace_needs_a_name(lake, say, name) -> None:
    """What an empty variable of the environment gives is refused with words."""
    outcome = lake.load(say.schema("s", id="integer"), namespace=name)
    assert (outcome.code, "Setting namespace: " in outcome.errors[0]) == (78, True)


def test_file_url_and_home(tmp_path, monkeypatch) -> None:
    """A warehouse may be written as a URL or start at home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [tmp_path, tmp_path / "x"] == [local(f"file://{tmp_path}"), local("~/x")]


def test_rest_catalog(seaweed, lake, say) -> None:
    """Two loads through a real REST catalog, on S3, read back by DuckDB."""
    namespace = f"n{secrets.token_hex(4)}"
    where = {
        "warehouse": seaweed.warehouse,
        "catalog": seaweed.rest_catalog_properties(),
        "namespace": namespace,
        "dead_letter": {"path": str(lake.folder)},
    }
    lines = [say.schema("s", ("id",), id="integer", v="string")]
    assert lake.load(*lines, say.record("s", id=1, v="a"), **where).code == 0
    again = [say.record("s", id=1, v="b"), say.record("s", id=2), say.state(s={"v": 1})]
    assert lake.load(*lines, *again, **where).code == 0
    table = load_catalog("r", **seaweed.rest_catalog_properties()).load_table(
        (namespace, "s")
    )
    with connect(seaweed.storage_options()) as duck:
        add_view(duck, "n", "s", table.metadata_location)
        found = duck.execute("SELECT id, v FROM n.s ORDER BY id").fetchall()
    assert found == [(1, "b"), (2, None)]
    assert table.properties["dativo.state"] == '{"v": 1}'


def test_sqlite_catalog_beside_a_bucket(seaweed, bucket_prefix, lake, say) -> None:
    """A warehouse on S3 with its SQLite catalog on the local disk."""
    lake.folder.mkdir()
    where = {
        "warehouse": bucket_prefix,
        "catalog": {"type": "sql", "uri": f"sqlite:///{lake.folder}/catalog.db"},
        "storage_options": seaweed.storage_options(),
    }
    lines = [say.schema("s", ("id",), id="integer"), say.record("s", id=1)]
    assert lake.load(*lines, say.record("s", id="x"), **where).code == 0
    with engine.lake(lake.folder, seaweed.storage_options()) as duck:
        assert duck.execute("SELECT id FROM lake.s").fetchall() == [(1,)]
