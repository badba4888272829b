"""Open the Iceberg catalog that the settings name, with defaults that hold."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import typing as t
import weakref
from pathlib import Path

from dativo_core import logs
from dativo_core.errors import ConfigurationError

from target_parquet_iceberg.object_storage import prepare, storage_properties, text

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.catalog import Catalog

NAME = "dativo"
BUSY_SECONDS = 60
_CUT = "#?\t\n\r"
FILE_IO = f"{__package__}.file_io.FrugalFileIO"
# What a catalog needs beyond this program, and the extra that brings it.
EXTRAS = {"psycopg2": "postgres", "boto3": "glue"}


def is_remote(warehouse: str) -> bool:
    """Tell whether the warehouse is a URL, not a folder of this machine."""
    return "://" in warehouse and not warehouse.startswith("file://")


def properties(settings: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the PyIceberg properties of the catalog.

    Raises:
        ConfigurationError: if a warehouse on S3 has no catalog setting, or names are
            none that PyIceberg can work with.
    """
    _check_names(settings)
    warehouse = settings["warehouse"].rstrip("/")
    given = settings.get("catalog", {}).items()
    chosen = {name: _property(value) for name, value in given if name != "name"}
    storage = storage_properties(settings.get("storage_options", {}))
    if "type" not in chosen and "uri" not in chosen:
        chosen |= _sqlite(warehouse)
    return {
        "warehouse": _location(warehouse),
        "py-io-impl": FILE_IO,
        **storage,
        **chosen,
    }


def _check_names(settings: Mapping[str, t.Any]) -> None:
    namespace = settings.get("namespace", NAME)
    for setting, name in (
        ("warehouse", _location(settings["warehouse"])),
        ("namespace", namespace),
    ):
        odd = next((c for c in name if c in _CUT), None)
        if odd is not None:  # all files would have the name that comes before it
            what = f"Setting {setting}: {name!r} has {odd!r}, where PyIceberg cuts it."
            raise ConfigurationError(what, hint="Take another name for the folder.")
    if not all(part.strip() for part in namespace.split(".")):
        what = f"Setting namespace: {namespace!r} is no name."
        raise ConfigurationError(what, hint="Give it one, such as lake or a.b.")


def _sqlite(warehouse: str) -> dict[str, str]:
    if is_remote(warehouse):
        msg = f"Warehouse {warehouse} has no catalog."
        hint = (
            "Set catalog, for example {type: rest, uri: ...} or "
            "{type: sql, uri: 'postgresql+psycopg2://...'}; or set format: parquet."
        )
        raise ConfigurationError(msg, hint=hint)
    return {"type": "sql", "uri": f"sqlite:///{local(warehouse) / 'catalog.db'}"}


def local(warehouse: str) -> Path:
    """Return a local warehouse as an absolute path."""
    return Path(warehouse.removeprefix("file://")).expanduser().resolve()


def _location(warehouse: str) -> str:
    # Not as_uri(): PyIceberg would take `%20` for the name of the folder.
    return warehouse if is_remote(warehouse) else f"file://{local(warehouse)}"


def _property(value: t.Any) -> t.Any:
    # A few are nested, such as `ssl`.
    return value if isinstance(value, dict) else text(value)


def check_there(settings: Mapping[str, t.Any]) -> None:
    """Refuse a local warehouse that is not there: to open it would be to make it.

    Raises:
        ConfigurationError: naming the folder.
    """
    warehouse = settings["warehouse"]
    is_elsewhere = settings.get("catalog") or is_remote(warehouse)
    if not (is_elsewhere or local(warehouse).is_dir()):
        msg = f"There is no warehouse at {local(warehouse)}."
        raise ConfigurationError(msg, hint="Name it with --warehouse or --config.")


def open_catalog(settings: Mapping[str, t.Any]) -> Catalog:
    """Connect to the catalog; a local warehouse is made where it does not exist."""
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 it takes half a second

    found = properties(settings)
    if not is_remote(settings["warehouse"]):
        local(settings["warehouse"]).mkdir(parents=True, exist_ok=True)
    prepare(found)
    _hush()
    name = settings.get("catalog", {}).get("name", NAME)
    if found.get("uri", "").startswith("sqlite"):
        return _open_sqlite(name, found)
    from sqlalchemy.exc import IntegrityError, ProgrammingError  # noqa: PLC0415

    from target_parquet_iceberg import rest, sql_catalog  # noqa: PLC0415 as above

    rest.install()
    sql_catalog.install()
    with _drivers():
        try:
            return load_catalog(name, **found)
        except (IntegrityError, ProgrammingError):
            # Another first run has made the catalog's own tables at the same moment.
            return load_catalog(name, **found)


def _hush() -> None:
    # It tells how files are read for every table that is opened.
    if not logs.is_debug():
        logging.getLogger("pyiceberg.io").setLevel(logging.WARNING)


@contextlib.contextmanager
def _drivers() -> Iterator[None]:
    """Say which extra brings the driver that is missing."""
    from pyiceberg.exceptions import NotInstalledError  # noqa: PLC0415 as above

    try:
        yield
    except (ModuleNotFoundError, NotInstalledError) as error:
        # PyIceberg's own hint is about its extras.
        module = getattr(error.__cause__ or error, "name", None)
        if module not in EXTRAS:
            raise
        what = f"This catalog needs the package {module}, which is not installed."
        hint = f"Run: pip install 'dativo-target-parquet-iceberg[{EXTRAS[module]}]'."
        raise ConfigurationError(what, hint=hint) from error


def _open_sqlite(name: str, found: dict[str, t.Any]) -> Catalog:
    """Open a catalog in a file that several runs may use at once.

    PyIceberg sets neither WAL nor a busy timeout: concurrent runs would fail with
    "database is locked".
    """
    uri = found["uri"]
    separator = "&" if "?" in uri else "?"
    timed = {**found, "uri": f"{uri}{separator}timeout={BUSY_SECONDS}"}
    file = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    # Two runs that make the file at the same moment would both create its tables.
    with _alone(file.with_name(f".{file.name}.lock")):
        return _open_waiting(name, timed)


def _open_waiting(name: str, found: dict[str, t.Any]) -> Catalog:
    from sqlalchemy import text  # noqa: PLC0415

    from target_parquet_iceberg.sql_catalog import LightSqlCatalog  # noqa: PLC0415

    catalog = LightSqlCatalog(name, **found)
    # What is still in the WAL at the end is lost to who copies the file alone.
    weakref.finalize(catalog, catalog.engine.dispose)
    with catalog.engine.connect() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
    return catalog


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    if not path.parent.is_dir():
        yield  # the catalog itself will say so
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
