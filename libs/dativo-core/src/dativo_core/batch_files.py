"""Write the Parquet files of BATCH messages: streamed, and whole before they are named.

Row groups are encoded on a thread of their own while the source sends the next rows.
"""

from __future__ import annotations

import contextlib
import typing as t
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from dativo_core import heap
from dativo_core.errors import ConfigurationError

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    import pyarrow as pa
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

Settings: t.TypeAlias = "Mapping[str, t.Any]"

DEFAULT_ROWS = 1_000_000
FILE_BYTES = 256 * 2**20
GROUP_BYTES = 48 * 2**20
GROUP_ROWS = 1_048_576
PAGE_BYTES = 2**20
PAGE_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """The SDK's setting `batch_config`, as far as it concerns Parquet.

    Args:
        root: Folder, `file://` or `s3://` URL under which the files go.
        prefix: What their names begin with.
        compression: Codec of Parquet.
        rows: A file ends after about so many.
        params: How to reach S3, in the words of s3fs.
    """

    root: str
    prefix: str = ""
    compression: str = "zstd"
    rows: int = DEFAULT_ROWS
    params: tuple[tuple[str, t.Any], ...] = ()


def batch_config(settings: Settings) -> BatchConfig | None:
    """Read the setting; None if it is not set.

    Raises:
        ConfigurationError: if it asks for what this does not write.
    """
    chosen = settings.get("batch_config")
    if not chosen:
        return None
    encoding, storage = chosen.get("encoding") or {}, chosen.get("storage") or {}
    if encoding.get("format") != "parquet":
        what = f"batch_config.encoding.format is {encoding.get('format')!r}."
        raise ConfigurationError(what, hint="Set it to parquet, the only one there is.")
    if not storage.get("root"):
        what = "batch_config.storage.root is missing."
        hint = "Set it to the folder _staging of the target's warehouse."
        raise ConfigurationError(what, hint=hint)
    return BatchConfig(
        root=storage["root"],
        prefix=storage.get("prefix") or "",
        compression=encoding.get("compression") or "zstd",
        rows=chosen.get("batch_size") or DEFAULT_ROWS,
        params=tuple((storage.get("params") or {}).items()),
    )


class BatchFiles:
    """Writes the files of one stream, one after the other.

    Args:
        config: Where, and how.
        schema: The columns, with field ids.
    """

    def __init__(self, config: BatchConfig, schema: pa.Schema) -> None:
        self._config = config
        self._schema = schema
        self._system, self._folder = _storage(config)
        self._file: _OpenFile | None = None

    def write(self, rows: pa.RecordBatch) -> str | None:
        """Add rows; return the URL of the file if they have made it full."""
        if self._file is None:
            name = f"{self._config.prefix}{uuid.uuid4()}.parquet"
            self._file = _OpenFile(
                self._system,
                f"{self._folder}/{name}",
                self._schema,
                self._config.compression,
            )
        self._file.add(rows)
        is_full = self._file.rows >= self._config.rows or self._file.size >= FILE_BYTES
        return self.finish() if is_full else None

    def finish(self) -> str | None:
        """End the present file and return its URL; None if there is no row."""
        file, self._file = self._file, None
        if file is None:
            return None
        file.close()
        heap.trim()
        is_local = self._system.type_name == "local"
        return f"file://{quote(file.path)}" if is_local else f"s3://{file.path}"

    def abandon(self) -> None:
        """Delete what is not finished."""
        file, self._file = self._file, None
        if file is not None:
            file.abandon()


class _OpenFile:
    """A file in the making: readers see it only when it is whole."""

    def __init__(
        self, system: pafs.FileSystem, path: str, schema: pa.Schema, compression: str
    ) -> None:
        self.path = path
        self.rows = 0
        self.size = 0
        self._system = system
        self._schema = schema
        self._compression = compression
        # An object appears when it is complete.
        self._written = f"{path}.tmp" if system.type_name == "local" else path
        self._sink = system.open_output_stream(self._written)
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = self._waiting_rows = 0
        self._pool = ThreadPoolExecutor(1, "parquet")
        self._pending: Future[None] | None = None

    def add(self, rows: pa.RecordBatch) -> None:
        self._waiting.append(rows)
        self._waiting_bytes += rows.nbytes
        self._waiting_rows += rows.num_rows
        self.rows += rows.num_rows
        if self._waiting_bytes >= GROUP_BYTES or self._waiting_rows >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        try:
            self._flush()
            self._settle()
            if self._writer is not None:
                self._writer.close()
            self._sink.close()
        except BaseException:
            self.abandon()
            raise
        self._pool.shutdown()
        if self._written != self.path:
            self._system.move(self._written, self.path)

    def abandon(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        with contextlib.suppress(OSError, ValueError):
            self._sink.close()
        with contextlib.suppress(OSError):
            self._system.delete_file(self._written)

    def _flush(self) -> None:
        # One group is being encoded while another one is read: no more than two.
        self._settle()
        if self._waiting:
            self._pending = self._pool.submit(self._encode, self._waiting)
        self._waiting, self._waiting_bytes, self._waiting_rows = [], 0, 0

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None
            self.size = self._sink.tell()

    def _encode(self, batches: list[pa.RecordBatch]) -> None:
        import pyarrow as pa  # noqa: PLC0415 heavy, and taps start without it

        rows = pa.Table.from_batches(batches, self._schema)
        batches.clear()
        if self._writer is None:
            self._writer = _writer(self._sink, rows, self._compression)
        self._writer.write_table(rows, row_group_size=rows.num_rows)


def _writer(sink: t.Any, first: pa.Table, compression: str) -> pq.ParquetWriter:
    """Open a writer whose options are those of the target's own data files."""
    import pyarrow.parquet as pq  # noqa: PLC0415 heavy, and taps start without it

    from dativo_core.encodings import repetitive, rows_of_batch  # noqa: PLC0415

    return pq.ParquetWriter(
        sink,
        first.schema,
        compression=compression,
        use_dictionary=repetitive(first),
        data_page_size=PAGE_BYTES,
        dictionary_pagesize_limit=2 * 2**20,
        write_batch_size=rows_of_batch(first, PAGE_BYTES, PAGE_ROWS),
        store_decimal_as_integer=True,
        write_page_index=True,
    )


def _storage(config: BatchConfig) -> tuple[pafs.FileSystem, str]:
    import pyarrow.fs as pafs  # noqa: PLC0415 heavy, and taps start without it

    if config.root.startswith("s3://"):
        return _s3(dict(config.params)), config.root[5:].rstrip("/")
    if "://" in config.root and not config.root.startswith("file://"):
        what = f"batch_config.storage.root: {config.root.split('://')[0]} is not known."
        raise ConfigurationError(what, hint="Set a folder, file:// or s3://.")
    is_url = config.root.startswith("file://")
    text = unquote(urlsplit(config.root).path) if is_url else config.root
    folder = Path(text).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return pafs.LocalFileSystem(), str(folder)


def _s3(params: Mapping[str, t.Any]) -> pafs.FileSystem:
    import pyarrow.fs as pafs  # noqa: PLC0415 as above

    client = params.get("client_kwargs") or {}
    found = {
        "access_key": params.get("key"),
        "secret_key": params.get("secret"),
        "session_token": params.get("token"),
        "endpoint_override": params.get("endpoint_url") or client.get("endpoint_url"),
        "region": client.get("region_name"),
    }
    given = {name: value for name, value in found.items() if value is not None}
    return pafs.S3FileSystem(**given)
