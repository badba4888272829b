"""Make an Iceberg table out of a Parquet folder, without writing a data file anew.

The files have no field ids, so the table gets a name mapping; the columns that are in
the folders' names become identity partitions, whose values readers take from the
metadata. The folder's log is closed first: a run that is loading it is fenced, and
whatever happens then, nobody can add rows that the Iceberg table would not have.
"""

from __future__ import annotations

import contextlib
import json
import typing as t
import uuid

import pyarrow as pa
from dativo_core.errors import ConfigurationError
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import TableProperties
from pyiceberg.typedef import Record
from sqlalchemy.exc import IntegrityError

from target_parquet_iceberg.catalogs import is_remote, local, open_catalog
from target_parquet_iceberg.failures import explained
from target_parquet_iceberg.iceberg import TABLE_PROPERTIES
from target_parquet_iceberg.inventory import in_parallel
from target_parquet_iceberg.layout import Layout, Partition
from target_parquet_iceberg.parquet_entry import from_text
from target_parquet_iceberg.parquet_files import Files
from target_parquet_iceberg.parquet_log import Log
from target_parquet_iceberg.parquet_store import open_stores
from target_parquet_iceberg.reconcile import creation
from target_parquet_iceberg.settings import with_defaults
from target_parquet_iceberg.snapshots import Delta, SnapshotWriter
from target_parquet_iceberg.staging import (
    APPENDED,
    REPLAYS,
    ROWS,
    RUN_ID,
    SEQUENCE,
    STATE,
    STREAM,
)
from target_parquet_iceberg.transforms import physical

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction

    from target_parquet_iceberg.parquet_entry import Entry, LiveFile
    from target_parquet_iceberg.parquet_store import Store

PROMOTION_RUN = "promotion"


def promote(
    config: Mapping[str, t.Any], name: str, pause: Callable[[int], None]
) -> Entry:
    """Make the folder of a table an Iceberg table of the configured catalog.

    Repeat it after a failure: it goes on where it stopped.

    Returns:
        The table as it was promoted.

    Raises:
        ConfigurationError: if there is no such folder, or it cannot become a table.
        FencedError: if a run commits to the folder at this moment.
    """
    settings = with_defaults(config)
    namespace = settings["namespace"]
    with explained(settings["warehouse"]):
        store = open_stores(settings)(f"{namespace}/{name}")
        log = Log(store, f"{namespace}.{name}", pause)
        entry = log.newest()
        if entry is None:
            what = f"There is no Parquet table '{name}' in {settings['warehouse']}."
            hint = "Look for its folder below the warehouse and the namespace."
            raise ConfigurationError(what, hint=hint)
        _check(entry, name)
        catalog = open_catalog(settings)
        table = Promotion(catalog, (namespace, name), _location(settings, name))
        if table.is_done(entry):
            return entry
        files = Files(store, PROMOTION_RUN)
        files.roll_forward(entry)
        strays = files.strays(entry)
        table.prepare(entry, store)
        if entry.promoted_to is None:
            entry = _close(log, entry, f"{namespace}.{name}")
        files.clear(strays)
        table.create(entry)
        return entry


class Promotion:
    """One Iceberg table in the making.

    Args:
        catalog: Where it will be.
        identifier: Its namespace and name there.
        location: The folder that holds its files.
    """

    def __init__(
        self, catalog: Catalog, identifier: tuple[str, str], location: str
    ) -> None:
        self._catalog = catalog
        self._identifier = identifier
        self._location = location
        self._files: tuple[DataFile, ...] = ()

    def is_done(self, entry: Entry) -> bool:
        """Tell whether an earlier call has made the table.

        Raises:
            ConfigurationError: if the catalog has another table of that name.
        """
        try:
            found = self._catalog.load_table(self._identifier)
        except NoSuchTableError:
            return False
        if entry.promoted_to is not None and found.location() == self._location:
            return True
        what = f"The catalog has a table {'.'.join(self._identifier)} already."
        raise ConfigurationError(what, hint="Drop or rename it there first.")

    def prepare(self, entry: Entry, store: Store) -> None:
        """Describe the files, which reads their footers; changes nothing."""
        schema, _, _ = creation(entry.columns, _layout(entry))
        describe = Description(store, schema, self._location, entry)
        self._files = tuple(in_parallel(describe, entry.files))

    def create(self, entry: Entry) -> None:
        """Commit the table with its files, bookmark and fence, all in one."""
        with contextlib.suppress(NamespaceAlreadyExistsError, IntegrityError):
            self._catalog.create_namespace(self._identifier[0])
        transaction = self._transaction(entry)
        properties = _properties(entry)
        ledger = {APPENDED: entry.appended} if entry.appended else {}
        transaction.set_properties(
            {
                **properties,
                **ledger,
                TableProperties.DEFAULT_NAME_MAPPING: (
                    transaction.table_metadata.schema().name_mapping.model_dump_json()
                ),
            }
        )
        writer = SnapshotWriter(transaction)
        rows = sum(file.rows for file in entry.files)
        writer.commit(Delta(self._files), {**properties, ROWS: str(rows)})
        try:
            transaction.commit_transaction()
        except (TableAlreadyExistsError, CommitFailedException):
            if not self.is_done(entry):  # by a second copy of this command
                raise

    def _transaction(self, entry: Entry) -> Transaction:
        schema, spec, order = creation(entry.columns, _layout(entry))
        return self._catalog.create_table_transaction(
            self._identifier,
            schema,
            location=self._location,
            partition_spec=spec,
            sort_order=order,
            properties=TABLE_PROPERTIES,
        )


class Description:
    """Describes files as Iceberg's metadata does."""

    def __init__(
        self, store: Store, schema: Schema, location: str, entry: Entry
    ) -> None:
        self._store = store
        self._location = location
        self._columns = entry.columns
        self._partition_by = entry.partition_by
        self._plan = compute_statistics_plan(schema, {})
        self._ids = parquet_path_to_id_mapping(schema)

    def __call__(self, file: LiveFile) -> DataFile:
        """Return a file's path, size, partition and statistics."""
        with self._store.open(file.path) as opened:
            statistics = data_file_statistics_from_parquet_metadata(
                opened.metadata, self._plan, self._ids
            )
        described = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=f"{self._location}/{file.path}",
            file_format=FileFormat.PARQUET,
            partition=self._partition(file),
            file_size_in_bytes=file.bytes,
            sort_order_id=None,
            spec_id=0,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )
        described.spec_id = 0
        return described

    def _partition(self, file: LiveFile) -> Record:
        values = [
            from_text([file.partition[name]], self._columns.field(name).type)
            for name in self._partition_by
        ]
        return Record(*(physical(value).to_pylist()[0] for value in values))


def _check(entry: Entry, name: str) -> None:
    """Refuse what cannot become a table, before anything is changed."""
    fields = {field.name: field.type for field in entry.columns}
    for column in entry.partition_by:
        if pa.types.is_floating(fields[column]):
            what = (
                f"Table '{name}': {column!r} is a float, and no partition of Iceberg."
            )
            hint = "Load it once with another partition_by and load_method overwrite."
            raise ConfigurationError(what, hint=hint)


def _close(log: Log, entry: Entry, title: str) -> Entry:
    run_id = f"{PROMOTION_RUN}-{uuid.uuid4().hex[:8]}"
    following = entry.then(run_id, promoted_to=title)
    log.append(following)
    return following


def _layout(entry: Entry) -> Layout:
    partitions = tuple(Partition(column) for column in entry.partition_by)
    return Layout(partitions=partitions or None)


def _properties(entry: Entry) -> dict[str, str]:
    properties = {
        STREAM: entry.stream,
        RUN_ID: entry.run_id,
        SEQUENCE: str(entry.sequence),
    }
    if entry.state is not None:
        properties[STATE] = json.dumps(entry.state, sort_keys=True)
    if entry.replays:
        properties[REPLAYS] = json.dumps(entry.replays)
    return properties


def _location(settings: Mapping[str, t.Any], name: str) -> str:
    warehouse = settings["warehouse"].rstrip("/")
    # As `catalogs` writes it: PyIceberg would take `%20` for the name of the folder.
    base = warehouse if is_remote(warehouse) else f"file://{local(warehouse)}"
    return f"{base}/{settings['namespace']}/{name}"
