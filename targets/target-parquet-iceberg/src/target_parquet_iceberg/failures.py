"""Say what a failure of storage or catalog means for the person who runs the target."""

from __future__ import annotations

import contextlib
import errno
import typing as t

from dativo_core.errors import (
    ConfigurationError,
    CredentialsError,
    DativoError,
    TryLaterError,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from dativo_core.dead_letters import Folder, Mirror

    from target_parquet_iceberg.plan import Plan
    from target_parquet_iceberg.table import (
        Ahead,
        Commit,
        Piece,
        Table,
        Warehouse,
        Written,
    )

# Texts of the AWS SDK inside pyarrow's OSError, which carries no code.
_MARKS: tuple[tuple[tuple[str, ...], type[DativoError], str], ...] = (
    (
        ("ACCESS_DENIED", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT_MATCH", "HTTP 403"),
        CredentialsError,
        "Check the keys in storage_options and what they may do.",
    ),
    (
        ("NO_SUCH_BUCKET", "NoSuchBucket", "HTTP 404", "enable the allow_bucket"),
        ConfigurationError,
        "Create the bucket, or correct the setting warehouse.",
    ),
    (
        ("curlCode: 60", "curlCode: 77"),
        ConfigurationError,
        "Set storage_options.ca_file to the CA that signed the server's certificate.",
    ),
    (
        ("HTTP status 411",),
        ConfigurationError,
        "Set storage_options.request_checksum_calculation to when_required.",
    ),
    (
        ("NETWORK_CONNECTION", "SLOW_DOWN", "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE"),
        TryLaterError,
        "Check storage_options.endpoint, or run again later.",
    ),
)
_BY_NAME: Mapping[str, tuple[type[DativoError], str]] = {
    "UnauthorizedError": (CredentialsError, "Check the credentials in catalog."),
    "ForbiddenError": (CredentialsError, "Check what the catalog's user may do."),
    "OAuthError": (CredentialsError, "Check credential and oauth2-server-uri."),
    "AuthorizationExpiredError": (CredentialsError, "Renew the catalog's token."),
    "SSLError": (
        ConfigurationError,
        "Set catalog.ssl.cabundle to the CA that signed the catalog's certificate.",
    ),
    "ConnectionError": (TryLaterError, "Check the catalog's uri, or run again later."),
    "Timeout": (TryLaterError, "The catalog does not answer: run again later."),
    "ServiceUnavailableError": (TryLaterError, "Run again later."),
    "BadRequestError": (ConfigurationError, "Check the settings in catalog."),
    "ServerError": (TryLaterError, "Look at the catalog's own log, then run again."),
    "TooManyRequestsError": (TryLaterError, "Run again later."),
    "OperationalError": (ConfigurationError, "Check the catalog's uri and its server."),
    "NoSuchTableError": (TryLaterError, "Somebody dropped the table: run again."),
    "NotInstalledError": (ConfigurationError, "Install the package it names."),
}
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNWRITABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)


@contextlib.contextmanager
def explained(warehouse: str) -> Iterator[None]:
    """Translate what storage and catalog raise into errors a person can act on."""
    try:
        yield
    except Exception as error:
        translated = explain(error, warehouse)
        if translated is None or translated is error:
            raise
        raise translated from error


class ExplainedWarehouse:
    """A warehouse whose failures are explained."""

    def __init__(self, inner: Warehouse, name: str) -> None:
        self._inner = inner
        self._name = name

    def table(self, plan: Plan) -> Table:
        """Open a table."""
        with explained(self._name):
            return ExplainedTable(self._inner.table(plan), self._name)

    @property
    def letters(self) -> ExplainedMirror | None:
        """Where dead letters can be queried."""
        inner = self._inner.letters
        return None if inner is None else ExplainedMirror(inner, self._name)

    def maintain(self) -> None:
        """Look after the tables; nothing to explain, since it never fails."""
        self._inner.maintain()


class ExplainedTable:
    """A table whose failures are explained."""

    def __init__(self, inner: Table, warehouse: str) -> None:
        self._inner = inner
        self._warehouse = warehouse
        self.can_stage = inner.can_stage

    def columns(self) -> pa.Schema | None:
        """Return the table's columns."""
        with explained(self._warehouse):
            return self._inner.columns()

    def has_bookmark(self) -> bool:
        """Tell whether a STATE has ever covered rows of the table."""
        return self._inner.has_bookmark()

    def knows(self, version: int) -> bool:
        """Tell whether a part of a full load is durable already."""
        return self._inner.knows(version)

    def repeats(self, commit: Commit, *, is_end: bool) -> bool:
        """Tell whether the tap is still sending rows again that the table has."""
        with explained(self._warehouse):
            return self._inner.repeats(commit, is_end=is_end)

    def adopts(self, commit: Commit) -> bool:
        """Tell whether such a commit could take the files as they are."""
        return self._inner.adopts(commit)

    def ahead(self, commit: Commit, columns: pa.Schema) -> ExplainedAhead | None:
        """Return what writes rows before such a commit."""
        inner = self._inner.ahead(commit, columns)
        return None if inner is None else ExplainedAhead(inner, self._warehouse)

    def commit(self, commit: Commit) -> None:
        """Commit to the table."""
        with explained(self._warehouse):
            self._inner.commit(commit)


class ExplainedAhead:
    """Data files whose failures are explained."""

    def __init__(self, inner: Ahead, warehouse: str) -> None:
        self._inner = inner
        self._warehouse = warehouse

    @property
    def piece_bytes(self) -> int:
        """How large a piece should be at most."""
        return self._inner.piece_bytes

    def write(self, piece: Piece) -> None:
        """Take the rows that come next."""
        with explained(self._warehouse):
            self._inner.write(piece)

    def close(self) -> None:
        """Take no more rows."""
        self._inner.close()

    def finish(self) -> Written:
        """Return what is written, once it is complete."""
        with explained(self._warehouse):
            return self._inner.finish()

    def discard(self) -> None:
        """Delete what is written."""
        self._inner.discard()


class ExplainedMirror:
    """A place for dead letters whose failures are explained."""

    def __init__(self, inner: Mirror, warehouse: str) -> None:
        self._inner = inner
        self._warehouse = warehouse

    def keep(self, name: str, letters: Sequence[dict[str, t.Any]]) -> None:
        """Make letters durable."""
        with explained(self._warehouse):
            self._inner.keep(name, letters)


class ExplainedFolder:
    """A folder for dead letters whose failures are explained."""

    def __init__(self, inner: Folder, name: str) -> None:
        self._inner = inner
        self._name = name

    def append(self, path: str, lines: bytes) -> str:
        """Add lines to a file."""
        with explained(self._name):
            return self._inner.append(path, lines)

    def put(self, path: str, content: bytes) -> None:
        """Write a whole file."""
        with explained(self._name):
            self._inner.put(path, content)

    def names(self, folder: str = "") -> list[str]:
        """List files."""
        with explained(self._name):
            return self._inner.names(folder)

    def read(self, path: str) -> bytes:
        """Read a file."""
        with explained(self._name):
            return self._inner.read(path)

    def rewrite(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Replace a file."""
        with explained(self._name):
            self._inner.rewrite(path, change)


def explain(error: Exception, warehouse: str) -> DativoError | None:
    """Return the error to show, or None for what nobody expected."""
    if isinstance(error, DativoError):
        return error
    if "database is locked" in str(error):
        what = f"The catalog of {warehouse} is locked."
        return TryLaterError(what, hint="Another run holds it: run again later.")
    if "password authentication failed" in str(error):
        what = f"The catalog of {warehouse}: {_first_line(error)}."
        return CredentialsError(what, hint="Check the user and password in its uri.")
    # SQLite's two words for it; the second is that of its shared memory file.
    if any(text in str(error) for text in ("disk is full", "disk I/O error")):
        what = f"The catalog of {warehouse}: the disk is full, or broken."
        return TryLaterError(what, hint="Make room, then run again.")
    for cls in type(error).__mro__:
        if cls.__name__ in _BY_NAME:
            kind, hint = _BY_NAME[cls.__name__]
            what = f"The catalog of {warehouse}: {_first_line(error)}."
            return kind(what, hint=hint)
    return _storage(error, warehouse) if isinstance(error, OSError) else None


def _storage(error: OSError, warehouse: str) -> DativoError | None:
    text = str(error)
    for marks, kind, hint in _MARKS:
        if any(mark in text for mark in marks):
            return kind(f"Warehouse {warehouse}: {_first_line(error)}.", hint=hint)
    if error.errno in _FULL_DISK:
        what = f"Warehouse {warehouse}: the disk is full."
        return TryLaterError(what, hint="Make room, then run again.")
    if error.errno in _UNWRITABLE:
        what = f"Warehouse {warehouse} cannot be written: {error.strerror}."
        return ConfigurationError(what, hint="Check the setting and its permissions.")
    return None


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:300]
